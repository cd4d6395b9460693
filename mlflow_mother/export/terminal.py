"""Trees for the terminal: a drawing of lines and a table of edges."""

from __future__ import annotations

import unicodedata
from collections import defaultdict

from mlflow_mother.export.structure import Family, Link, families, nodes_by_id
from mlflow_mother.export.text import clean, edge_label, node_name, probability_text
from mlflow_mother.types import ModelTree, Node, Status, Verdict

_UNICODE = {"branch": "├─ ", "last": "└─ ", "down": "│  ", "right": "→", "left": "←", "both": "┄"}
_ASCII = {"branch": "|- ", "last": "`- ", "down": "|  ", "right": "->", "left": "<-", "both": "--"}


def to_text(tree: ModelTree, *, ascii_only: bool = False) -> str:
    """Draws a tree with lines, one node a line.

    A child of several parents stands below one of them and is only named below the others. The arrow points to the
    child; an edge of undecided direction has a question mark and no arrow.

    Args:
        tree: The tree.
        ascii_only: Whether to draw with ASCII characters, for terminals without Unicode.
    """
    signs = _ASCII if ascii_only else _UNICODE
    nodes = nodes_by_id(tree)
    lines: list[str] = []
    for family in families(tree):
        lines += _family_lines(family, nodes, signs)
    text = "\n".join(lines or ["no models"]) + "\n"
    return text.encode("ascii", "backslashreplace").decode() if ascii_only else text


def edges_table(tree: ModelTree) -> str:
    """All edges as an aligned table of plain text, each with its strongest reason."""
    head = ("CHILD", "PARENT", "RELATION", "PROBABILITY", "DIRECTION", "EVIDENCE")
    rows = [head] + [
        (
            clean(edge.child),
            clean(edge.parent),
            edge_label(edge).rpartition(" ")[0],
            probability_text(edge.probability),
            edge.direction,
            clean(edge.evidence[0].text) if edge.evidence else "",
        )
        for edge in tree.edges
    ]
    widths = [max(columns_wide(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join("  ".join(_padded(c, w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows) + "\n"


def columns_wide(text: str) -> int:
    """Columns that a terminal gives to a text: two for wide East Asian characters, none for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns_wide(text))


def _family_lines(family: Family, nodes: dict[str, Node], signs: dict[str, str]) -> list[str]:
    leaving: dict[str, list[Link]] = defaultdict(list)
    for link in family.links:
        leaving[link.start].append(link)
    lines = []
    stack = [("", "", "", head) for head in reversed(family.heads)]
    while stack:
        indent, sign, words, node_id = stack.pop()
        lines.append(f"{indent}{sign}{words}{_described(nodes[node_id])}")
        below = indent + ("" if not sign else "   " if sign == signs["last"] else signs["down"])
        # Links beside the spine only name their node, which stands elsewhere.
        links = sorted(leaving[node_id], key=lambda link: family.spine.get(link.end) is link)
        entries = []
        for i, link in enumerate(links):
            branch = signs["last"] if i == len(links) - 1 else signs["branch"]
            if family.spine.get(link.end) is link:
                entries.append((below, branch, _words(link, signs), link.end))
            else:
                lines.append(
                    f"{below}{branch}{_words(link, signs)}{clean(_called(nodes[link.end]))} (listed elsewhere)"
                )
        stack.extend(reversed(entries))
    return lines


def _words(link: Link, signs: dict[str, str]) -> str:
    arrow = "right" if link.edge.parent == link.start else "left"
    return f"{edge_label(link.edge)} {signs[arrow if link.edge.direction == 'decided' else 'both']} "


def _called(node: Node) -> str:
    return node.label or (node.id if node.kind == "model" else node_name(node))


def _described(node: Node) -> str:
    remarks = []
    if node.kind == "unregistered":
        remarks.append("not registered")
    if node.verdict is Verdict.CONFLICT:
        remarks.append("conflict: declared " + ", ".join(node.declared_parents))
    if node.status not in {None, Status.DONE}:
        remarks.append(node.status.value)
    if node.note:
        remarks.append(node.note)
    return clean(_called(node) + (f"  [{'; '.join(remarks)}]" if remarks else ""))
