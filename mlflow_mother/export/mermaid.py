"""Mermaid flowcharts, for README files and chats that draw them."""

from __future__ import annotations

from mlflow_mother.export.text import clean, edge_label, node_name, split_uri
from mlflow_mother.types import ModelTree, Node, Verdict

_SPECIAL = frozenset('#"<>&`\\|[]{}')


def to_mermaid(tree: ModelTree) -> str:
    """The tree as a Mermaid flowchart, from left to right.

    Undecided edges are dotted and have no arrow head, unregistered ancestors are dashed, conflicts red.

    Args:
        tree: Any tree; edges that name missing nodes are left out.
    """
    names = {node.id: f"n{i}" for i, node in enumerate(tree.nodes)}
    lines = ["flowchart LR"]
    lines += [f'    {names[node.id]}["{_quoted(_label(node))}"]{_style_class(node)}' for node in tree.nodes]
    for edge in tree.edges:
        if edge.parent in names and edge.child in names:
            arrow = "-->" if edge.direction == "decided" else "-.-"
            lines.append(f'    {names[edge.parent]} {arrow}|"{_quoted(edge_label(edge))}"| {names[edge.child]}')
    lines.append("    classDef unregistered stroke-dasharray: 5 4,fill:none")
    lines.append("    classDef conflict stroke:#c0264b,stroke-width:2px")
    return "\n".join(lines) + "\n"


def _label(node: Node) -> str:
    _, version = split_uri(node.id)
    return f"{node_name(node)} v{version}" if version else node_name(node)


def _style_class(node: Node) -> str:
    if node.kind == "unregistered":
        return ":::unregistered"
    return ":::conflict" if node.verdict is Verdict.CONFLICT else ""


def _quoted(text: str) -> str:
    return "".join(f"#{ord(c)};" if c in _SPECIAL else c for c in clean(text))
