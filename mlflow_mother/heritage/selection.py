"""Children whose single values were picked from several models: frankenmerges, swapped layers, TIES.

A frankenmerge takes whole tensors from this model or that. TIES (Yadav et al., arXiv 2306.01708) keeps the base's value
where all changes are small, else that of the models that agree on a sign, or their mean. Either way nearly every
sampled value of the child is one of a few models', to the last bit, or a mean of such: a greedy set cover finds these
models. Training leaves no value as it was, so a partial fine-tune is covered by its parent alone, and no further.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.roles import Role, roles

Floats = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]

LEAST_COVERED = 0.95
"""Least share of the child's values that its models must explain."""

LEAST_ADDED = 0.05
"""Least share of values that each model explains and no earlier one."""

MOST_SOURCES = 4

ULPS = 2.0
"""Largest difference between equal values, in units of the last bit in use."""

_APART = 32.0
_LEAST_VALUES = 64


@dataclass(frozen=True)
class Common:
    """Sampled values of the tensors that a child and all its candidates share, each tensor scaled to unit energy.

    Attributes:
        child: Shape ``(N,)``.
        sources: The candidates', shape ``(n, N)``.
        starts: Where each tensor begins.
        ulp: What the last bit in use is worth at each of the child's values.
    """

    child: Floats
    sources: Floats
    starts: npt.NDArray[np.int64]
    ulp: Floats

    def tensors(self) -> Iterator[tuple[Floats, Floats]]:
        """The child's and the candidates' values, tensor by tensor."""
        for start, stop in zip(self.starts, [*self.starts[1:], len(self.child)], strict=True):
            yield self.child[start:stop], self.sources[:, start:stop]


@dataclass(frozen=True)
class Picked:
    """A cover of the child's values.

    Attributes:
        shares: Candidates' indices and their shares of the covered values, which add up to 1.
        covered: Share of the values that is explained.
        values: How many values there are at which the candidates differ.
    """

    shares: tuple[tuple[int, float], ...]
    covered: float
    values: int


def pick(common: Common) -> Picked | None:
    """The few candidates whose values the child's are, or None; one alone is none."""
    near = np.abs(common.sources - common.child) <= ULPS * common.ulp
    if near.any(axis=0).mean() < LEAST_COVERED / 2:
        return None
    chosen = _cover(near)
    if len(chosen) < 2:
        return None
    apart = np.ptp(common.sources[chosen], axis=0) > _APART * common.ulp
    if apart.sum() < _LEAST_VALUES:
        return None
    left, counts = apart.copy(), []
    for i in chosen:
        counts.append(int((left & near[i]).sum()))
        left &= ~near[i]
    for size in range(2, len(chosen) + 1):
        for some in combinations(chosen, size):
            mean = common.sources[list(some)].mean(axis=0)
            left &= np.abs(mean - common.child) > ULPS * common.ulp
    covered = 1 - left.sum() / apart.sum()
    if covered < LEAST_COVERED or min(counts) < LEAST_ADDED * apart.sum():
        return None
    shares = tuple((i, count / sum(counts)) for i, count in zip(chosen, counts, strict=True))
    return Picked(shares, float(covered), int(apart.sum()))


def _cover(near: Truths) -> list[int]:
    """Candidates in the order in which each explains most of what is left."""
    left = np.ones(near.shape[1], bool)
    chosen: list[int] = []
    while len(chosen) < MOST_SOURCES:
        added = (near & left).mean(axis=1)
        best = int(added.argmax())
        if added[best] < LEAST_ADDED:
            break
        chosen.append(best)
        left &= ~near[best]
    return chosen


def common_values(child: str, candidates: Sequence[str], models: Mapping[str, Fingerprint]) -> Common | None:
    """Sampled values of the tensors that a child and all candidates share by name and shape; None without any."""
    ids = [child, *candidates]
    reference = models[child]
    places = np.stack([_places(reference, models[m]) for m in ids])
    places = places[:, (roles(reference) != Role.STATE) & (places >= 0).all(axis=0)]
    lengths = np.min([np.diff(models[m].sample_offsets)[own] for m, own in zip(ids, places, strict=True)], axis=0)
    places, lengths = places[:, lengths > 0], lengths[lengths > 0]
    if not len(lengths):
        return None
    starts = np.cumsum(lengths) - lengths
    within = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    values = np.empty((len(ids), len(within)))
    first = index = np.zeros(0, np.int64)
    for row, m, own in zip(values, ids, places, strict=True):
        offsets = models[m].sample_offsets[own]
        if not np.array_equal(offsets, first):
            first, index = offsets, np.repeat(offsets, lengths) + within
        row[:] = models[m].sample[index]
    energies = np.add.reduceat(values[0] ** 2, starts)
    kept = np.repeat(energies > 0, lengths)
    if not kept.any():
        return None
    bits = np.repeat(reference.stats["mantissa"][places[0]], lengths)
    scale = np.sqrt(np.repeat(energies, lengths))
    if not kept.all():
        values, scale, bits, lengths = values[:, kept], scale[kept], bits[kept], lengths[energies > 0]
    ulp = np.exp2(-np.maximum(bits, 1).astype(np.float64)) * np.abs(values[0])
    values /= scale
    return Common(values[0], values[1:], np.cumsum(lengths) - lengths, ulp / scale)


def _places(reference: Fingerprint, model: Fingerprint) -> npt.NDArray[np.int64]:
    """Where the model holds the reference's tensors, by name and shape; -1 where it does not."""
    if model.names == reference.names and model.shapes == reference.shapes:
        return np.arange(len(reference.names))
    known = {pair: place for place, pair in enumerate(zip(model.names, model.shapes, strict=True))}
    wanted = zip(reference.names, reference.shapes, strict=True)
    return np.array([known.get(pair, -1) for pair in wanted], np.int64)
