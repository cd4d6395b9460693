"""Boxes and lines of one family: columns, the way every line takes, and the folding of long chains.

A line leaves its parent at the right, turns into a vertical channel of the gap that follows, and enters its child at a
port of its own. All lines of one parent share a channel; no two parents share one where they would overlap. A line
that skips generations passes between their rows. A family that is much wider than high is folded into bands, like a
text into lines; the lines from band to band run between them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise

from mlflow_mother.export.rows import RowMeasures, vertical_centres
from mlflow_mother.export.structure import Family, Link
from mlflow_mother.export.text import clean, edge_label, text_width
from mlflow_mother.types import Relation

Point = tuple[float, float]
Lane = tuple[str, int]

_BAND_WIDTH = 1500.0
_FOLD_FROM = 2200.0
_FOLD_RATIO = 4.0
_ALLEY = 16.0
_LANE = 8.0


@dataclass(frozen=True)
class Style:
    """Measures in pixels.

    Attributes:
        rows: Vertical measures.
        labels: Whether lines have labels.
        label_size: Font size of the labels.
        port_step: Space between two lines that enter one node.
        channel: Space between two channels.
        arrow: Length of an arrow head and the space before it.
    """

    rows: RowMeasures
    labels: bool
    label_size: float
    port_step: float
    channel: float
    arrow: float


@dataclass(frozen=True)
class Box:
    """A node's place."""

    node: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A link's corners.

    Attributes:
        link: The link.
        corners: From the start's side to the end's side, at right angles.
        stem: Whether its first stretch is also that of other kinds of lines from its parent.
        label: Text, may be empty.
        label_at: Right end of the text's base line.
    """

    link: Link
    corners: tuple[Point, ...]
    stem: bool
    label: str
    label_at: Point


@dataclass(frozen=True)
class Block:
    """A piece of the picture, from (0, 0) on."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...] = ()


def place_family(family: Family, widths: dict[str, float], style: Style) -> Block:
    """Places a family.

    Args:
        family: The family.
        widths: Width that each node's text needs.
        style: Measures.
    """
    rows = _rows(family, style)
    columns = _columns(family, rows, widths, style)
    corridor = _corridors(family, rows, columns, style)
    channels = _channels(family, rows, columns, corridor)
    grid = _grid(family, rows, columns, corridor, channels, style)
    boxes = [grid.box(member) for member in family.members]
    lines = [grid.line(link) for link in family.links]
    # The longest line first: where lines of one parent overlap, the shorter one's colour is seen.
    lines.sort(key=lambda line: -max(abs(y - line.corners[0][1]) for _, y in line.corners))
    return _framed(boxes, lines)


# Rows and ports -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """Vertical places before folding: a height and a centre for each node, a port for each link (by ``id``)."""

    height: dict[str, float]
    centre: dict[str, float]
    port: dict[int, float]


def _rows(family: Family, style: Style) -> _Rows:
    arriving: dict[str, list[Link]] = defaultdict(list)
    for link in family.links:
        if family.span(link) > 0:
            arriving[link.end].append(link)
    least = style.rows.node_height
    height = {m: max(least, len(arriving[m]) * style.port_step + 4) for m in family.members}
    centre = vertical_centres(family, height, style.rows)
    port: dict[int, float] = {}
    for member, links in arriving.items():
        # Links from above enter above, so that they do not cross.
        ordered = sorted(links, key=lambda link: (centre[link.start], link.start))
        for i, link in enumerate(ordered):
            port[id(link)] = centre[member] + (i - (len(links) - 1) / 2) * style.port_step
    return _Rows(height, centre, port)


# Columns and bands --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """By generation: width of its boxes, space for labels and arrows in the gap after it, its band, link labels."""

    width: list[float]
    room: list[float]
    band: list[int]
    label: dict[int, str]

    def folds(self, family: Family, link: Link) -> bool:
        """Whether the link leads from one band to another."""
        return self.band[family.generation[link.start]] != self.band[family.generation[link.end]]


