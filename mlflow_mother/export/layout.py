"""Where everything goes: a deterministic layered layout for forests and for graphs with merges.

Columns are generations and time runs from left to right, since labels are wide and most families are: a base with
forty fine-tunes is a column to scroll through instead of a line to lose oneself in. Every leaf has a row of its own
and a parent sits in the middle of its children, but never far below the first one, so that the root of a tall family
is seen without scrolling. Edges run at right angles: out of the parent, along a vertical channel that no other parent
shares, and into the child, with the label above the last stretch. Edges that skip generations pass between the rows.

The result is drawn as it is by :mod:`mlflow_mother.export.svg` and by the Lineage tab.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from mlflow_mother.export.structure import Family, Link, families, nodes_by_id, walk
from mlflow_mother.export.text import clean, edge_label, node_detail, node_name, shorten, text_width
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
        path: The line as SVG path data, from left to right.
        head: Tip of the arrow; None for an edge of undecided direction.
        head_points: Where the arrow points.
        label: Text at the line; empty where ``Layout.dense``.
        label_x: Right end of the label.
        label_y: Base line of the label.
    """

    parent: str
    child: str
    path: str
    head: tuple[float, float] | None
    head_points: Literal["left", "right"] = "right"
    label: str
    label_x: float
    label_y: float


class Layout(Record):
    """A drawn tree without its colours.

    Attributes:
        width: Width of the drawing, in pixels.
        height: Height of the drawing, in pixels.
        dense: Whether nodes have one line and edges no labels.
        nodes: Boxes, family by family.
        edges: Lines in drawing order.
    """

    width: float
    height: float
    dense: bool
    nodes: tuple[PlacedNode, ...]
    edges: tuple[PlacedEdge, ...]


@dataclass(frozen=True)
class _Style:
    """Measures in pixels."""

    name_size: float
    detail_size: float
    node_height: float
    most_text: float
    least_width: float
    row_gap: float
    block_gap: float
    parent_drop: float
    labels: bool
    padding: float = 12.0
    label_size: float = 11.0
    port_step: float = 16.0
    channel: float = 12.0
    arrow: float = 9.0


_ROOMY = _Style(13, 11, 44, 210, 110, 12, 8, 150, labels=True)
_DENSE = _Style(11, 10, 22, 190, 60, 5, 5, 130, labels=False, padding=7, port_step=6, channel=9, arrow=8)
_FAMILY_GAP = 36.0
_LONER_GAP = 14.0
_ASPECT = 1.5
_SWEEPS = 12


def layout(tree: ModelTree) -> Layout:
    """Places all nodes and edges of a tree.

    The same tree gives the same layout, whatever the order of its nodes and edges.

    Args:
        tree: Any tree; edges that name missing nodes are left out.
    """
    dense = len(tree.nodes) >= DENSE_FROM
    style = _DENSE if dense else _ROOMY
    nodes = nodes_by_id(tree)
    cards = {node_id: _card(node, style) for node_id, node in nodes.items()}
    blocks, loners = [], []
    for family in families(tree):
        if len(family.members) > 1:
            blocks.append(_FamilyLayout(family, cards, style).block())
        else:
            loners.append(family.members[0])
    area = sum((b.width + _FAMILY_GAP) * (b.height + _FAMILY_GAP) for b in blocks)
    area += sum((cards[i].width + _LONER_GAP) * (style.node_height + _LONER_GAP) for i in loners)
    widest = max([b.width for b in blocks] + [cards[i].width for i in loners], default=0.0)
    width = max(widest, math.sqrt(area * _ASPECT))
    placed, height = _pack(blocks, width)
    if loners:
        grid = _grid(loners, cards, style, width)
        placed.append((grid, 0.0, height + _FAMILY_GAP if blocks else 0.0))
        height = placed[-1][2] + grid.height
    boxes = {box.id: box.model_copy(update={"x": box.x + x, "y": box.y + y}) for b, x, y in placed for box in b.nodes}
    return Layout(
        width=max((x + block.width for block, x, _ in placed), default=0.0),
        height=height,
        dense=dense,
        nodes=tuple(boxes.values()),
        edges=tuple(line.at(x, y) for block, x, y in placed for line in block.lines),
    )


