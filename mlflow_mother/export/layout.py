"""Where everything goes: a deterministic layered layout for forests and for graphs with merges.

Columns are generations and time runs from left to right, since labels are wide and most families are: a base with
forty fine-tunes is a column to scroll through instead of a line to lose oneself in. Every leaf has a row of its own
and a parent sits in the middle of its children, but never far below the first one, so that the root of a tall family
is seen without scrolling. Edges run at right angles: out of the parent, along a vertical channel that no other parent
shares, and into the child, with the label above the last stretch. Edges that skip generations pass between the rows.
A long chain is folded like a line of text. Families are packed into a page of readable proportions, and what has no
relatives stands in a grid below them.

The result is drawn as it is by :mod:`mlflow_mother.export.svg` and by the Lineage tab.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mlflow_mother.export.lanes import Point, Style
from mlflow_mother.export.routes import Block, Box, Line, place_family
from mlflow_mother.export.rows import RowMeasures
from mlflow_mother.export.structure import families, nodes_by_id
from mlflow_mother.export.text import clean, node_details, node_name, shorten, text_width
from mlflow_mother.types import ModelTree, Node, Record

DENSE_FROM = 61
"""From this number of nodes on, nodes shrink to one line and edge labels move into the tooltips."""


class PlacedNode(Record):
    """A node's box and the text that fits into it, in pixels.

    Attributes:
        id: The node's id.
        x: Left side.
        y: Upper side.
        width: Width.
        height: Height.
        name: First line, shortened in the middle.
        detail: Second line, beside the first one where ``Layout.dense``; may be empty.
    """

    id: str
    x: float
    y: float
    width: float
    height: float
    name: str
    detail: str


class PlacedEdge(Record):
    """An edge's line.

    Attributes:
        parent: Id of the parent.
        child: Id of the child.
        path: The whole line as SVG path data.
        stem: Its first stretch, neutral in colour, where several kinds of edges leave the parent together; else empty.
        branch: The remaining stretch, in the relation's colour.
        head: Tip of the arrow; None for an edge of undecided direction.
        head_points: Where the arrow points.
        label: Text at the line; empty where ``Layout.dense``.
        label_x: Right end of the label.
        label_y: Base line of the label.
    """

    parent: str
    child: str
    path: str
    stem: str
    branch: str
    head: tuple[float, float] | None
    head_points: Literal["left", "right"] = "right"
    label: str
    label_x: float
    label_y: float


class Caption(Record):
    """A remark on the drawing.

    Attributes:
        x: Left end.
        y: Base line.
        text: The words.
    """

    x: float
    y: float
    text: str


class Layout(Record):
    """A drawn tree without its colours.

    Attributes:
        width: Width of the drawing, in pixels.
        height: Height of the drawing, in pixels.
        dense: Whether nodes have one line and edges no labels.
        nodes: Boxes, family by family.
        edges: Lines in drawing order.
        captions: Remarks.
    """

    width: float
    height: float
    dense: bool
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]
    captions: tuple[Caption, ...] = ()


@dataclass(frozen=True)
class _Type:
    """Text measures in pixels, and the style of the lines that go with them."""

    name_size: float
    detail_size: float
    boldness: float
    most_text: float
    least_width: float
    padding: float
    loner_gap: float
    lines: Style


_ROOMY = _Type(
    name_size=13,
    detail_size=11,
    boldness=1.12,
    most_text=220,
    least_width=110,
    padding=12,
    loner_gap=14,
    lines=Style(RowMeasures(44, 12, 8, 150), labels=True, label_size=11, port_step=16, channel=12, arrow=9),
)
_DENSE = _Type(
    name_size=11,
    detail_size=10,
    boldness=1.02,
    most_text=190,
    least_width=60,
    padding=7,
    loner_gap=6,
    lines=Style(RowMeasures(22, 5, 5, 130), labels=False, label_size=11, port_step=6, channel=9, arrow=8),
)
_FAMILY_GAP = 36.0
_CAPTION = 16.0
_ASPECT = 1.5


def layout(tree: ModelTree) -> Layout:
    """Places all nodes and edges of a tree.

    The same tree gives the same layout, whatever the order of its nodes and edges.

    Args:
        tree: Any tree; edges that name missing nodes are left out.
    """
    dense = len(tree.nodes) >= DENSE_FROM
    kind = _DENSE if dense else _ROOMY
    cards = {node_id: _card(node, kind) for node_id, node in nodes_by_id(tree).items()}
    widths = {node_id: card.width for node_id, card in cards.items()}
    groups = families(tree)
    blocks = [place_family(family, widths, kind.lines) for family in groups if len(family.members) > 1]
    loners = [family.members[0] for family in groups if len(family.members) == 1]
    width = _page_width(blocks, [widths[node_id] for node_id in loners], kind)
    placed, height = _pack(blocks, width)
    captions: tuple[Caption, ...] = ()
    if loners:
        grid = _loner_grid(loners, widths, kind, width)
        if blocks:
            height += _FAMILY_GAP + _CAPTION
            captions = (Caption(x=0.0, y=_tidy(height - 10), text="No relatives found"),)
        placed.append((grid, 0.0, height))
        height += grid.height
    return Layout(
        width=_tidy(max((x + block.width for block, x, _ in placed), default=0.0)),
        height=_tidy(height),
        dense=dense,
        nodes=tuple(_placed_node(box, cards[box.node], x, y) for block, x, y in placed for box in block.boxes),
        edges=tuple(_placed_edge(line, x, y) for block, x, y in placed for line in block.lines),
        captions=captions,
    )


@dataclass(frozen=True)
class _Card:
    name: str
    detail: str
    width: float


def _card(node: Node, kind: _Type) -> _Card:
    bold = kind.name_size * kind.boldness
    name = shorten(clean(node_name(node)), kind.most_text, bold)
    facts = [clean(fact) for fact in node_details(node)]
    if kind is _DENSE:
        detail = shorten(facts[0], kind.most_text / 2, kind.detail_size) if facts else ""
        wide = text_width(name, bold) + (6 + text_width(detail, kind.detail_size) if detail else 0)
    else:
        while len(facts) > 1 and text_width(" · ".join(facts), kind.detail_size) > kind.most_text:
            facts.pop()
        detail = shorten(" · ".join(facts), kind.most_text, kind.detail_size)
        wide = max(text_width(name, bold), text_width(detail, kind.detail_size))
    return _Card(name, detail, max(math.ceil(wide) + 2 * kind.padding, kind.least_width))


def _placed_node(box: Box, card: _Card, dx: float, dy: float) -> PlacedNode:
    return PlacedNode(
        id=box.node,
        x=_tidy(box.x + dx),
        y=_tidy(box.y + dy),
        width=_tidy(box.width),
        height=_tidy(box.height),
        name=card.name,
        detail=card.detail,
    )


def _placed_edge(line: Line, dx: float, dy: float) -> PlacedEdge:
    edge = line.link.edge
    corners = [(x + dx, y + dy) for x, y in line.corners]
    whole = _rounded(corners)
    stem, branch = _split(corners) if line.stem and len(corners) > 2 else ("", whole)
    tip = corners[-1] if edge.child == line.link.end else corners[0]
    beside = corners[1] if edge.child != line.link.end else corners[-2]
    return PlacedEdge(
        parent=edge.parent,
        child=edge.child,
        path=whole,
        stem=stem,
        branch=branch,
        head=(_tidy(tip[0]), _tidy(tip[1])) if edge.direction == "decided" else None,
        head_points="right" if beside[0] < tip[0] else "left",
        label=line.label,
        label_x=_tidy(line.label_at[0] + dx),
        label_y=_tidy(line.label_at[1] + dy),
    )


def _split(corners: list[Point]) -> tuple[str, str]:
    """Path data up to the bend where the line leaves the common channel, and from there on."""
    (_, y1), (x2, y2) = corners[1], corners[2]
    bend = (x2, y2 - math.copysign(min(_RADIUS, abs(y2 - y1) / 2), y2 - y1))
    return _rounded([*corners[:2], bend]), _rounded([bend, *corners[2:]])


_RADIUS = 8.0


def _rounded(corners: list[Point]) -> str:
    """Path data of a line with right angles, its corners rounded."""
    parts = [f"M{_tidy(corners[0][0]):g} {_tidy(corners[0][1]):g}"]
    for (x0, y0), (x1, y1), (x2, y2) in zip(corners, corners[1:], corners[2:], strict=False):
        before, after = math.hypot(x1 - x0, y1 - y0), math.hypot(x2 - x1, y2 - y1)
        # A stretch between two bends is shared by both; the first and the last one end straight.
        first, last = (x0, y0) == corners[0], (x2, y2) == corners[-1]
        radius = min(_RADIUS, before if first else before / 2, after if last else after / 2)
        ax, ay = x1 - (x1 - x0) / before * radius, y1 - (y1 - y0) / before * radius
        bx, by = x1 + (x2 - x1) / after * radius, y1 + (y2 - y1) / after * radius
        parts.append(f"L{_tidy(ax):g} {_tidy(ay):g}Q{_tidy(x1):g} {_tidy(y1):g} {_tidy(bx):g} {_tidy(by):g}")
    parts.append(f"L{_tidy(corners[-1][0]):g} {_tidy(corners[-1][1]):g}")
    return "".join(parts)


def _tidy(value: float) -> float:
    return round(value, 1)


def _page_width(blocks: list[Block], loners: list[float], kind: _Type) -> float:
    """Width at which the packed page comes near to the wanted proportions, and every block fits."""
    area = sum((block.width + _FAMILY_GAP) * (block.height + _FAMILY_GAP) for block in blocks)
    area += sum((width + kind.loner_gap) * (kind.lines.rows.node_height + kind.loner_gap) for width in loners)
    return max([math.sqrt(area * _ASPECT), *(block.width for block in blocks), *loners])


def _loner_grid(loners: list[str], widths: dict[str, float], kind: _Type, width: float) -> Block:
    """Nodes without any relation, in rows of equal boxes."""
    box, height, gap = max(widths[node_id] for node_id in loners), kind.lines.rows.node_height, kind.loner_gap
    columns = max(1, min(len(loners), int((width + gap) // (box + gap))))
    boxes = tuple(
        Box(node_id, (i % columns) * (box + gap), (i // columns) * (height + gap), box, height)
        for i, node_id in enumerate(loners)
    )
    return Block(boxes[columns - 1].x + box, boxes[-1].y + height, boxes)


def _pack(blocks: list[Block], width: float) -> tuple[list[tuple[Block, float, float]], float]:
    """Puts each block at the highest, then leftmost place of the skyline; returns the places and the height."""
    skyline = [(0.0, width, 0.0)]
    placed = []
    for block in blocks:
        spots = []
        for start, _, _ in skyline:
            under = [y for a, b, y in skyline if a < start + block.width and b > start]
            if start + block.width <= width + 0.1:
                spots.append((max(under), start))
        y, x = min(spots)
        placed.append((block, x, y))
        right = x + block.width + _FAMILY_GAP
        pieces = [(a, min(b, x), h) for a, b, h in skyline if a < x]
        pieces += [(x, min(right, width), y + block.height + _FAMILY_GAP)] if x < width else []
        pieces += [(max(a, right), b, h) for a, b, h in skyline if b > right]
        skyline = sorted(pieces)
    height = max((y + block.height for block, _, y in placed), default=0.0)
    return placed, height
