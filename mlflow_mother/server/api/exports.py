"""A lineage as a document in one of the export formats."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlflow_mother.export import exporters, to_html, to_svg
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.documents import Document, filename
from mlflow_mother.server.api.lineage import MOST_NODES, shown_tree
from mlflow_mother.server.api.records import Name, Number
from mlflow_mother.types import ModelTree, Record

Format = Literal["json", "node-link", "graphml", "dot", "mermaid", "svg", "html", "text"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "node-link": "application/json",
    "graphml": "application/xml",
    "dot": "text/vnd.graphviz",
    "mermaid": "text/plain",
    "svg": "image/svg+xml",
    "html": "text/html",
    "text": "text/plain",
}


class ExportQuery(Record):
    """Of what, and how.

    Attributes:
        name: A registered model.
        version: One version of it; all of them without.
        format: The document's format.
        limit: Most nodes.
    """

    name: Name
    version: Number | None = None
    format: Format = "json"
    limit: int = Field(MOST_NODES, ge=1, le=MOST_NODES)


def export(caller: Caller, query: ExportQuery) -> Document:
    """The tree of a version's family, or of a registered model's families, as a file."""
    tree, subject = shown_tree(caller, query.name, query.version, query.limit)
    stem = f"lineage-{query.name}" + (f"-v{query.version}" if query.version else "")
    suffix = exporters()[query.format].suffix
    return Document(_text(query, tree, subject), MEDIA_TYPES[query.format], filename(stem, suffix))


def _text(query: ExportQuery, tree: ModelTree, subject: str | None) -> str:
    if query.format == "svg":
        return to_svg(tree, current=subject)
    if query.format == "html":
        title = f"{query.name} v{query.version}" if query.version else query.name
        return to_html(tree, title=f"Lineage of {title}", subject=subject)
    return exporters()[query.format].export(tree)
