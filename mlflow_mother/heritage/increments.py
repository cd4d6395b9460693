"""How far the models of one family are apart when the directions that all training moves along count less.

Fine-tunes of one network share what any training does to it: a few directions of each matrix take most of every update,
so that two siblings look as if one came from the other. What is particular to a model lies in all the other directions,
and its descendants inherit it. Updates are therefore measured in the metric in which they are equally large in every
direction: for a matrix the Kronecker-factored covariance of the family's differences (a matrix-normal distribution's,
Dutilleul 1999; as in Shampoo, Gupta et al., arXiv 1802.09568), estimated on the sketches. In that metric a descendant's
further way is much closer to orthogonal to its ancestor's than in the plain one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.roles import Role, roles

Floats = npt.NDArray[np.float64]

RIDGE = 0.01
"""Share of the mean variance that is added to every direction's: directions without any are not blown up."""

VECTOR_RIDGE = 0.1
"""The same for vectors, whose variances are single elements'."""

VECTOR_WEIGHT = 0.3
"""Weight of a bias or norm gain against a matrix: it has far fewer elements."""

LEAST_WHITENED = 9
"""Fewest models from whose differences the covariances can be estimated; between fewer, plain distances do better."""

MOST_TENSORS = 64
"""Tensors that are looked at; of more, evenly spread ones."""

_SAME = 1e-12


def whitened_distances(models: Sequence[Fingerprint]) -> Floats | None:
    """Squared distances between models in the family's own metric.

    Every tensor that all of them have counts alike: it is scaled so that the median distance is 1.

    Args:
        models: Related models, n of them.

    Returns:
        Mean over tensors, shape ``(n, n)``; None when the models have no tensor in common that differs.
    """
    k = min(model.k for model in models)
    folded = [fold(model, k) for model in models]
    total, weights = np.zeros((len(models), len(models))), 0.0
    for places in _spread(_common(folded)):
        values = np.array([model.sketch_of(i) for model, i in zip(folded, places, strict=True)], np.float64)
        values -= values.mean(axis=0)
        distance = _whitened(values)
        if distance is not None:
            weight = 1.0 if values.ndim == 3 else VECTOR_WEIGHT
            total += weight * distance
            weights += weight
    return total / weights if weights else None


def _common(models: Sequence[Fingerprint]) -> list[tuple[int, ...]]:
    """Where each model holds the tensors that all of them have, by name and shape, and that have a say in each."""
    known = [
        {pair: i for i, pair in enumerate(zip(m.names, m.shapes, strict=True)) if says[i]}
        for m, says in ((model, roles(model) != Role.STATE) for model in models)
    ]
    return [tuple(own[pair] for own in known) for pair in known[0] if all(pair in own for own in known)]


def _spread(places: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    if len(places) <= MOST_TENSORS:
        return places
    return [places[i] for i in np.linspace(0, len(places) - 1, MOST_TENSORS).round().astype(int)]


def _whitened(values: Floats) -> Floats | None:
    """One tensor's distances; None when no two models differ in it.

    Args:
        values: Centred sketches, shape ``(n, k, k)`` or ``(n, d)``; overwritten, since fresh memory for as many numbers
            takes longer than the products do.
    """
    plain = _squared_distances(values)
    same = plain <= _SAME * plain.max()
    if same.all():
        return None
    # Each pair's difference counts with length 1, however far the two are apart: sum_ij (x_i - x_j)(x_i - x_j)' / d_ij
    # is X' L X with the Laplacian L of the weights 1 / d_ij.
    weight = np.where(same, 0.0, 1.0 / np.where(same, 1.0, plain))
    laplacian = np.diag(weight.sum(axis=0)) - weight
    moved = (laplacian @ values.reshape(len(values), -1)).reshape(values.shape)
    if values.ndim == 3:
        k = values.shape[-1]
        left = _inverse_root((values @ moved.transpose(0, 2, 1)).sum(axis=0), RIDGE)
        right = _inverse_root(values.reshape(-1, k).T @ moved.reshape(-1, k), RIDGE)
        np.matmul(left, values, out=moved)
        np.matmul(moved, right, out=values)
    else:
        variance = np.einsum("nd,nd->d", values, moved)
        values /= np.sqrt(np.maximum(variance, 0.0) + VECTOR_RIDGE * variance.mean())
    distance = np.where(same, 0.0, _squared_distances(values))
    median = float(np.median(distance[~same]))
    return distance / median if median > 0 else None


def _squared_distances(values: Floats) -> Floats:
    flat = values.reshape(len(values), -1)
    products = flat @ flat.T
    squared = np.diagonal(products)
    return np.asarray(np.maximum(squared[:, None] + squared[None, :] - 2 * products, 0.0))


def _inverse_root(covariance: Floats, ridge: float) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    values = np.maximum(values, 0.0)
    return np.asarray((vectors / np.sqrt(values + ridge * values.mean())) @ vectors.T)
