"""Which models may be merges at all: what has to hold of a merge, tested for all models of a family at once.

Each of the three explanations that :mod:`.merges` tries has a consequence that follows from a few products of sampled
values. It leaves out no merge, and few other models show it, so that few are looked at closely.

* A weighted sum of p models lies between them: seen from it, two of them are at an obtuse angle, with a cosine of at
  most ``-1 / (p - 1)``. For let ``u_i`` be the directions to the models and ``v_i >= 0`` the distances times the
  weights. As ``sum_i v_i u_i = 0``, the ``sum_i v_i^2`` equals ``-sum_{i != j} v_i v_j <u_i, u_j>``, which is at most
  ``-(p - 1) min <u_i, u_j> sum_i v_i^2``.
* With two weights a tensor, most of the child lies near the line through two models in every tensor.
* Of values picked from several models, about half at least are one of theirs, and no model has all of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.roles import Role, roles
from mlflow_mother.heritage.selection import LEAST_ADDED, LEAST_COVERED, ULPS

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

Search = tuple[str, tuple[str, ...]]
"""A possible child and the models, two or more, among which its parents are sought."""

OFF_THE_LINE = 0.2
"""Largest squared distance from the line through two models, relative to that from the nearer one."""

_SLACK = 0.9
"""Leaves room for rounding, and for the residual of a weighted sum."""

_ROUNDING = 1e-3
"""The same for the differences of equal values."""

_BLURRED = 1e-12
"""Squared distance, relative to the squared size of the family, below which products are rounding."""


@dataclass(frozen=True)
class _Tensor:
    """One tensor's sampled values in all models.

    Attributes:
        values: Shape ``(n, s)``; where a model lacks it, another one's.
        held: Which models have it, shape ``(n,)``.
        voting: In which it is more than state.
        bits: Bits of the mantissas in use.
    """

    values: npt.NDArray[np.float32]
    held: Truths
    voting: Truths
    bits: npt.NDArray[np.int32]


def may_be_merges(searches: Sequence[Search], models: Mapping[str, Fingerprint], most_parents: int) -> list[bool]:
    """Whether each search may find anything.

    Args:
        searches: Children with their candidates.
        models: Fingerprints of all of them.
        most_parents: Most parents of a weighted sum.
    """
    ids = sorted({name for child, names in searches for name in (child, *names)})
    prints = [models[name] for name in ids]
    if len({model.k for model in prints}) != 1:
        return [True] * len(searches)  # Of other widths, other numbers of values are kept.
    place = {name: n for n, name in enumerate(ids)}
    width = max(len(names) for _, names in searches)
    # Where there are fewer candidates the first one fills the row: it tells nothing new.
    among = np.array([[place[n] for n in names + names[:1] * (width - len(names))] for _, names in searches])
    screen = _Screen(np.array([place[child] for child, _ in searches]), among)
    for tensor in _tensors(prints):
        screen.add(tensor)
    passed: list[bool] = screen.passed(most_parents).tolist()
    return passed


def _tensors(models: Sequence[Fingerprint]) -> Iterator[_Tensor]:
    """The tensors of all models, by name and shape."""
    alike: dict[tuple[tuple[str, ...], tuple[tuple[int, ...], ...]], list[int]] = {}
    for n, model in enumerate(models):
        alike.setdefault((model.names, model.shapes), []).append(n)
    holders: dict[tuple[str, tuple[int, ...]], list[tuple[_Alike, int]]] = {}
    for layout, places in alike.items():
        group = _Alike.of([models[n] for n in places], places)
        for place, key in enumerate(zip(*layout, strict=True)):
            holders.setdefault(key, []).append((group, place))
    for groups in holders.values():
        rows = [group.samples[:, slice(*group.offsets[place : place + 2])] for group, place in groups]
        if not rows[0].shape[1]:
            continue
        values = np.tile(rows[0][0], (len(models), 1))
        held, voting = np.zeros((2, len(models)), bool)
        bits = np.zeros(len(models), np.int32)
        for (group, place), some in zip(groups, rows, strict=True):
            own = group.places
            values[own], held[own], voting[own], bits[own] = some, True, group.voting[:, place], group.bits[:, place]
        yield _Tensor(values, held, voting, bits)


@dataclass(frozen=True)
class _Alike:
    """What is compared of the models that have the same names and shapes, a row each."""

    places: list[int]
    samples: npt.NDArray[np.float32]
    offsets: Indices
    voting: Truths
    bits: npt.NDArray[np.int32]

    @staticmethod
    def of(models: Sequence[Fingerprint], places: list[int]) -> _Alike:
        return _Alike(
            places=places,
            samples=np.stack([model.sample for model in models]),
            offsets=models[0].sample_offsets,
            voting=np.stack([roles(model) != Role.STATE for model in models]),
            bits=np.stack([model.stats["mantissa"] for model in models]),
        )


class _Screen:
    """What m searches among w candidates each have seen so far: sums over tensors, each scaled to the child's energy.

    Args:
        child: Index of each search's child, shape ``(m,)``.
        among: Indices of its candidates, shape ``(m, w)``.
    """

    def __init__(self, child: Indices, among: Indices) -> None:
        self.child, self.among = child, among
        self.one, self.other = np.triu_indices(among.shape[1], 1)
        self.away = np.zeros(among.shape)
        self.product, self.off = np.zeros((2, len(child), len(self.one)))
        self.alone = np.zeros(among.shape)
        self.size, self.near, self.values = np.zeros((3, len(child)))

    def add(self, tensor: _Tensor) -> None:
        """Adds one tensor to those searches whose models all have it."""
        wide = tensor.values.astype(np.float64)
        energy = (wide[self.child] ** 2).sum(axis=1)
        compared = tensor.held[self.among].all(axis=1) & tensor.voting[self.child] & (energy > 0)
        scale = np.where(compared, 1.0 / np.where(compared, energy, 1.0), 0.0)[:, None]
        wide -= wide.mean(axis=0)
        products = wide @ wide.T
        squared = np.diagonal(products)
        distance = np.maximum(squared[:, None] + squared - 2 * products, 0.0)
        away = distance[self.child[:, None], self.among]
        one, other = away[:, self.one], away[:, self.other]
        apart = distance[self.among[:, self.one], self.among[:, self.other]]
        along = (one + apart - other) / 2
        same = apart <= _BLURRED * squared.max()
        off = one - np.where(same, 0.0, along**2 / np.where(same, 1.0, apart))
        self.away += scale * away
        self.product += scale * (one - along)
        self.off += scale * np.clip(off, 0.0, np.minimum(one, other))
        self.size += scale[:, 0] * squared.max()
        self.values += np.where(compared, tensor.values.shape[1], 0)
        self._count_near(tensor, compared)

    def _count_near(self, tensor: _Tensor, compared: Truths) -> None:
        """Counts the child's values that are also one of the candidates', and those that are each one's."""
        own = tensor.values[self.child]
        last = np.exp2(-np.maximum(tensor.bits, 1).astype(np.float32))[self.child, None] * np.abs(own)
        equal = (1 + _ROUNDING) * ULPS * last
        least, away = np.full_like(own, np.inf), np.empty_like(own)
        with np.errstate(over="ignore"):
            for candidate in self.among.T:
                np.take(tensor.values, candidate, axis=0, out=away)
                np.abs(np.subtract(away, own, out=away), out=away)
                np.minimum(least, away, out=least)
            near = np.count_nonzero(least <= equal, axis=1)
            some = np.flatnonzero(compared & (near > 0))
            self.near[some] += near[some]
            for i in some:
                self.alone[i] += np.count_nonzero(np.abs(tensor.values[self.among[i]] - own[i]) <= equal[i], axis=1)

    def passed(self, most_parents: int) -> Truths:
        """Which searches may find anything."""
        one, other = self.away[:, self.one], self.away[:, self.other]
        between = self.product <= -_SLACK / (most_parents - 1) * np.sqrt(one * other)
        in_line = self.off <= OFF_THE_LINE / _SLACK * np.minimum(one, other)
        covered = self.near >= LEAST_COVERED / 2 * self.values
        covered &= self.near - self.alone.max(axis=1) >= _SLACK * LEAST_ADDED * self.values
        blurred = self.away.min(axis=1) <= _BLURRED * self.size
        return np.asarray((self.values > 0) & (between.any(axis=1) | in_line.any(axis=1) | covered | blurred))
