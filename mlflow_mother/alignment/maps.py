"""What was done to a hidden space: its units put into another order with other signs, or turned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_mother.alignment.source import Floats

Order = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Units:
    """Unit ``i`` of the first model is unit ``order[i]`` of the second, times ``sign[i]``.

    Attributes:
        order: A permutation, ``(n,)``.
        sign: 1 or -1 each, ``(n,)``.
    """

    order: Order
    sign: Floats

    def apply(self, values: Floats, axis: int) -> Floats:
        """The second model's values in the first one's coordinates along an axis."""
        found: Floats = np.take(values, self.order, axis=axis)
        shape = [1] * values.ndim
        shape[axis] = -1
        return found if (self.sign > 0).all() else found * self.sign.astype(values.dtype).reshape(shape)

    def flipped(self) -> Units:
        """The same with all signs changed."""
        return Units(self.order, -self.sign)

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.order)

    @property
    def kind(self) -> str:
        """In words."""
        moved = bool((self.order != np.arange(len(self.order))).any())
        turned = bool((self.sign < 0).any())
        if moved:
            return "permuted, signs flipped" if turned else "permuted"
        return "signs flipped" if turned else "as they stand"


@dataclass(frozen=True, eq=False)
class Turn:
    """Values of the first model are ``matrix @`` values of the second.

    Attributes:
        matrix: ``(n, n)``, orthogonal or at least invertible.
        orthogonal: Whether it is a rotation (with or without a reflection).
    """

    matrix: Floats
    orthogonal: bool = True

    def apply(self, values: Floats, axis: int) -> Floats:
        """The second model's values in the first one's coordinates along an axis."""
        found: Floats = np.moveaxis(np.tensordot(self.matrix, values, axes=(1, axis)), 0, axis)
        return found.astype(values.dtype, copy=False)

    def flipped(self) -> Turn:
        """The same with all signs changed."""
        return Turn(-self.matrix, self.orthogonal)

    def dual(self) -> Turn:
        """What the tensor at the other end has undergone, so that the product of the two is as it was."""
        return self if self.orthogonal else Turn(np.linalg.inv(self.matrix).T, orthogonal=False)

    @property
    def units(self) -> int:
        """How many units there are."""
        return len(self.matrix)

    @property
    def kind(self) -> str:
        """In words."""
        return "rotated" if self.orthogonal else "transformed linearly"


Map = Units | Turn


def identity(n: int) -> Units:
    """Every unit where it was."""
    return Units(np.arange(n), np.ones(n))
