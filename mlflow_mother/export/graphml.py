"""GraphML, for Gephi, yEd, Cytoscape and networkx."""

from __future__ import annotations

import json
from typing import Any

from mlflow_mother.export.text import clean
from mlflow_mother.types import ModelTree


def to_graphml(tree: ModelTree) -> str:
    """The tree as GraphML; lists (evidence, aliases, declared parents) are JSON text, absent values are left out."""
    import networkx as nx  # Not at the top: it takes longer to load than everything else here.

    graph: nx.DiGraph[str] = nx.DiGraph()
    for node, attributes in tree.to_networkx().nodes(data=True):
        graph.add_node(clean(node), **_flat(attributes))
    for parent, child, attributes in tree.to_networkx().edges(data=True):
        graph.add_edge(clean(parent), clean(child), **_flat(attributes))
    return "\n".join(nx.generate_graphml(graph)) + "\n"


def _flat(attributes: dict[str, Any]) -> dict[str, str | int | float]:
    flat: dict[str, str | int | float] = {}
    for name, value in attributes.items():
        if isinstance(value, (list, tuple)):
            flat[name] = clean(json.dumps(value, ensure_ascii=False))
        elif isinstance(value, str):
            flat[name] = clean(value)
        elif value is not None:
            flat[name] = value
    return flat
