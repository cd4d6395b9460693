r"""What permuting, flipping, scaling or rotating the units of a matrix leaves as it is: singular values.

Rotations and permutations of either side keep the singular values of the matrix; permutations, flips and scales keep
those of the balanced matrix (:func:`.matching.balanced`). The distance of two matrices is that of their spectra,
each of norm 1, and the smaller one of the two kinds. Networks trained apart have similar spectra, too (``1e-2`` to
``2e-1`` in ``python -m benchmarks.obfuscation``), and fine-tunes' lie among theirs. So a spectrum tells a copy, whose
distance is that of rounding, and nothing weaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from mlflow_mother.alignment.matching import SIDE, balanced, cube
from mlflow_mother.alignment.source import FLOATING, Floats, Source, elements

ROUNDING = 5e-6
"""Largest distance of spectra that rounding in float32 explains: a rotation leaves 1e-8, a cast to float16 1e-5, one to
bfloat16 1e-4. Independent random matrices are 0.02 apart at 96 rows, 0.001 at 2,048."""

LEAST_SIDE = 16
"""Smaller matrices have too few singular values to tell."""

_FLAT = 1e-3
_SORTED = 1 << 20
"""Largest tensor that is paired by its sorted magnitudes."""

_QUANTILES = 1024
"""So many of them are compared."""


def spectrum(values: Floats) -> Floats:
    """Singular values of a tensor and of its balanced form, each of norm 1, one after the other.

    Empty where they say nothing: vectors, zeros, and matrices that are orthogonal up to a factor or of rank one, before
    or after they are balanced.

    Args:
        values: ``(rows, columns, ...)``; the rest is unfolded into the columns.
    """
    if values.ndim < 2 or not values.any():
        return np.zeros(0)
    parts = [_singular(values), _singular(balanced(cube(values)))]
    return np.zeros(0) if any(map(_says_nothing, parts)) else np.concatenate(parts)


def spectral_distance(one: Floats, other: Floats) -> float:
    """Distance of two spectra as :func:`spectrum` gives them: 0 for a copy, at most 1.41."""
    return float(_spectral_distances(one[None], other[None])[0, 0])


Spectra = Mapping[str, Floats]
"""Spectra of one model by the tensors' names."""


def pair_up(first: Source, second: Source, spectra: tuple[Spectra, Spectra]) -> dict[str, str]:
    """Which tensor of the second model belongs to which of the first, by stored names.

    Equal names of equal shape belong together when all names of a shape agree. Otherwise the tensors of a shape are
    paired so that the sum of their spectral distances is least; vectors, and matrices without a spectrum, by their
    sorted magnitudes. More than :data:`.SIDE` tensors of one shape are paired in their order.

    Args:
        first: One model.
        second: The other.
        spectra: Both models' spectra by name.
    """
    pairs: dict[str, str] = {}
    groups = _by_shape(second)
    for shape, names in _by_shape(first).items():
        others = groups.get(shape, [])
        if set(names) == set(others):
            pairs.update({name: name for name in names})
        elif max(len(names), len(others)) > SIDE:
            pairs.update(zip(names, others, strict=False))
        elif others:
            costs = _costs(first, second, spectra, names, others)
            pairs.update({names[i]: others[j] for i, j in zip(*linear_sum_assignment(costs), strict=True)})
    return pairs


def _costs(
    first: Source, second: Source, spectra: tuple[Spectra, Spectra], names: Sequence[str], others: Sequence[str]
) -> Floats:
    """Distances of all pairs of tensors of one shape; 0 where nothing is known, so that their order decides."""
    a, b = (
        [known.get(name, np.zeros(0)) for name in some] for known, some in zip(spectra, (names, others), strict=True)
    )
    if all(len(one) for one in [*a, *b]):
        return _spectral_distances(np.array(a), np.array(b))
    if elements(first.specs[names[0]]) > _SORTED:
        return np.zeros((len(names), len(others)))
    a, b = [_magnitudes(first, name) for name in names], [_magnitudes(second, name) for name in others]
    found: Floats = cdist(a, b)
    return found


def _spectral_distances(some: Floats, others: Floats) -> Floats:
    """Distances of every spectrum of ``(n, length)`` from every one of ``(m, length)``, ``(n, m)``."""
    half = some.shape[1] // 2
    distances: Floats = np.minimum(cdist(some[:, :half], others[:, :half]), cdist(some[:, half:], others[:, half:]))
    return distances


def _singular(values: Floats) -> Floats:
    """From the smaller Gram matrix, in double precision: several times as fast as a decomposition, exact to 1e-8."""
    matrix = values.reshape(values.shape[0], -1).astype(np.float64)
    gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix
    found: Floats = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))
    return found / (np.linalg.norm(found) or 1.0)


def _says_nothing(sizes: Floats) -> bool:
    """Whether singular values, ascending, of norm 1, are all the same or all but one of them zero."""
    return bool(sizes.std() < _FLAT * sizes.mean() or sizes[:-1].max(initial=0.0) < _FLAT)


def _by_shape(source: Source) -> dict[tuple[int, ...], list[str]]:
    """Names of the tensors that are compared."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for name, spec in source.specs.items():
        if spec.dtype in FLOATING:
            groups.setdefault(spec.shape, []).append(name)
    return groups


def _magnitudes(source: Source, name: str) -> Floats:
    """Evenly chosen sorted magnitudes: what neither orders nor signs change."""
    values = np.sort(np.abs(source.array(name)), axis=None)
    found: Floats = values[np.linspace(0, max(0, len(values) - 1), min(len(values), _QUANTILES)).astype(int)]
    return found
