"""All export formats by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mlflow_mother.export.dot import to_dot
from mlflow_mother.export.graphml import to_graphml
from mlflow_mother.export.html import to_html
from mlflow_mother.export.mermaid import to_mermaid
from mlflow_mother.export.node_link import to_node_link
from mlflow_mother.export.svg import to_svg
from mlflow_mother.export.terminal import to_text
from mlflow_mother.hookspecs import Exporter
from mlflow_mother.types import ModelTree


@dataclass
class FunctionExporter:
    """An exporter made of a function.

    Attributes:
        name: What users pass to ``--export``.
        suffix: Suffix of a file of this format, with the dot.
        function: Tree to text.
    """

    name: str
    suffix: str
    function: Callable[[ModelTree], str]

    def export(self, tree: ModelTree, /) -> str:
        """The whole document."""
        return self.function(tree)


def _to_json(tree: ModelTree) -> str:
    # The standard library's writer, unlike pydantic's, takes file names that are not UTF-8.
    return json.dumps(tree.model_dump(mode="json"), indent=2) + "\n"


def exporters(extra: Iterable[Exporter] = ()) -> dict[str, Exporter]:
    """All exporters by name.

    Args:
        extra: Exporters of plugins; one that has the name of a built-in format replaces it.
    """
    built_in: list[Exporter] = [
        FunctionExporter("json", ".json", _to_json),
        FunctionExporter("node-link", ".json", to_node_link),
        FunctionExporter("graphml", ".graphml", to_graphml),
        FunctionExporter("dot", ".dot", to_dot),
        FunctionExporter("mermaid", ".mmd", to_mermaid),
        FunctionExporter("svg", ".svg", to_svg),
        FunctionExporter("html", ".html", lambda tree: to_html(tree, title="Model tree")),
        FunctionExporter("text", ".txt", to_text),
    ]
    return {exporter.name: exporter for exporter in [*built_in, *extra]}