def _columns(family: Family, rows: _Rows, widths: dict[str, float], style: Style) -> _Columns:
    width = [0.0] * (max(family.generation.values()) + 1)
    for member, g in family.generation.items():
        width[g] = max(width[g], widths[member])
    label = {id(link): clean(edge_label(link.edge)) if style.labels else "" for link in family.links}
    widest = [0.0] * len(width)
    for link in family.links:
        gap = family.generation[link.end] - (1 if family.span(link) else 0)
        widest[gap] = max(widest[gap], text_width(label[id(link)], style.label_size))
    room = [(text + 14 if text else 2 * style.channel) + style.arrow for text in widest]
    height = max(rows.centre.values()) - min(rows.centre.values()) + style.rows.node_height
    band = _bands(width, room, height)
    if band[-1] > 0:
        # Bands read as rows of one table when their columns are alike.
        width, room = [max(width)] * len(width), [max(room)] * len(room)
    return _Columns(width, room, band, label)


def _bands(width: list[float], room: list[float], height: float) -> list[int]:
    """Folds columns into bands of about equal width when the family is much wider than high."""
    total = sum(width) + sum(room)
    if total < max(_FOLD_FROM, _FOLD_RATIO * height):
        return [0] * len(width)
    bands = math.ceil(total / max(_BAND_WIDTH, math.sqrt(total * (height + 2 * _ALLEY))))
    found, used = [0], width[0]
    for g in range(1, len(width)):
        used += room[g - 1] + width[g]
        fits = used <= total / bands
        found.append(found[-1] + (0 if fits else 1))
        used = used if fits else width[g]
    return found


# Corridors and channels ---------------------------------------------------------------------------------------------


def _corridors(family: Family, rows: _Rows, columns: _Columns, style: Style) -> dict[int, float]:
    """Heights at which links pass the generations that they skip, clear of boxes and of each other."""
    taken: dict[int, list[Point]] = defaultdict(list)
    for member in family.members:
        half = rows.height[member] / 2 + style.rows.row_gap / 2 - 1
        taken[family.generation[member]].append((rows.centre[member] - half, rows.centre[member] + half))
    corridor: dict[int, float] = {}
    skipping = [link for link in family.links if family.span(link) > 1 and not columns.folds(family, link)]
    for link in sorted(skipping, key=family.span):
        skipped = range(family.generation[link.start] + 1, family.generation[link.end])
        y = _nearest_free(rows.port[id(link)], [interval for g in skipped for interval in taken[g]])
        corridor[id(link)] = y
        for g in skipped:
            taken[g].append((y - 3, y + 3))
    return corridor


def _nearest_free(wanted: float, taken: list[Point]) -> float:
    """The height nearest to ``wanted`` outside all intervals."""
    below = above = wanted
    for low, high in sorted(taken):
        if low <= below <= high:
            below = high + 0.5
    for low, high in sorted(taken, key=lambda interval: -interval[1]):
        if low <= above <= high:
            above = low - 0.5
    return below if below - wanted <= wanted - above else above


@dataclass
class _Wire:
    """A vertical stretch in the gap after one generation; ``slot`` counts the gap's channels from the left."""

    low: float
    high: float
    slot: int = 0

    def reach(self, y: float) -> None:
        """Makes the stretch long enough."""
        self.low, self.high = min(self.low, y), max(self.high, y)


@dataclass(frozen=True)
class _Channels:
    """The stretch behind each parent, the last stretch of links with two, and the number of channels by gap."""

    trunk: dict[str, _Wire]
    landing: dict[int, _Wire]
    count: dict[int, int]


def _channels(family: Family, rows: _Rows, columns: _Columns, corridor: dict[int, float]) -> _Channels:
    """Collects the vertical stretches of each gap and gives overlapping ones channels of their own."""
    trunk: dict[str, _Wire] = {}
    landing: dict[int, _Wire] = {}
    by_gap: dict[int, list[_Wire]] = defaultdict(list)
    for link in family.links:
        gap, here, span = family.generation[link.start], rows.centre[link.start], family.span(link)
        if span == 0:
            landing[id(link)] = _Wire(here, here)
            landing[id(link)].reach(rows.centre[link.end])
            by_gap[gap].append(landing[id(link)])
            continue
        if link.start not in trunk:
            trunk[link.start] = _Wire(here, here)
            by_gap[gap].append(trunk[link.start])
        if columns.folds(family, link):
            trunk[link.start].reach(math.inf)
            before = family.generation[link.end] - 1
            if columns.band[before] == columns.band[before + 1]:
                landing[id(link)] = _Wire(-math.inf, rows.port[id(link)])
                by_gap[before].append(landing[id(link)])
        elif id(link) in corridor:
            trunk[link.start].reach(corridor[id(link)])
            landing[id(link)] = _Wire(corridor[id(link)], corridor[id(link)])
            landing[id(link)].reach(rows.port[id(link)])
            by_gap[gap + span - 1].append(landing[id(link)])
        else:
            trunk[link.start].reach(rows.port[id(link)])
    count = {}
    for gap, wires in by_gap.items():
        free_from: list[float] = []
        bent = (wire for wire in wires if wire.high - wire.low > 0.5)
        for wire in sorted(bent, key=lambda w: (w.low, w.high)):
            wire.slot = next((i for i, y in enumerate(free_from) if y < wire.low - 4), len(free_from))
            free_from[wire.slot : wire.slot + 1] = [wire.high]
        count[gap] = max(len(free_from), 1)
    return _Channels(trunk, landing, count)


