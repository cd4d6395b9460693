"""Who has which space in one family's picture: rows and ports, columns and bands, corridors, channels and alleys.

A corridor is the height at which a line passes the generations that it skips, a channel a vertical stretch in the gap
after a generation, an alley the space between two bands, with a lane for each parent whose lines run there.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from mlflow_mother.export.rows import RowMeasures, vertical_centres
from mlflow_mother.export.structure import Family, Link
from mlflow_mother.export.text import clean, edge_label, text_width

Point = tuple[float, float]
Lane = tuple[str, int]

ALLEY = 16.0
"""Space above and below the lanes between two bands."""

LANE = 8.0
"""Space between two lanes."""

_BAND_WIDTH = 1500.0
_FOLD_FROM = 2200.0
_FOLD_RATIO = 4.0


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


# Rows and ports -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Vertical places before folding: a height and a centre for each node, a port for each link (by ``id``)."""

    height: dict[str, float]
    centre: dict[str, float]
    port: dict[int, float]


def rows_of(family: Family, style: Style) -> Rows:
    """Gives every node a height that has room for its ports, and a place among its relatives."""
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
    return Rows(height, centre, port)


# Columns and bands --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """By generation: width of its boxes, space for labels and arrows in the gap after it, its band, link labels."""

    width: list[float]
    room: list[float]
    band: list[int]
    label: dict[int, str]

    def folds(self, family: Family, link: Link) -> bool:
        """Whether the link leads from one band to another."""
        return self.band[family.generation[link.start]] != self.band[family.generation[link.end]]


def columns_of(family: Family, rows: Rows, widths: dict[str, float], style: Style) -> Columns:
    """Gives every generation its width, and folds the family when it is much wider than high."""
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
    return Columns(width, room, band, label)


def _bands(width: list[float], room: list[float], height: float) -> list[int]:
    """Folds columns into bands of about equal width when the family is much wider than high."""
    total = sum(width) + sum(room)
    if total < max(_FOLD_FROM, _FOLD_RATIO * height):
        return [0] * len(width)
    bands = math.ceil(total / max(_BAND_WIDTH, math.sqrt(total * (height + 2 * ALLEY))))
    found, used = [0], width[0]
    for g in range(1, len(width)):
        used += room[g - 1] + width[g]
        fits = used <= total / bands
        found.append(found[-1] + (0 if fits else 1))
        used = used if fits else width[g]
    return found


# Corridors and channels ---------------------------------------------------------------------------------------------


def corridors(family: Family, rows: Rows, columns: Columns, style: Style) -> dict[int, float]:
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
class Wire:
    """A vertical stretch in the gap after one generation; ``slot`` counts the gap's channels from the left."""

    low: float
    high: float
    slot: int = 0

    def reach(self, y: float) -> None:
        """Makes the stretch long enough."""
        self.low, self.high = min(self.low, y), max(self.high, y)


@dataclass(frozen=True)
class Channels:
    """The stretch behind each parent, the last stretch of links with two, and the number of channels by gap."""

    trunk: dict[str, Wire]
    landing: dict[int, Wire]
    count: dict[int, int]


def channels_of(family: Family, rows: Rows, columns: Columns, corridor: dict[int, float]) -> Channels:
    """Collects the vertical stretches of each gap and gives overlapping ones channels of their own."""
    trunk: dict[str, Wire] = {}
    landing: dict[int, Wire] = {}
    by_gap: dict[int, list[Wire]] = defaultdict(list)
    for link in family.links:
        gap, here, span = family.generation[link.start], rows.centre[link.start], family.span(link)
        if span == 0:
            landing[id(link)] = Wire(here, here)
            landing[id(link)].reach(rows.centre[link.end])
            by_gap[gap].append(landing[id(link)])
            continue
        if link.start not in trunk:
            trunk[link.start] = Wire(here, here)
            by_gap[gap].append(trunk[link.start])
        if columns.folds(family, link):
            trunk[link.start].reach(math.inf)
            before = family.generation[link.end] - 1
            if columns.band[before] == columns.band[before + 1]:
                landing[id(link)] = Wire(-math.inf, rows.port[id(link)])
                by_gap[before].append(landing[id(link)])
        elif id(link) in corridor:
            trunk[link.start].reach(corridor[id(link)])
            landing[id(link)] = Wire(corridor[id(link)], corridor[id(link)])
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
    return Channels(trunk, landing, count)


# Alleys between bands -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Alleys:
    """Lanes in the alley above each band: one for each parent and the band that it leads to."""

    lanes: dict[int, list[Lane]]

    def index(self, band: int, lane: Lane) -> int:
        """Number of a lane, from the band upwards."""
        return self.lanes[band].index(lane)


def alleys_of(family: Family, rows: Rows, columns: Columns) -> Alleys:
    """Gives every parent whose lines leave its band a lane above each band that they reach."""
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
    return Alleys(lanes)


def band_shifts(
    family: Family, rows: Rows, columns: Columns, corridor: dict[int, float], alleys: Alleys
) -> tuple[list[float], list[float]]:
    """How far each band moves down, and where it begins then."""
    ranges: list[Wire] = [Wire(math.inf, -math.inf) for _ in range(columns.band[-1] + 1)]
    for member, g in family.generation.items():
        ranges[columns.band[g]].reach(rows.centre[member] - rows.height[member] / 2)
        ranges[columns.band[g]].reach(rows.centre[member] + rows.height[member] / 2)
    for link in family.links:
        if id(link) in corridor:
            ranges[columns.band[family.generation[link.start]]].reach(corridor[id(link)])
    shift, top = [0.0], [ranges[0].low]
    for b, (before, band) in enumerate(pairwise(ranges), start=1):
        top.append(before.high + shift[-1] + 2 * ALLEY + max(len(alleys.lanes[b]) - 1, 0) * LANE)
        shift.append(top[-1] - band.low)
    return shift, top
