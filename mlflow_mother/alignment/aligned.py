"""The second model's tensors with its units in the first one's order, for whoever compares tensors place by place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_mother.alignment.deep import Alignment
from mlflow_mother.alignment.maps import Map
from mlflow_mother.alignment.pieces import FUSED
from mlflow_mother.alignment.source import Floats, encoded
from mlflow_mother.errors import CorruptFileError
from mlflow_mother.weights import NamedTensor


@dataclass(frozen=True)
class _Bytes:
    """Bytes in memory as a :class:`~mlflow_mother.weights.ByteSource`."""

    data: bytes

    def readinto(self, offset: int, buffer: memoryview, /) -> None:
        """Fills ``buffer`` with the bytes from ``offset`` on."""
        if offset + len(buffer) > len(self.data):
            raise CorruptFileError("A tensor ends before its last byte.", "Read it again.")
        buffer[:] = self.data[offset : offset + len(buffer)]


def aligned_tensors(alignment: Alignment) -> Iterator[NamedTensor]:
    """The second model's tensors, moved to where the first one has their counterparts, under the first one's names.

    Orders and signs are undone, to the bit. Tensors without a counterpart come as they are. A vector goes with the
    hidden space of its length that brings it closest to the first model's.

    Args:
        alignment: Two models between which only units were moved (:attr:`.DeepComparison.only_moved`).
    """
    second = alignment.second
    places: defaultdict[str, list[int]] = defaultdict(list)
    for index, piece in enumerate(alignment.bench.pieces):
        places[piece.name].append(index)
    partner = {other: name for name, other in alignment.pairs.items()}
    for other, spec in second.specs.items():
        name = partner.get(other)
        label = name if name is not None else other if other not in alignment.pairs else f"{other} (second)"
        moved: Floats | None = None
        if name is not None and name in places:
            moved = _matrix(alignment, places[name])
        elif name is not None and spec.shape:
            moved = _vector(alignment, alignment.first.array(name), second.array(other))
        if moved is None:
            stored = second.tensor(other)
            yield NamedTensor(label, stored.dtype, stored.shape, stored.source)
        else:
            yield NamedTensor(label, spec.dtype, spec.shape, _Bytes(encoded(moved, spec.dtype)))


def _matrix(alignment: Alignment, indices: Sequence[int]) -> Floats | None:
    """A matrix whose parts were moved; None when none was."""
    bench = alignment.bench
    if not any((index, axis) in bench.maps for index in indices for axis in (0, 1)):
        return None
    parts = [bench.pair(index)[1] for index in indices]
    cut = bench.pieces[indices[0]].part
    return parts[0] if cut is None else np.concatenate(parts, axis=cut[0])


def _vector(alignment: Alignment, a: Floats, b: Floats) -> Floats | None:
    """A vector moved as its space was; None when it is closest as it stands."""
    one, other = a.ravel(), b.ravel()
    cut = {FUSED * piece.shape[piece.part[0]] for piece in alignment.bench.pieces if piece.part is not None}
    count = FUSED if len(one) in cut else 1
    parts = [_closest(alignment, x, y) for x, y in zip(np.split(one, count), np.split(other, count), strict=True)]
    moved = np.concatenate(parts)
    return None if np.array_equal(moved, other) else moved


def _closest(alignment: Alignment, a: Floats, b: Floats) -> Floats:
    maps: dict[int, Map] = {id(known): known for known in alignment.bench.maps.values() if known.units == len(b)}
    return min([b, *(m.apply(b, 0) for m in maps.values())], key=lambda values: float(np.linalg.norm(a - values)))