# Alleys between bands -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Alleys:
    """Lanes in the alley above each band: one for each parent and the band that it leads to."""

    lanes: dict[int, list[Lane]]

    def index(self, band: int, lane: Lane) -> int:
        """Number of a lane, from the band upwards."""
        return self.lanes[band].index(lane)


def _alleys(family: Family, rows: _Rows, columns: _Columns) -> _Alleys:
    highest: dict[tuple[int, Lane], float] = {}
    for link in family.links:
        first, last = (columns.band[family.generation[end]] for end in (link.start, link.end))
        for band in {first + 1, last} if first != last else ():
            key = (band, (link.start, last))
            highest[key] = min(highest.get(key, math.inf), rows.port[id(link)])
    lanes: dict[int, list[Lane]] = defaultdict(list)
    # Who enters highest runs lowest, so that the lines turn into the band without crossing each other.
    for band, lane in sorted(highest, key=lambda key: (highest[key], key)):
        lanes[band].append(lane)
    return _Alleys(lanes)


# Drawing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    """Everything known, and the final places: left side of each column, shift and upper end of each band."""

    family: Family
    rows: _Rows
    columns: _Columns
    corridor: dict[int, float]
    channels: _Channels
    style: Style
    left: list[float]
    shift: list[float]
    top: list[float]
    alleys: _Alleys
    mixed: frozenset[str]

    def box(self, member: str) -> Box:
        """A node's place."""
        g, height = self.family.generation[member], self.rows.height[member]
        y = self.rows.centre[member] + self._shift(member)
        return Box(member, self.left[g], y - height / 2, self.columns.width[g], height)

    def line(self, link: Link) -> Line:
        """A link's corners and its label."""
        label = self.columns.label[id(link)]
        start = (self._right(link.start), self.rows.centre[link.start] + self._shift(link.start))
        if self.family.span(link) == 0:
            x = self._channel(link.start, self.channels.landing[id(link)])
            end = (self._right(link.end), self.rows.centre[link.end] + self._shift(link.end))
            label_at = (x + 5 + text_width(label, self.style.label_size), (start[1] + end[1]) / 2 + 4)
            return Line(link, (start, (x, start[1]), (x, end[1]), end), False, label, label_at)
        tip = (self.left[self.family.generation[link.end]], self.rows.port[id(link)] + self._shift(link.end))
        corners = [start]
        for x, y in self._turns(link, tip):
            if abs(x - corners[-1][0]) < 0.5:
                corners[-1] = (x, y)
            elif abs(y - corners[-1][1]) > 0.5:
                corners += [(x, corners[-1][1]), (x, y)]
        corners.append((tip[0], corners[-1][1] if abs(tip[1] - corners[-1][1]) <= 0.5 else tip[1]))
        label_at = (tip[0] - self.style.arrow - 3, corners[-1][1] - 4)
        return Line(link, tuple(corners), link.start in self.mixed, label, label_at)

    def _turns(self, link: Link, tip: Point) -> list[Point]:
        """Where the line turns: in which channel, and to which height."""
        x = self._channel(link.start, self.channels.trunk[link.start])
        if not self.columns.folds(self.family, link):
            if id(link) not in self.corridor:
                return [(x, tip[1])]
            before = self.family.generation[link.end] - 1
            last = self._channel_of(before, self.channels.landing[id(link)])
            return [(x, self.corridor[id(link)] + self._shift(link.start)), (last, tip[1])]
        from_band, to_band = self._band(link.start), self._band(link.end)
        last = self.alleys.index(to_band, (link.start, to_band))
        before_tip = tip[0] - self.columns.room[0] - last * _LANE
        if id(link) in self.channels.landing:
            before_tip = self._channel_of(self.family.generation[link.end] - 1, self.channels.landing[id(link)])
        turns = [(x, self._alley(from_band + 1, (link.start, to_band)))]
        if to_band > from_band + 1:
            # Past the bands between, at the right of all of them.
            right = max(self.left[g] + w for g, w in enumerate(self.columns.width)) + 4 * self.style.channel
            turns.append((right + last * _LANE, self._alley(to_band, (link.start, to_band))))
        return [*turns, (before_tip, tip[1])]

    def _alley(self, band: int, lane: Lane) -> float:
        """Height of a lane in the alley above a band; the first lane is the lowest."""
        return self.top[band] - _ALLEY - self.alleys.index(band, lane) * _LANE

    def _band(self, member: str) -> int:
        return self.columns.band[self.family.generation[member]]

    def _shift(self, member: str) -> float:
        return self.shift[self.columns.band[self.family.generation[member]]]

    def _right(self, member: str) -> float:
        g = self.family.generation[member]
        return self.left[g] + self.columns.width[g]

    def _channel(self, member: str, wire: _Wire) -> float:
        return self._channel_of(self.family.generation[member], wire)

    def _channel_of(self, gap: int, wire: _Wire) -> float:
        return self.left[gap] + self.columns.width[gap] + (wire.slot + 1) * self.style.channel


