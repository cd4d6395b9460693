"""Certificates: facts about two models that decide their direction without statistics.

Each is read off raw values at fixed positions and exact counts, so it is a proof up to the sampled positions, not a
likelihood: a cast is the exact rounding of its parent, a pruned child's zeros contain its parent's, counters only grow,
weights without gradients only decay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.layout import DISTINCT_VALUES
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.dormant import decay
from mlflow_mother.heritage.geometry import Geometry
from mlflow_mother.heritage.roles import Role
from mlflow_mother.types import Record, Relation

PROOF = 12.0
"""Log-odds of an exact certificate: wrong once in 160,000."""

COUNTER_LOG_ODDS = 3.0
"""Log-odds of a grown counter: training scripts may reset it."""

DECAY_LOG_ODDS = 4.0
"""Log-odds of decayed dormant weights: those of averaged models lie between their parents'."""

RESIZED_LOG_ODDS = 2.0
"""Log-odds that the model with more rows is the child: vocabularies are extended more often than trimmed."""

LEAST_PRUNED = 0.05
"""Least additional share of zeros that counts as pruning."""

_SINGLE_ROUNDING = 2.0**-23
"""Most by which rounding to float32 changes a sum of squares, relative to it."""

QUANTISATION_LEVELS = 256
"""Most distinct values in a row of an 8-bit quantised tensor that is stored in few bits itself."""

LEAST_REPEATED = 0.03
"""Least share of repeated values that shows a grid. Groups of 32 in 8 bits repeat about 7 %, rows of 96 about 25 %,
rows in 4 bits half and more; of 4,096 trained values in single precision fewer than 0.1 % are repeated."""

_FINE_MANTISSA = 16
"""Mantissa bits from which on no floating-point format explains repeated values."""

_LEAST_QUANTISED = 1024
"""Fewest elements of a matrix in which repeated values are looked for."""


