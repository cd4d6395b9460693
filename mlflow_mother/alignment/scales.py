"""Rows and columns that were rescaled: the factors that bring one matrix to the other.

As with orders, one tensor's word is not enough: what is believed are factors that a second tensor confirms, because
what was put into one was taken out of the other, or was taken out of both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from mlflow_mother.alignment.pieces import FUSED
from mlflow_mother.alignment.source import Floats

EXPLAINED = 0.5
"""Least share of the squared distance that factors must explain. By chance they explain about the share of their number
in that of the entries, ``1 / rows + 1 / columns`` for a matrix: a fine-tune is no rescaling. Where that is more than
half of this, as in matrices of three columns, nothing is fitted."""

LEAST_UNITS = 16
LEAST_SPREAD = 0.02
"""Least standard deviation of the factors' logarithms."""

LEAST_CORRELATION = 0.9
"""Least correlation, of either sign, of the logarithms that two tensors say. Of 16 unrelated numbers it happens twice
in a million times."""

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
    if sum(a.shape[:2]) > EXPLAINED / 2 * a.size:  # factors would explain as much of anything
        return None
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


def confirmed(scales: Mapping[int, Scales], vectors: Iterable[Floats] = ()) -> set[int]:
    """Matrices whose factors another one confirms, or another third of the same one, or a vector.

    Args:
        scales: Factors by matrix.
        vectors: Quotients of both models' vectors, such as gains; those that are not positive have no say.
    """
    said: defaultdict[int, list[tuple[int, int, int, Floats]]] = defaultdict(list)
    for index, one in scales.items():
        for axis, third, logs in _parts(one):
            said[len(logs)].append((index, axis, third, logs))
    positive = (vector for vector in vectors if len(vector) >= LEAST_UNITS and (vector > 0).all())
    for place, logs in enumerate(map(np.log, positive)):
        if logs.std() >= LEAST_SPREAD:
            said[len(logs)].append((-1 - place, 0, 0, logs))
    found: set[int] = set()
    for group in said.values():
        places = np.array([place for *place, _ in group])
        deviations = np.array([logs - logs.mean() for *_, logs in group])
        deviations /= np.linalg.norm(deviations, axis=1, keepdims=True)
        for place, deviation in zip(places, deviations, strict=True):
            index, axis, third = place
            apart = (places[:, 0] != index) | ((places[:, 1] == axis) & (places[:, 2] != third))
            if index >= 0 and (apart & (np.abs(deviations @ deviation) >= LEAST_CORRELATION)).any():
                found.add(int(index))
    return found


def _parts(scales: Scales) -> Iterator[tuple[int, int, Floats]]:
    """Axis, third and logarithms of the factors; a side may be queries, keys and values in one."""
    for axis, factors in enumerate((scales.rows, scales.columns)):
        logs = np.log(factors)
        wholes = [logs] if len(logs) % FUSED else [logs, *np.split(logs, FUSED)]
        for third, part in enumerate(wholes):
            if len(part) >= LEAST_UNITS and part.std() >= LEAST_SPREAD:
                yield axis, third, part