@dataclass(frozen=True)
class _Card:
    name: str
    detail: str
    width: float


def _card(node: Node, style: _Style) -> _Card:
    name = shorten(clean(node_name(node)), style.most_text, style.name_size)
    detail = clean(node_detail(node))
    if style.labels:
        detail = shorten(detail, style.most_text, style.detail_size)
        wide = max(text_width(name, style.name_size), text_width(detail, style.detail_size))
    else:
        detail = shorten(detail.partition(" · ")[0], style.most_text / 2, style.detail_size)
        wide = text_width(name, style.name_size) + (6 + text_width(detail, style.detail_size) if detail else 0)
    return _Card(name, detail, math.ceil(max(wide, style.least_width - 2 * style.padding) + 2 * style.padding))


@dataclass(frozen=True)
class _Line:
    """An edge with its corners, before it is moved to its place on the page."""

    link: Link
    corners: tuple[tuple[float, float], ...]
    label: str
    label_at: tuple[float, float]

    def at(self, dx: float, dy: float) -> PlacedEdge:
        """The line, moved."""
        edge = self.link.edge
        forward = edge.child == self.link.end
        tip = self.corners[-1] if forward else self.corners[0]
        same_column = self.corners[0][0] > self.corners[1][0] or self.corners[-1][0] < self.corners[-2][0]
        return PlacedEdge(
            parent=edge.parent,
            child=edge.child,
            path=_rounded([(x + dx, y + dy) for x, y in self.corners]),
            head=(_tidy(tip[0] + dx), _tidy(tip[1] + dy)) if edge.direction == "decided" else None,
            head_points="right" if forward and not same_column else "left",
            label=self.label,
            label_x=_tidy(self.label_at[0] + dx),
            label_y=_tidy(self.label_at[1] + dy),
        )


@dataclass(frozen=True)
class _Block:
    width: float
    height: float
    nodes: tuple[PlacedNode, ...]
    lines: tuple[_Line, ...] = ()


def _tidy(value: float) -> float:
    return round(value, 1)


def _rounded(corners: list[tuple[float, float]], radius: float = 8.0) -> str:
    """Path data of a line with right angles, its corners rounded."""
    parts = [f"M{_tidy(corners[0][0]):g} {_tidy(corners[0][1]):g}"]
    for (x0, y0), (x1, y1), (x2, y2) in zip(corners, corners[1:], corners[2:], strict=False):
        before, after = math.hypot(x1 - x0, y1 - y0), math.hypot(x2 - x1, y2 - y1)
        r = min(radius, before / 2, after / 2)
        if r < 0.5:
            parts.append(f"L{_tidy(x1):g} {_tidy(y1):g}")
            continue
        ax, ay = x1 - (x1 - x0) / before * r, y1 - (y1 - y0) / before * r
        bx, by = x1 + (x2 - x1) / after * r, y1 + (y2 - y1) / after * r
        parts.append(f"L{_tidy(ax):g} {_tidy(ay):g}Q{_tidy(x1):g} {_tidy(y1):g} {_tidy(bx):g} {_tidy(by):g}")
    parts.append(f"L{_tidy(corners[-1][0]):g} {_tidy(corners[-1][1]):g}")
    return "".join(parts)


@dataclass
class _Wire:
    """A vertical stretch in the gap after one generation."""

    low: float
    high: float
    slot: int = 0

    @classmethod
    def between(cls, a: float, b: float) -> _Wire:
        """The stretch between two heights."""
        return cls(min(a, b), max(a, b))


