"""Dormant weights: values that training never gave a gradient.

Embeddings of words that the data does not hold, positions beyond its length, weights of units that are never active: an
optimiser moves them by weight decay alone, each by the same factor in every step. Between two relatives they show as
many values with one common ratio, while all others moved by amounts of their own. The ratio is a clock that training
turns one way only: a model whose dormant weights are smaller than another's is not where that other one comes from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.geometry import Geometry
from mlflow_mother.heritage.roles import Role

Floats = npt.NDArray[np.float64]

LEAST_DORMANT = 24
"""Fewest sampled values with one ratio."""

LEAST_DECAY = 1e-6
"""Smallest logarithm of a ratio that tells a direction: a few roundings of single precision."""

WIDTHS = (2e-6, 2e-5, 2e-4)
"""Widths within which the ratios' logarithms may lie. Rounding in each of a thousand steps leaves 1e-6. Decay of less
than a few roundings a step goes by whole roundings, which spreads it by up to a half of its size."""

CONTRAST = 4.0
"""How much denser the ratios must lie there than around."""

_AROUND = 10
_LARGEST_LOG = 0.5
_FINE_MANTISSA = 16


class Decay(NamedTuple):
    """What two models' dormant weights say.

    Attributes:
        values: How many sampled values have the common ratio; 0 when there is none but 1.
        log: Logarithm of the first model's dormant weights over the second's: positive when the second decayed further.
    """

    values: int
    log: float


def decay(first: Fingerprint, second: Fingerprint, pair: Geometry) -> Decay:
    """Looks for a ratio that many sampled values have in common; swapping the models turns the logarithm's sign.

    Tensors on a grid coarser than single precision's are left out, since their values have few ratios to choose from.
    """
    fine = (first.stats["mantissa"][pair.a] >= _FINE_MANTISSA) & (second.stats["mantissa"][pair.b] >= _FINE_MANTISSA)
    before, after = _values(first, second, pair, np.flatnonzero((pair.role != Role.STATE) & ~pair.identical & fine))
    kept = (before * after > 0) & (before != after)
    logs = np.log(before[kept] / after[kept])
    # Sorted in single precision, whose error of 3e-8 is far below the widths, because that takes half the time.
    return _common(np.sort(logs[np.abs(logs) < _LARGEST_LOG].astype(np.float32)).astype(np.float64))


def _values(
    first: Fingerprint, second: Fingerprint, pair: Geometry, places: npt.NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Sampled values of the pairs at these places that both models hold."""
    if np.array_equal(first.sample_offsets, second.sample_offsets) and np.array_equal(pair.a, pair.b):
        chosen = np.zeros(len(first.names), bool)
        chosen[pair.a[places]] = True
        kept = np.repeat(chosen, np.diff(first.sample_offsets))
        return first.sample[kept].astype(np.float64), second.sample[kept].astype(np.float64)
    one = [first.sample_of(int(i)) for i in pair.a[places]]
    other = [second.sample_of(int(j)) for j in pair.b[places]]
    common = [min(len(x), len(y)) for x, y in zip(one, other, strict=True)]
    before = np.concatenate([np.zeros(0), *(x[:n] for x, n in zip(one, common, strict=True))])
    after = np.concatenate([np.zeros(0), *(y[:n] for y, n in zip(other, common, strict=True))])
    return before, after


def _common(logs: Floats) -> Decay:
    """The place where sorted logarithms lie densest, if that is clearly denser than around it."""
    if len(logs) < LEAST_DORMANT:
        return Decay(0, 0.0)
    spans = logs[LEAST_DORMANT - 1 :] - logs[: len(logs) - LEAST_DORMANT + 1]
    # From either side the same place is found: of equally dense ones the middle one.
    densest = np.flatnonzero(spans == spans.min())
    centre = logs[densest[[0, -1]] + [0, LEAST_DORMANT - 1]].mean()
    best = Decay(0, 0.0)
    for width in WIDTHS:
        reach = np.array([-_AROUND, -1, 1, _AROUND]) * width / 2
        outer, start, end, further = np.searchsorted(logs, centre + reach)
        chance = ((further - outer) - (end - start)) / (_AROUND - 1)
        clear = int(end - start - chance)
        log = float(np.median(logs[start:end])) if end > start else 0.0
        narrow = width == WIDTHS[0] or abs(log) > width / 2
        if narrow and clear >= max(LEAST_DORMANT, best.values) and end - start >= CONTRAST * chance:
            best = Decay(clear, log)
    return best if abs(best.log) >= LEAST_DECAY else Decay(0, 0.0)
