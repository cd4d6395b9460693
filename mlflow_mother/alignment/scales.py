"""Rows and columns that were rescaled: the factors that bring one matrix to the other.

As with orders, one tensor's word is not enough: what is believed are factors that a second tensor confirms, because
what was put into one was taken out of the other, or was taken out of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mlflow_mother.alignment.source import Floats

EXPLAINED = 0.5
"""Least share of the squared distance that factors must explain. By chance they explain about
``1 / rows + 1 / columns`` of it: a fine-tune is no rescaling."""

LEAST_UNITS = 16
LEAST_SPREAD = 0.02
"""Least standard deviation of the factors' logarithms."""

LEAST_CORRELATION = 0.9
"""Least correlation, of either sign, of the logarithms that two tensors say. Of 16 unrelated numbers it happens once in
a million times."""

_FUSED = 3
_STEPS = 10
_ROUNDING = 1e-10


@dataclass(frozen=True, eq=False)
class Scales:
    """Factors of rows and columns.

    Attributes:
        rows: ``(rows,)``, all positive.
        columns: ``(columns,)``, all positive, of geometric mean 1.
    """

    rows: Floats
    columns: Floats

    def apply(self, values: Floats) -> Floats:
        """Values ``(rows, columns, rest)`` times the factors."""
        found: Floats = values * self.rows[:, None, None] * self.columns[None, :, None]
        return found


def fit_scales(a: Floats, b: Floats) -> Scales | None:
    """Positive factors of ``b``'s rows and columns that bring it closest to ``a``, if they explain what is between.

    Args:
        a: ``(rows, columns, rest)``.
        b: In the same coordinates.
    """
    before, energy = float(np.sum(np.square(a - b))), float(np.sum(np.square(a)))
    if before <= _ROUNDING * energy:
        return None
    factors = [np.ones(length) for length in a.shape[:2]]
    scaled = b.astype(np.float64)
    for step in range(2 * _STEPS):
        axis = step % 2
        axes = (1 - axis, 2)
        products, squares = np.sum(a * scaled, axis=axes), np.sum(np.square(scaled), axis=axes)
        factor = np.where((products > 0) & (squares > 0), products / np.where(squares > 0, squares, 1.0), 1.0)
        factors[axis] = factors[axis] * factor
        scaled = scaled * np.expand_dims(factor, axes)
    if float(np.sum(np.square(a - scaled))) > (1 - EXPLAINED) * before:
        return None
    middle = float(np.exp(np.mean(np.log(factors[1]))))
    return Scales(factors[0] * middle, factors[1] / middle)


def confirmed(scales: Mapping[int, Scales], vectors: Sequence[Floats] = ()) -> set[int]:
    """Matrices whose factors another one confirms, or another third of the same one, or a vector.

    Args:
        scales: Factors by matrix.
        vectors: Quotients of both models' vectors, such as gains; those that are not positive have no say.
    """
    said = [(index, *part) for index, one in scales.items() for part in _parts(one)]
    positive = [vector for vector in vectors if len(vector) >= LEAST_UNITS and (vector > 0).all()]
    logs = [np.log(vector) for vector in positive]
    said += [(-1 - place, (0, 0), one) for place, one in enumerate(logs) if one.std() >= LEAST_SPREAD]
    found: set[int] = set()
    for (one, place, a), (other, other_place, b) in combinations(said, 2):
        apart = one != other or (place[0] == other_place[0] and place[1] != other_place[1])
        if (
            apart
            and max(one, other) >= 0
            and len(a) == len(b)
            and abs(float(np.corrcoef(a, b)[0, 1])) >= LEAST_CORRELATION
        ):
            found |= {index for index in (one, other) if index >= 0}
    return found


def _parts(scales: Scales) -> Iterator[tuple[tuple[int, int], Floats]]:
    """Logarithms of the factors with their axis and third; a side may be queries, keys and values in one."""
    for axis, factors in enumerate((scales.rows, scales.columns)):
        logs = np.log(factors)
        wholes = [logs] if len(logs) % _FUSED else [logs, *np.split(logs, _FUSED)]
        for third, part in enumerate(wholes):
            if len(part) >= LEAST_UNITS and part.std() >= LEAST_SPREAD:
                yield (axis, third), part