@dataclass(frozen=True)
class _Grid:
    """A floating-point format: mantissa bits and the exponent of its smallest normal number."""

    name: str
    mantissa: int
    smallest: int

    def round(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Rounds half to even onto the grid, subnormal numbers included."""
        wide = values.astype(np.float64)
        _, exponent = np.frexp(wide)
        step = np.exp2(np.maximum(exponent - 1, self.smallest) - self.mantissa)
        return np.asarray(np.round(wide / step) * step)


GRIDS = (_Grid("bf16", 7, -126), _Grid("fp16", 10, -14), _Grid("fp8 e4m3", 3, -6), _Grid("fp8 e5m2", 2, -14))


class Certificate(Record):
    """One exact fact about a pair.

    Attributes:
        relation: The relation it proves, if any.
        forward: True when the first model is the parent, False when the second is, None when it proves no direction.
        log_odds: Weight for that direction.
        text: The fact in words, from the parent's side.
    """

    relation: Relation | None
    forward: bool | None
    log_odds: float
    text: str

    @property
    def clock(self) -> bool:
        """Whether it only tells which of the two was trained for longer, not how the one was made from the other."""
        return self.relation is None

    def swapped(self) -> Certificate:
        """The same fact read from the other model's side."""
        return self if self.forward is None else self.model_copy(update={"forward": not self.forward})


def certify(first: Fingerprint, second: Fingerprint, pair: Geometry) -> tuple[Certificate, ...]:
    """All certificates of a pair, in both directions."""
    one_way = list(_directed(first, second, pair))
    other_way = [certificate.swapped() for certificate in _directed(second, first, pair.mirrored())]
    found = one_way + other_way + list(_same_values(first, second, pair)) + list(_decayed(first, second, pair))
    if any(item.relation is Relation.CAST for item in found):
        # Rounding and quantising both leave a grid; which values stand on it is known exactly of the first alone.
        found = [item for item in found if item.relation is not Relation.QUANTIZED]
    return tuple(found)


def _directed(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    yield from _cast(parent, child, pair)
    yield from _rounded_or_pruned(parent, child, pair)
    yield from _resized(parent, child, pair)
    yield from _counters(parent, child, pair)


def _rounded_or_pruned(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    """Coarse grids make zeros of small weights, too: only if the others stay exactly as they were it is pruning."""
    pruned, quantised = list(_pruned(parent, child, pair)), list(_quantised(parent, child, pair))
    exact = any(item.log_odds > PROOF / 3 for item in pruned)
    yield from pruned if exact or not quantised else quantised


def _samples(
    parent: Fingerprint, child: Fingerprint, pair: Geometry, roles: tuple[Role, ...]
) -> Iterator[tuple[int, npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Raw values at common positions of every pair of these roles, with the pair's index."""
    for n in np.flatnonzero(np.isin(pair.role, roles)):
        before, after = parent.sample_of(int(pair.a[n])), child.sample_of(int(pair.b[n]))
        common = min(len(before), len(after))
        yield int(n), before[:common], after[:common]


_FLOATING = (Role.MATRIX, Role.BIAS, Role.GAIN)


def _cast(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    on_some_grid = child.stats["mantissa"][pair.b] <= max(grid.mantissa for grid in GRIDS)
    changed = []
    for n, before, after in _samples(parent, child, pair, _FLOATING):
        if not np.array_equal(before, after):
            if not on_some_grid[n]:
                return
            changed.append((n, before, after))
    if not changed:
        yield from _cast_from_double(parent, child, pair)
        return
    places = np.array([n for n, _, _ in changed], np.int64)
    grid = _grid_of(child, pair.b[places])
    if grid is None or _grid_of(parent, pair.a[places]) == grid:
        return
    if all(np.array_equal(grid.round(before), after) for _, before, after in changed):
        total = sum(len(after) for _, _, after in changed)
        text = f"exact rounding to {grid.name}: all {total:,} sampled values of {len(changed)} tensors agree"
        log_odds = PROOF if _whole(pair) else PROOF / 2
        yield Certificate(relation=Relation.CAST, forward=True, log_odds=log_odds, text=text)


def _cast_from_double(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    """Rounding to float32, in which sampled values are kept: exact sums alone tell a double from its rounding."""
    doubles = [
        n
        for n in np.flatnonzero(np.isin(pair.role, _FLOATING))
        if parent.dtypes[pair.a[n]] == "F64" and child.dtypes[pair.b[n]] == "F32"
    ]
    before, after = parent.stats["sumsq"][pair.a[doubles]], child.stats["sumsq"][pair.b[doubles]]
    if np.any(before != after) and np.allclose(before, after, rtol=_SINGLE_ROUNDING, atol=0.0):
        text = f"exact rounding to fp32: all sampled values of {len(doubles)} tensors agree"
        yield Certificate(relation=Relation.CAST, forward=True, log_odds=PROOF, text=text)


def _grid_of(model: Fingerprint, indices: npt.NDArray[np.int64]) -> _Grid | None:
    """The coarsest known grid on which all these tensors' values lie."""
    if not len(indices):
        return None
    bits = int(model.stats["mantissa"][indices].max())
    fitting = [grid for grid in GRIDS if bits <= grid.mantissa]
    stored = {model.dtypes[int(i)] for i in indices}
    if stored == {"F16"}:
        return GRIDS[1]
    return min(fitting, key=lambda grid: grid.mantissa) if fitting else None


def _same_values(first: Fingerprint, second: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    if pair.identical.all() or not len(pair.a) or first.digest == second.digest:
        return
    if all(
        np.array_equal(one, other) and first.stats["sumsq"][pair.a[n]] == second.stats["sumsq"][pair.b[n]]
        for n, one, other in _samples(first, second, pair, _FLOATING)
    ):
        text = "the same values in another element type"
        yield Certificate(relation=Relation.CAST, forward=None, log_odds=0.0, text=text)


def _pruned(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    matrices = pair.role == Role.MATRIX
    count = float(parent.stats["count"][pair.a[matrices]].sum())
    before_zeros = float(parent.stats["zeros"][pair.a[matrices]].sum())
    after_zeros = float(child.stats["zeros"][pair.b[matrices]].sum())
    if count == 0 or after_zeros - before_zeros < LEAST_PRUNED * count:
        return
    kept = sampled = 0
    for _, before, after in _samples(parent, child, pair, (Role.MATRIX,)):
        if np.any((before == 0) & (after != 0)):
            return
        kept += int(np.count_nonzero((after != 0) & (after == before)))
        sampled += int(np.count_nonzero(after))
    exact = kept == sampled
    rest = "every other sampled value is the parent's" if exact else "the rest was trained on"
    text = f"{after_zeros / count:.0%} zeros, {before_zeros / count:.0%} before; {rest}"
    log_odds = (PROOF if _whole(pair) else PROOF / 2) if exact else PROOF / 3
    yield Certificate(relation=Relation.PRUNED, forward=True, log_odds=log_odds, text=text)


def _quantised(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    """Values on a grid that no floating-point format explains, where the parent's are on none."""
    large = (pair.role == Role.MATRIX) & (parent.stats["count"][pair.a] >= _LEAST_QUANTISED)
    if not large.any():
        return
    before, after = parent.stats[pair.a[large]], child.stats[pair.b[large]]
    repeated = _repeated(after)
    grid = (after["mantissa"] >= _FINE_MANTISSA) & (repeated > LEAST_REPEATED)
    grid &= (before["mantissa"] < _FINE_MANTISSA) | (_repeated(before) < repeated / 4)
    few = (after["distinct"] <= QUANTISATION_LEVELS) & (before["distinct"] > 4 * after["distinct"].astype(np.int64))
    on_grid = grid | (few & (2 * after["zeros"] < after["count"]))
    if on_grid.mean() <= 0.5:
        return
    share = float(np.median(repeated[on_grid]))
    text = (
        f"{int(on_grid.sum())} of {len(after)} large matrices lie on a grid ({share:.0%} of their values are repeated)"
    )
    zeros = [(before == 0, after == 0) for _, before, after in _samples(parent, child, pair, (Role.MATRIX,))]
    if any(np.any(before & ~after) for before, after in zeros):
        return
    rest = np.isin(pair.role, _FLOATING) & (pair.role != Role.MATRIX)
    exact = _whole(pair) and bool(rest.any() and pair.identical[rest].all())
    if exact:
        text += f", {int(rest.sum())} biases and norms untouched"
    yield Certificate(relation=Relation.QUANTIZED, forward=True, log_odds=PROOF if exact else PROOF / 2, text=text)


def _whole(pair: Geometry) -> bool:
    """Whether all matrices of both models correspond: rounding and pruning leave every shape as it is."""
    return not pair.resized and pair.only_a == pair.only_b == 0


def _repeated(stats: npt.NDArray[np.void]) -> npt.NDArray[np.float64]:
    """Share of the first values of each tensor that repeat others and are not zero, rather too small than too large.

    Zeros are counted over the whole tensor; twice their share is taken for those among the first values.
    """
    searched = np.minimum(stats["count"], DISTINCT_VALUES)
    zeros = 2 * searched * (stats["zeros"] / np.maximum(stats["count"], 1))
    different = stats["distinct"] - (stats["zeros"] > 0)
    repeats = np.where(different > 1, searched - zeros - different, 0.0)
    return np.asarray(np.maximum(repeats / np.maximum(searched, 1), 0.0))


def _resized(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    grown = [(parent.shapes[i][0], child.shapes[j][0]) for i, j in pair.resized if len(parent.shapes[i]) >= 1]
    if grown and all(after > before for before, after in grown):
        what = "1 tensor has" if len(grown) == 1 else f"{len(grown)} tensors have"
        text = f"{what} more rows ({grown[0][0]} -> {grown[0][1]})"
        yield Certificate(relation=Relation.EXTENDED, forward=True, log_odds=RESIZED_LOG_ODDS, text=text)


def _decayed(first: Fingerprint, second: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    found = decay(first, second, pair)
    if found.values:
        share = -math.expm1(-abs(found.log))
        text = f"{found.values} sampled values that got no gradients shrank alike, by {share:.2g}: weight decay"
        yield Certificate(relation=None, forward=found.log > 0, log_odds=DECAY_LOG_ODDS, text=text)


def _counters(parent: Fingerprint, child: Fingerprint, pair: Geometry) -> Iterator[Certificate]:
    counters = [
        (parent.stats["sum"][i], child.stats["sum"][j])
        for i, j in zip(pair.a, pair.b, strict=True)
        if parent.names[i].endswith("num_batches_tracked") and child.names[j].endswith("num_batches_tracked")
    ]
    if counters and all(after > before > 0 for before, after in counters):
        text = f"step counters grew from {counters[0][0]:.0f} to {counters[0][1]:.0f}"
        yield Certificate(relation=None, forward=True, log_odds=COUNTER_LOG_ODDS, text=text)
