r"""Units of two matrices matched by their weights, when nothing is known of the order on either side.

Let the second matrix be the first one with its rows and columns permuted, their signs flipped and each row and column
scaled: a two-sided *monomial* transformation. Balancing (Sinkhorn 1964, on squares: every row and column gets mean
square 1) undoes all scales. The sorted magnitudes of a balanced row are the same whatever was done to the columns, so
rows find their counterparts by these *signatures*. From the rows' order follows the columns', by linear assignment on
the matrix of inner products, and from that the rows' again, as in weight matching (Ainsworth, Hayase, Srinivasa,
arXiv 2209.04836, section 3.2). The best of several beginnings is kept: either side's signatures,
or either side as it stands.

The cosine that is reached proves nothing: also unrelated matrices reach 0.3 to 0.8, the smaller the more.
What proves something is that *two* tensors, each matched alone, put the units that they share into the same order;
see :mod:`.spaces`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mlflow_mother.alignment.maps import Order, Units, identity
from mlflow_mother.alignment.source import Floats

SIDE = 4096
"""Longest side whose units are matched: the assignment takes time cubic in it."""

_GAIN = 1e-3
_BALANCING_STEPS = 30
_MATCHING_STEPS = 6
_SIGN_STEPS = 20
_ENOUGH = 0.9
"""Cosine beyond which other beginnings are not tried."""


@dataclass(frozen=True, eq=False)
class Match:
    """How two matrices fit best.

    Attributes:
        cosine: Of the balanced matrices, once matched.
        sides: Maps of rows and columns.
    """

    cosine: float
    sides: tuple[Units, Units]


def cube(values: Floats) -> Floats:
    """A tensor as ``(rows, columns, rest)``: the kernel's places of a convolution are the rest."""
    return values.reshape(values.shape[0], values.shape[1], -1)


def unfolded(values: Floats, axis: int) -> Floats:
    """A tensor unfolded along an axis, ``(units, rest)``: a row for each unit."""
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)


def balanced(values: Floats) -> Floats:
    """Rows and columns scaled to mean square 1, ``(rows, columns, rest)``; those of zeros stay."""
    scaled = values.astype(np.float32)
    for _ in range(_BALANCING_STEPS):
        for axes in ((1, 2), (0, 2)):
            size = np.sqrt(np.mean(np.square(scaled), axis=axes, keepdims=True))
            scaled /= np.where(size > 0, size, 1)
    return scaled


def match(a: Floats, b: Floats) -> Match:
    """Matches the units on both sides of two matrices; a side longer than :data:`SIDE` is left as it stands.

    Args:
        a: ``(rows, columns, rest)``.
        b: The other model's, of the same shape.
    """
    one, other = balanced(a), balanced(b)
    best = Match(-1.0, (identity(a.shape[0]), identity(a.shape[1])))
    for axis, begin in _beginnings(one, other):
        found = _alternated(one, other, axis, begin)
        if found.cosine > best.cosine:
            best = found
        if best.cosine > _ENOUGH:
            break
    rows, columns = best.sides
    if rows.sign.sum() + columns.sign.sum() < 0:  # both flipped is neither
        best = Match(best.cosine, (rows.flipped(), columns.flipped()))
    return best


def correlation(a: Floats, b: Floats, axis: int) -> Floats:
    """Inner products of every unit of ``a`` with every unit of ``b`` along an axis, ``(n, n)``."""
    products: Floats = unfolded(a, axis) @ unfolded(b, axis).T
    return products


def assigned(products: Floats) -> Units:
    """The order and signs that make the sum of ``|products|`` largest."""
    order = linear_sum_assignment(-np.abs(products))[1]
    chosen = products[np.arange(len(order)), order]
    return Units(order, np.where(chosen < 0, -1.0, 1.0))


def _beginnings(one: Floats, other: Floats) -> Iterator[tuple[int, Units]]:
    """Axes with a map to begin with; the other axis is matched first, so it must be short enough."""
    short = [length <= SIDE for length in one.shape[:2]]
    if all(short):
        rows, columns = _by_signature(one, other, 0), _by_signature(one, other, 1)
        left, right = _signs(np.einsum("ijk,ijk->ij", one, other[rows][:, columns]))
        yield 0, Units(rows, left)
        yield 1, Units(columns, right)
    for axis in (0, 1):
        if short[1 - axis]:
            yield axis, identity(one.shape[axis])


def _alternated(one: Floats, other: Floats, axis: int, begin: Units) -> Match:
    """Matches one side given the other, in turns, until nothing is gained."""
    sides = [begin, begin]
    reached = gained = -1.0
    scale = float(np.linalg.norm(one) * np.linalg.norm(other)) or 1.0
    for _ in range(_MATCHING_STEPS):
        products = correlation(one, sides[axis].apply(other, axis), 1 - axis)
        axis = 1 - axis
        sides[axis] = assigned(products)
        gained = float(np.abs(products[np.arange(len(products)), sides[axis].order]).sum()) / scale
        if gained < reached + _GAIN or one.shape[1 - axis] > SIDE:
            break
        reached = gained
    return Match(gained, (sides[0], sides[1]))


def _by_signature(one: Floats, other: Floats, axis: int) -> Order:
    a, b = (unfolded(np.sort(np.abs(values), axis=1 - axis), axis) for values in (one, other))
    distance = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)
    order: Order = linear_sum_assignment(distance)[1]
    return order


def _signs(products: Floats) -> tuple[Floats, Floats]:
    """Signs of rows and columns.

    Products of equal magnitudes are positive but for those signs, so that their leading singular vectors, which are
    positive for a positive matrix (Perron), carry them.
    """
    right = np.ones(products.shape[1])
    left = np.ones(products.shape[0])
    for _ in range(_SIGN_STEPS):
        left = products @ right
        right = left @ products
        right /= np.linalg.norm(right) or 1.0
    return np.where(left < 0, -1.0, 1.0), np.where(right < 0, -1.0, 1.0)