@dataclass
class _FamilyLayout:
    """Lays out one family; its steps are the paragraphs of :meth:`block`."""

    family: Family
    cards: dict[str, _Card]
    style: _Style
    heights: dict[str, float] = field(default_factory=dict)
    centre: dict[str, float] = field(default_factory=dict)

    def block(self) -> _Block:
        """The family's boxes and lines, from (0, 0) on."""
        arriving: dict[str, list[Link]] = defaultdict(list)
        for link in self.family.links:
            if self._span(link) > 0:
                arriving[link.end].append(link)
        for member in self.family.members:
            ports = len(arriving[member]) * self.style.port_step
            self.heights[member] = max(self.style.node_height, ports + 4)
        self.centre = self._rows()
        port = self._ports(arriving)
        corridor = self._corridors(port)
        wires, starts, ends = self._wires(port, corridor)
        return self._draw(port, corridor, wires, starts, ends)

    def _span(self, link: Link) -> int:
        return self.family.generation[link.end] - self.family.generation[link.start]

    def _rows(self) -> dict[str, float]:
        """Vertical centres, after ordering heads and branches so that the links beside the spine get short.

        A few sweeps of the barycentre rule: every subtree moves halfway to the nodes that its extra links lead to.
        The best order seen is kept, so that a sweep can never make the picture worse.
        """
        heads, branches = self.family.heads, self.family.branches()
        spine = {id(link) for link in self.family.spine.values()}
        extra = [(k.start, k.end) for k in self.family.links if id(k) not in spine]
        best = self._stack(heads, branches)
        best_length = _total_length(best, extra)
        centre = best
        for _ in range(_SWEEPS if extra else 0):
            pull = self._pulls(heads, branches, extra, centre)
            heads = sorted(heads, key=pull.__getitem__)
            branches = {node: sorted(children, key=pull.__getitem__) for node, children in branches.items()}
            centre = self._stack(heads, branches)
            length = _total_length(centre, extra)
            if length < best_length - 1e-6:
                best, best_length = centre, length
        return best

    def _pulls(
        self, heads: list[str], branches: dict[str, list[str]], extra: list[tuple[str, str]], centre: dict[str, float]
    ) -> dict[str, float]:
        """Where each subtree wants to be: halfway between where it is and what its extra links lead to."""
        entered: dict[str, int] = {}
        left: dict[str, int] = {}
        for node, entering in walk(heads, branches):
            if entering:
                entered[node] = len(entered)
            else:
                left[node] = len(entered)
        wanted: dict[str, list[float]] = defaultdict(list)
        for here, there in [*extra, *((b, a) for a, b in extra)]:
            subtree: str | None = here
            while subtree is not None and not entered[subtree] <= entered[there] < left[subtree]:
                wanted[subtree].append(centre[there])
                subtree = self.family.spine[subtree].start if subtree in self.family.spine else None
        return {n: (y + sum(wanted[n]) / len(wanted[n])) / 2 if wanted[n] else y for n, y in centre.items()}

    def _stack(self, heads: list[str], branches: dict[str, list[str]]) -> dict[str, float]:
        """Gives each leaf a row and each parent the middle of its children, at most ``parent_drop`` below the first."""
        style = self.style
        centre: dict[str, float] = {}
        cursor = 0.0
        for node, entering in walk(heads, branches):
            children = branches[node]
            margin = (self.heights[node] - style.node_height) / 2
            if entering:
                cursor += margin
            elif children:
                first, last = centre[children[0]], centre[children[-1]]
                centre[node] = first + min((last - first) / 2, style.parent_drop)
                cursor += margin + (style.block_gap if len(children) > 1 else 0)
            else:
                centre[node] = cursor + style.node_height / 2
                cursor += style.node_height + margin + style.row_gap
        return centre

    def _ports(self, arriving: dict[str, list[Link]]) -> dict[int, float]:
        """Where each link enters its node: links from above enter above."""
        port: dict[int, float] = {}
        for member, links in arriving.items():
            links = sorted(links, key=lambda k: (self.centre[k.start], k.start))
            for i, link in enumerate(links):
                port[id(link)] = self.centre[member] + (i - (len(links) - 1) / 2) * self.style.port_step
        return port

    def _corridors(self, port: dict[int, float]) -> dict[int, float]:
        """Heights at which links pass the generations they skip, clear of boxes and of each other."""
        taken: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for member in self.family.members:
            half = self.heights[member] / 2 + self.style.row_gap / 2 - 1
            taken[self.family.generation[member]].append((self.centre[member] - half, self.centre[member] + half))
        corridor: dict[int, float] = {}
        for link in sorted((k for k in self.family.links if self._span(k) > 1), key=self._span):
            skipped = range(self.family.generation[link.start] + 1, self.family.generation[link.end])
            y = _nearest_free(port[id(link)], sorted(span for g in skipped for span in taken[g]))
            corridor[id(link)] = y
            for g in skipped:
                taken[g].append((y - 3, y + 3))
        return corridor

    def _wires(
        self, port: dict[int, float], corridor: dict[int, float]
    ) -> tuple[dict[int, list[_Wire]], dict[int, _Wire], dict[int, _Wire]]:
        """Vertical stretches by gap, and the first and last one of each link; overlapping ones get their own slots."""
        trunks: dict[str, _Wire] = {}
        by_gap: dict[int, list[_Wire]] = defaultdict(list)
        starts: dict[int, _Wire] = {}
        ends: dict[int, _Wire] = {}
        for link in self.family.links:
            gap = self.family.generation[link.start]
            here, span = self.centre[link.start], self._span(link)
            if span == 0:
                ends[id(link)] = _Wire.between(here, self.centre[link.end])
                by_gap[gap].append(ends[id(link)])
                continue
            target = corridor.get(id(link), port[id(link)])
            if link.start not in trunks:
                trunks[link.start] = _Wire(here, here)
                by_gap[gap].append(trunks[link.start])
            trunk = starts[id(link)] = trunks[link.start]
            trunk.low, trunk.high = min(trunk.low, target), max(trunk.high, target)
            if span > 1:
                ends[id(link)] = _Wire.between(target, port[id(link)])
                by_gap[gap + span - 1].append(ends[id(link)])
        for gap, wires in by_gap.items():
            by_gap[gap] = bent = sorted((w for w in wires if w.high - w.low > 0.5), key=lambda w: (w.low, w.high))
            free_from: list[float] = []
            for wire in bent:
                wire.slot = next((i for i, y in enumerate(free_from) if y < wire.low - 4), len(free_from))
                free_from[wire.slot : wire.slot + 1] = [wire.high]
        return by_gap, starts, ends

    def _draw(
        self,
        port: dict[int, float],
        corridor: dict[int, float],
        wires: dict[int, list[_Wire]],
        starts: dict[int, _Wire],
        ends: dict[int, _Wire],
    ) -> _Block:
        style, generation = self.style, self.family.generation
        labels = {id(k): clean(edge_label(k.edge)) if style.labels else "" for k in self.family.links}
        column_width = [0.0] * (max(generation.values()) + 1)
        label_width = [0.0] * (len(column_width) + 1)
        for member in self.family.members:
            column_width[generation[member]] = max(column_width[generation[member]], self.cards[member].width)
        for link in self.family.links:
            gap = generation[link.end] if self._span(link) == 0 else generation[link.end] - 1
            label_width[gap] = max(label_width[gap], text_width(labels[id(link)], style.label_size))
        left, channels = [0.0], []
        for g, width in enumerate(column_width):
            channels.append(left[g] + width + style.channel)
            slots = max((wire.slot for wire in wires[g]), default=0) + 1
            room = label_width[g] + 8 if label_width[g] else style.channel
            left.append(channels[g] + (slots - 1) * style.channel + room + style.arrow)

        def side(member: str) -> float:
            return left[generation[member]] + column_width[generation[member]]

        lines = []
        for link in self.family.links:
            first, last = starts.get(id(link)), ends.get(id(link))
            g, here = generation[link.start], self.centre[link.start]
            if self._span(link) == 0 and last is not None:
                x, there = channels[g] + last.slot * style.channel, self.centre[link.end]
                corners = [(side(link.start), here), (x, here), (x, there), (side(link.end), there)]
                label_at = (x + 5 + text_width(labels[id(link)], style.label_size), (here + there) / 2 + 4)
            else:
                there, tip = port[id(link)], left[generation[link.end]]
                corners = [(side(link.start), here)]
                for wire, gap, y in (
                    (first, g, corridor.get(id(link), there)),
                    (last, generation[link.end] - 1, there),
                ):
                    if wire is not None and abs(y - corners[-1][1]) > 0.5:
                        x = channels[gap] + wire.slot * style.channel
                        corners += [(x, corners[-1][1]), (x, y)]
                corners.append((tip, there))
                label_at = (tip - style.arrow - 3, there - 4)
            lines.append(_Line(link, tuple(corners), labels[id(link)], label_at))
        # The longest line first: where lines share a channel, each stretch shows the colour of the next turn-off.
        lines.sort(key=lambda line: -max(abs(y - line.corners[0][1]) for _, y in line.corners))
        return self._framed(left, column_width, lines)

    def _framed(self, left: list[float], column_width: list[float], lines: list[_Line]) -> _Block:
        top = min(y - self.heights[m] / 2 for m, y in self.centre.items())
        top = min([top] + [y - 4 for line in lines for _, y in line.corners])
        bottom = max(y + self.heights[m] / 2 for m, y in self.centre.items())
        bottom = max([bottom] + [y + 4 for line in lines for _, y in line.corners])
        right = left[-2] + column_width[-1]
        right = max([right] + [x for line in lines for x, _ in [*line.corners, line.label_at]])
        boxes = tuple(
            PlacedNode(
                id=member,
                x=left[self.family.generation[member]],
                y=_tidy(self.centre[member] - self.heights[member] / 2 - top),
                width=column_width[self.family.generation[member]],
                height=self.heights[member],
                name=self.cards[member].name,
                detail=self.cards[member].detail,
            )
            for member in self.family.members
        )
        moved = tuple(
            _Line(
                line.link,
                tuple((x, y - top) for x, y in line.corners),
                line.label,
                (line.label_at[0], line.label_at[1] - top),
            )
            for line in lines
        )
        return _Block(right, bottom - top, boxes, moved)


