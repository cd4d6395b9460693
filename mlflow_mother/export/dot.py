"""Graphviz DOT."""

from __future__ import annotations

from mlflow_mother.export.svg import RELATION_COLOURS
from mlflow_mother.export.text import clean, edge_label
from mlflow_mother.types import ModelTree, Verdict


def to_dot(tree: ModelTree) -> str:
    """The tree as a Graphviz digraph, from left to right; its node names are the tree's ids.

    Args:
        tree: Any tree; edges that name missing nodes are left out.
    """
    known = {node.id for node in tree.nodes}
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [shape=box, style="rounded", fontname="sans-serif"];']
    lines.append('  edge [fontname="sans-serif", fontsize=10];')
    for node in tree.nodes:
        attributes = [f"label={_quoted(node.label or node.id)}"]
        if node.kind == "unregistered":
            attributes.append('style="rounded,dashed"')
        if node.verdict is Verdict.CONFLICT:
            attributes.append('color="#c0264b"')
        lines.append(f"  {_quoted(node.id)} [{', '.join(attributes)}];")
    for edge in tree.edges:
        if edge.parent in known and edge.child in known:
            attributes = [f"label={_quoted(edge_label(edge))}", f'color="{RELATION_COLOURS[edge.relation][0]}"']
            if edge.direction == "undecided":
                attributes += ["dir=none", "style=dotted"]
            lines.append(f"  {_quoted(edge.parent)} -> {_quoted(edge.child)} [{', '.join(attributes)}];")
    return "\n".join([*lines, "}"]) + "\n"


def _quoted(text: str) -> str:
    return '"' + clean(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
