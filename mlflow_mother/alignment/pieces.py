"""Matrices of both models side by side, in the first one's coordinates as far as they are known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_mother.alignment.maps import Map
from mlflow_mother.alignment.matching import cube, unfolded
from mlflow_mother.alignment.source import Floats, Source, elements

ELEMENTS = 1 << 28
"""Largest tensor that is compared: 1 GiB in float32."""

SETTLED = 0.5
"""Cosine at which a matrix counts as found in its place."""

ALIKE = 0.3
"""Cosine from which on two tensors of one model count as one witness. Tensors that have nothing to do with each other
have a few times ``1 / sqrt(elements)``; what one says of a stranger's hidden space, another repeats from 0.75 on."""

FUSED = 3
"""Queries, keys and values are often one matrix of three times the width."""


@dataclass(frozen=True)
class Piece:
    """A matrix, or a third of one.

    Attributes:
        name: In the first model.
        other: In the second.
        shape: ``(rows, columns, rest)``.
        part: ``(axis, number)`` of a third; None for a whole one.
    """

    name: str
    other: str
    shape: tuple[int, int, int]
    part: tuple[int, int] | None = None

    def thirds(self) -> list[Piece]:
        """Its thirds, if one side is three times the other; else itself."""
        rows, columns, rest = self.shape
        for axis, (long, short) in enumerate(((rows, columns), (columns, rows))):
            if self.part is None and long == FUSED * short:
                return [Piece(self.name, self.other, (short, short, rest), (axis, i)) for i in range(FUSED)]
        return [self]

    def cut(self, values: Floats) -> Floats:
        """Its own part of a whole tensor's values, ``(rows, columns, rest)``."""
        whole = cube(squeezed(values))
        if self.part is None:
            return whole
        axis, number = self.part
        found: Floats = np.split(whole, FUSED, axis=axis)[number]
        return found


Side = tuple[int, int]
"""A piece by its place in the list, and an axis."""


class Bench:
    """Both models' matrices, with what is known of their sides.

    Args:
        first: One model.
        second: The other.
        pairs: Names that belong together, of tensors of floating point of one shape.

    Attributes:
        maps: What is known of the pieces' sides.
        skipped: Tensors too large to be compared, by their names in the first model.
        pieces: Matrices, or thirds of them.
        vectors: Names that belong together, of tensors with one side or none.
    """

    def __init__(self, first: Source, second: Source, pairs: Mapping[str, str]) -> None:
        self._first, self._second = first, second
        self.maps: dict[Side, Map] = {}
        self.skipped: list[str] = []
        self.pieces: list[Piece] = []
        self.vectors: dict[str, str] = {}
        for name, other in pairs.items():
            spec = first.specs[name]
            shape = squeezed_shape(spec.shape)
            if elements(spec) > ELEMENTS:
                self.skipped.append(name)
            elif len(shape) < 2:
                self.vectors[name] = other
            elif elements(spec):
                self.pieces.append(Piece(name, other, (shape[0], shape[1], math.prod(shape[2:]))))

    def pair(self, index: int, *, mapped: bool = True) -> tuple[Floats, Floats]:
        """Both models' values of a piece; the second one's in the first one's coordinates unless told otherwise."""
        piece = self.pieces[index]
        a, b = piece.cut(self._first.array(piece.name)), piece.cut(self._second.array(piece.other))
        for axis in (0, 1):
            if mapped and (known := self.maps.get((index, axis))):
                b = known.apply(b, axis)
        return a, b

    def vector(self, name: str) -> tuple[Floats, Floats]:
        """Both models' values of a vector; the second one's as close as the hidden spaces of its length bring it.

        A vector of the length of fused queries, keys and values may be cut as their matrices are.
        """
        a, b = self._first.array(name).ravel(), self._second.array(self.vectors[name]).ravel()
        found = [self._closest(a, b)]
        if any(p.part is not None and len(a) == FUSED * p.shape[p.part[0]] for p in self.pieces):
            thirds = zip(np.split(a, FUSED), np.split(b, FUSED), strict=True)
            found.append(np.concatenate([self._closest(one, other) for one, other in thirds]))
        return a, _nearest(a, found)

    def _closest(self, a: Floats, b: Floats) -> Floats:
        maps = {id(known): known for known in self.maps.values() if known.units == len(b)}
        return _nearest(a, [b, *(known.apply(b, 0) for known in maps.values())])

    def open(self) -> list[int]:
        """Pieces that are not in place yet, with a side whose map is not known."""
        return [
            index
            for index in range(len(self.pieces))
            if not ((index, 0) in self.maps and (index, 1) in self.maps) and cosine(*self.pair(index)) < SETTLED
        ]

    def one_witness(self, one: Side, other: Side) -> bool:
        """Whether two sides are of tensors that are much the same in both models.

        Tied weights that are stored twice, moving averages, momentum and target networks: what one of the two says of a
        hidden space, right or wrong, the other one says as well. The longer one may have further columns, such as
        letters that were added.
        """
        sides = [[unfolded(values, axis) for values in self.pair(index, mapped=False)] for index, axis in (one, other)]
        length = min(side[0].shape[1] for side in sides)
        return all(abs(cosine(a[:, :length], b[:, :length])) >= ALIKE for a, b in zip(*sides, strict=True))

    def split(self) -> bool:
        """Cuts what is not in place and may be fused; says whether there was any."""
        opened = set(self.open())
        old, known = self.pieces, self.maps
        self.pieces, self.maps = [], {}
        for index, piece in enumerate(old):
            parts = piece.thirds() if index in opened else [piece]
            if len(parts) > 1 and (index, _axis_of(parts)) in known:
                parts = [piece]
            for part in parts:
                for axis in (0, 1):
                    if (index, axis) in known:
                        self.maps[len(self.pieces), axis] = known[index, axis]
                self.pieces.append(part)
        return len(self.pieces) > len(old)


def _nearest(a: Floats, several: Sequence[Floats]) -> Floats:
    return min(several, key=lambda values: float(np.linalg.norm(a - values)))


def _axis_of(thirds: Sequence[Piece]) -> int:
    part = thirds[0].part
    return -1 if part is None else part[0]


def relative_distance(a: Floats, b: Floats) -> float:
    """Distance of two tensors by the norm of the longer one; 0 where both are zero."""
    size = max(float(np.linalg.norm(a)), float(np.linalg.norm(b)))
    return float(np.linalg.norm(a - b)) / size if size > 0 else 0.0


def cosine(a: Floats, b: Floats) -> float:
    """Cosine of two tensors; 0 where one is zero."""
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.vdot(a, b)) / scale if scale > 0 else 0.0


def squeezed_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its leading ones: a class token is a vector, a table of positions a matrix."""
    start = 0
    while start < len(shape) - 1 and shape[start] == 1:
        start += 1
    return tuple(shape[start:])


def squeezed(values: Floats) -> Floats:
    """Values without the leading axes of length one."""
    return values.reshape(squeezed_shape(values.shape))