def _grid(
    family: Family, rows: _Rows, columns: _Columns, corridor: dict[int, float], channels: _Channels, style: Style
) -> _Grid:
    left = [columns.room[0]]
    for g in range(1, len(columns.width)):
        if columns.band[g] == columns.band[g - 1]:
            gap = channels.count.get(g - 1, 1) * style.channel + columns.room[g - 1]
            left.append(left[-1] + columns.width[g - 1] + gap)
        else:
            left.append(columns.room[0])
    alleys = _alleys(family, rows, columns)
    shift, top = _band_shifts(family, rows, columns, corridor, alleys)
    relations: dict[str, set[tuple[Relation, str]]] = defaultdict(set)
    for link in family.links:
        relations[link.start].add((link.edge.relation, link.edge.direction))
    mixed = frozenset(member for member, kinds in relations.items() if len(kinds) > 1)
    return _Grid(family, rows, columns, corridor, channels, style, left, shift, top, alleys, mixed)


def _band_shifts(
    family: Family, rows: _Rows, columns: _Columns, corridor: dict[int, float], alleys: _Alleys
) -> tuple[list[float], list[float]]:
    """How far each band moves down, and where it begins then."""
    ranges: list[_Wire] = [_Wire(math.inf, -math.inf) for _ in range(columns.band[-1] + 1)]
    for member, g in family.generation.items():
        ranges[columns.band[g]].reach(rows.centre[member] - rows.height[member] / 2)
        ranges[columns.band[g]].reach(rows.centre[member] + rows.height[member] / 2)
    for link in family.links:
        if id(link) in corridor:
            ranges[columns.band[family.generation[link.start]]].reach(corridor[id(link)])
    shift, top = [0.0], [ranges[0].low]
    for b, (before, band) in enumerate(pairwise(ranges), start=1):
        top.append(before.high + shift[-1] + 2 * _ALLEY + max(len(alleys.lanes[b]) - 1, 0) * _LANE)
        shift.append(top[-1] - band.low)
    return shift, top


def _framed(boxes: list[Box], lines: list[Line]) -> Block:
    """Shifts everything to start at (0, 0)."""
    points = [(b.x, b.y) for b in boxes] + [(b.x + b.width, b.y + b.height) for b in boxes]
    points += [point for line in lines for point in line.corners]
    points += [line.label_at for line in lines if line.label]
    left, top = min(x for x, _ in points), min(y for _, y in points)

    def moved(point: Point) -> Point:
        return (point[0] - left, point[1] - top)

    return Block(
        max(x for x, _ in points) - left,
        max(y for _, y in points) - top,
        tuple(replace(box, x=box.x - left, y=box.y - top) for box in boxes),
        tuple(replace(k, corners=tuple(map(moved, k.corners)), label_at=moved(k.label_at)) for k in lines),
    )
