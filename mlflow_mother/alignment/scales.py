"""Rows and columns that were rescaled: the factors that bring one matrix to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_mother.alignment.source import Floats

EXPLAINED = 0.5
"""Least share of the squared distance that factors must explain. By chance they explain about
``1 / rows + 1 / columns`` of it: a fine-tune is no rescaling."""

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