def _total_length(centre: dict[str, float], extra: list[tuple[str, str]]) -> float:
    return sum(abs(centre[a] - centre[b]) for a, b in extra)


def _nearest_free(wanted: float, taken: list[tuple[float, float]]) -> float:
    """The height nearest to ``wanted`` outside all intervals; ``taken`` is sorted."""
    below = above = wanted
    for low, high in taken:
        if low <= below <= high:
            below = high + 0.5
    for low, high in sorted(taken, key=lambda span: -span[1]):
        if low <= above <= high:
            above = low - 0.5
    return below if below - wanted <= wanted - above else above


def _grid(loners: list[str], cards: dict[str, _Card], style: _Style, width: float) -> _Block:
    """Nodes without any relation, in rows of equal boxes."""
    box = max(cards[i].width for i in loners)
    columns = max(1, min(len(loners), int((width + _LONER_GAP) // (box + _LONER_GAP))))
    gap = _LONER_GAP if style.labels else style.row_gap
    nodes = tuple(
        PlacedNode(
            id=node_id,
            x=(i % columns) * (box + _LONER_GAP),
            y=(i // columns) * (style.node_height + gap),
            width=box,
            height=style.node_height,
            name=cards[node_id].name,
            detail=cards[node_id].detail,
        )
        for i, node_id in enumerate(loners)
    )
    return _Block(nodes[columns - 1].x + box, nodes[-1].y + style.node_height, nodes)


def _pack(blocks: list[_Block], width: float) -> tuple[list[tuple[_Block, float, float]], float]:
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
