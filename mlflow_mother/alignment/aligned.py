"""The second model's tensors with its units in the first one's order, for whoever compares tensors place by place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_mother.alignment.deep import Alignment
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

    Orders and signs are undone, to the bit but for what :meth:`.Source.array` gives as 0. Tensors without a
    counterpart, or too large to be compared, come as they are.

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
        elif name is not None and name in alignment.bench.vectors:
            moved = alignment.bench.vector(name)[1]
            moved = None if np.array_equal(moved, second.array(other).ravel()) else moved
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
