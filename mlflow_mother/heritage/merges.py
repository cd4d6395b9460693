"""Merges: children whose weights are a weighted sum of several models' weights.

Every fingerprint keeps raw values of every tensor at fixed positions. If a child is ``sum_i w_i p_i`` with weights that
add up to 1, the same holds for these values, and a non-negative least-squares fit of them leaves only rounding. The fit
is done in differences from the nearest model, so that the large common part of relatives does not hide the residual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.roles import Role, roles

Floats = npt.NDArray[np.float64]

LARGEST_RESIDUAL = 1e-3
"""Largest squared residual, relative to the squared distance to the nearest model, at which a merge is adopted."""

LEAST_WEIGHT = 0.02
"""Smallest share of a parent; below it a merge cannot be told from its other parents."""

MOST_PARENTS = 4

_RIDGE = 1e-10


@dataclass(frozen=True)
class Merge:
    """A child as a weighted sum.

    Attributes:
        weights: Share of each parent; they add up to 1.
        residual: Squared residual relative to the squared distance to the nearest parent.
        values: How many sampled values were fitted.
    """

    weights: Mapping[str, float]
    residual: float
    values: int


def find_merge(child: str, candidates: Sequence[str], models: Mapping[str, Fingerprint]) -> Merge | None:
    """Looks for two to four candidates whose weighted sum is the child.

    Args:
        child: Id of the child.
        candidates: Ids of related models, nearest first; copies of the child left out.
        models: Fingerprints of all of them.

    Returns:
        The merge with the smallest residual among those with the fewest parents, or None.
    """
    values = _common_values([child, *candidates], models)
    if values is None:
        return None
    target, sources = values[0], values[1:]
    offsets = sources - target
    products = offsets @ offsets.T
    for parents in range(2, min(MOST_PARENTS, len(candidates)) + 1):
        pool = range(len(candidates)) if parents == 2 else range(min(6, len(candidates)))
        fits = [
            fit
            for chosen in _promising(products, list(combinations(pool, parents)))
            if (fit := _fit(target, sources, chosen)) is not None
        ]
        if fits:
            residual, chosen, weights = min(fits)
            named = {candidates[i]: float(w) for i, w in zip(chosen, weights, strict=True)}
            return Merge(named, residual, len(target))
    return None


def _promising(products: Floats, choices: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The choices of sources whose weighted sum may be near enough to the target; few are, so that few are fitted.

    Among weights of any sign that add up to 1, the squared residual is least at ``1 / (1' M^-1 1)``, where ``M`` holds
    the products of the sources' offsets from the target. A ridge keeps ``M`` invertible; for weights between 0 and 1 it
    adds at most its size times the largest squared offset. So nothing is left out that :func:`_fit` would adopt.

    Args:
        products: Inner products of all sources' offsets from the target.
        choices: Indices of sources, equally many in each.
    """
    chosen = np.array(choices)
    among = products[chosen[:, :, None], chosen[:, None, :]]
    squared = np.diagonal(among, axis1=1, axis2=2)
    largest = np.maximum(squared.max(axis=1), np.finfo(np.float64).tiny)
    ridge = _RIDGE * largest
    inverse = np.linalg.inv((among + ridge[:, None, None] * np.eye(chosen.shape[1])) / largest[:, None, None])
    least = largest / inverse.sum(axis=(1, 2)) - ridge
    promising = least <= 2 * LARGEST_RESIDUAL * squared.min(axis=1)
    return [choice for choice, kept in zip(choices, promising.tolist(), strict=True) if kept]


def _fit(
    target: Floats, sources: Floats, chosen: tuple[int, ...]
) -> tuple[float, tuple[int, ...], tuple[float, ...]] | None:
    """Non-negative weights of the chosen sources that add up to 1, when they explain the target."""
    first = sources[chosen[0]]
    directions = np.stack([sources[i] - first for i in chosen[1:]], axis=1)
    wanted = target - first
    rest, _ = nnls(directions, wanted)
    weights = (1.0 - float(rest.sum()), *rest.tolist())
    if min(weights) < LEAST_WEIGHT:
        return None
    nearest = min(float(((target - sources[i]) ** 2).sum()) for i in chosen)
    residual = float(((wanted - directions @ rest) ** 2).sum()) / max(nearest, 1e-300)
    return (residual, chosen, weights) if residual < LARGEST_RESIDUAL else None


def _common_values(ids: Sequence[str], models: Mapping[str, Fingerprint]) -> Floats | None:
    """Sampled values of the tensors that all models share by name and shape, each tensor scaled to unit energy."""
    reference = models[ids[0]]
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
    energy = np.repeat(np.add.reduceat(values[0] ** 2, starts), lengths)
    if not energy.all():
        values, energy = values[:, energy > 0], energy[energy > 0]
    values /= np.sqrt(energy)
    return values if len(energy) else None


def _places(reference: Fingerprint, model: Fingerprint) -> npt.NDArray[np.int64]:
    """Where the model holds the reference's tensors, by name and shape; -1 where it does not."""
    if model.names == reference.names and model.shapes == reference.shapes:
        return np.arange(len(reference.names))
    known = {pair: place for place, pair in enumerate(zip(model.names, model.shapes, strict=True))}
    wanted = zip(reference.names, reference.shapes, strict=True)
    return np.array([known.get(pair, -1) for pair in wanted], np.int64)
