"""Boxes and lines of one family: columns, the way every line takes, and the folding of long chains.

A line leaves its parent at the right, turns into a vertical channel of the gap that follows, and enters its child at a
port of its own. All lines of one parent share a channel; no two parents share one where they would overlap. A line
that skips generations passes between their rows. A family that is much wider than high is folded into bands, like a
text into lines; the lines from band to band run between them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from mlflow_mother.export.lanes import (
    ALLEY,
    LANE,
    Alleys,
    Channels,
    Columns,
    Lane,
    Point,
    Rows,
    Style,
    Wire,
    alleys_of,
    band_shifts,
    channels_of,
    columns_of,
    corridors,
    rows_of,
)
from mlflow_mother.export.structure import Family, Link
from mlflow_mother.export.text import text_width
from mlflow_mother.types import Relation


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
    rows = rows_of(family, style)
    columns = columns_of(family, rows, widths, style)
    corridor = corridors(family, rows, columns, style)
    channels = channels_of(family, rows, columns, corridor)
    grid = _grid(family, rows, columns, corridor, channels, style)
    boxes = [grid.box(member) for member in family.members]
    lines = [grid.line(link) for link in family.links]
    # The longest line first: where lines of one parent overlap, the shorter one's colour is seen.
    lines.sort(key=lambda line: -max(abs(y - line.corners[0][1]) for _, y in line.corners))
    return _framed(boxes, lines)


# Drawing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    """Everything known, and the final places: left side of each column, shift and upper end of each band."""

    family: Family
    rows: Rows
    columns: Columns
    corridor: dict[int, float]
    channels: Channels
    style: Style
    left: list[float]
    shift: list[float]
    top: list[float]
    alleys: Alleys
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
        before_tip = tip[0] - self.columns.room[0] - last * LANE
        if id(link) in self.channels.landing:
            before_tip = self._channel_of(self.family.generation[link.end] - 1, self.channels.landing[id(link)])
        turns = [(x, self._alley(from_band + 1, (link.start, to_band)))]
        if to_band > from_band + 1:
            # Past the bands between, at the right of all of them.
            right = max(self.left[g] + w for g, w in enumerate(self.columns.width)) + 4 * self.style.channel
            turns.append((right + last * LANE, self._alley(to_band, (link.start, to_band))))
        return [*turns, (before_tip, tip[1])]

    def _alley(self, band: int, lane: Lane) -> float:
        """Height of a lane in the alley above a band; the first lane is the lowest."""
        return self.top[band] - ALLEY - self.alleys.index(band, lane) * LANE

    def _band(self, member: str) -> int:
        return self.columns.band[self.family.generation[member]]

    def _shift(self, member: str) -> float:
        return self.shift[self.columns.band[self.family.generation[member]]]

    def _right(self, member: str) -> float:
        g = self.family.generation[member]
        return self.left[g] + self.columns.width[g]

    def _channel(self, member: str, wire: Wire) -> float:
        return self._channel_of(self.family.generation[member], wire)

    def _channel_of(self, gap: int, wire: Wire) -> float:
        return self.left[gap] + self.columns.width[gap] + (wire.slot + 1) * self.style.channel


def _grid(
    family: Family, rows: Rows, columns: Columns, corridor: dict[int, float], channels: Channels, style: Style
) -> _Grid:
    left = [columns.room[0]]
    for g in range(1, len(columns.width)):
        if columns.band[g] == columns.band[g - 1]:
            gap = channels.count.get(g - 1, 1) * style.channel + columns.room[g - 1]
            left.append(left[-1] + columns.width[g - 1] + gap)
        else:
            left.append(columns.room[0])
    alleys = alleys_of(family, rows, columns)
    shift, top = band_shifts(family, rows, columns, corridor, alleys)
    relations: dict[str, set[tuple[Relation, str]]] = defaultdict(set)
    for link in family.links:
        relations[link.start].add((link.edge.relation, link.edge.direction))
    mixed = frozenset(member for member, kinds in relations.items() if len(kinds) > 1)
    return _Grid(family, rows, columns, corridor, channels, style, left, shift, top, alleys, mixed)


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
