"""Small tensors, hundreds at a time: a call of torch or a turn of a thread costs more than their arithmetic.

What does not round (widening, extremes, counts, the OR of bits) or rounds element by element is done for a whole batch.
Sums and products of matrices are done tensor by tensor, with the operations and the memory layout of :mod:`.kernels`.
So a tensor has the same fingerprint, to the last bit, alone and in any company.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from mlflow_mother.fingerprint import seeds, widening
from mlflow_mother.fingerprint.entries import Entry, tensor_digest
from mlflow_mother.fingerprint.fold import fold_matrix
from mlflow_mother.fingerprint.kernels import TILE_COLUMNS, TILE_ELEMENTS, HostWorkspace
from mlflow_mother.weights.model import BITS, NamedTensor

MAX_ELEMENTS = 4096
"""Elements of a matrix that counts as small; beyond, arithmetic outweighs calls."""

MAX_TENSORS = 256
"""Tensors of one batch: their widest sketches take 8 MB."""

_ALIGNMENT = 8
"""Each tensor begins at a multiple of this many elements, where also one that is alone begins."""


def is_small(tensor: NamedTensor) -> bool:
    """Whether a tensor may go into a batch; it then is one unit, one tile, and at most one stripe of columns."""
    count = math.prod(tensor.shape)
    if len(tensor.shape) < 2:
        return 0 < count <= seeds.VECTOR_BUCKETS
    return 0 < count <= MAX_ELEMENTS and count // tensor.shape[0] <= TILE_COLUMNS


_Bytes = npt.NDArray[np.uint8]


class Batch:
    """Small tensors of one element type in one buffer.

    Args:
        dtype: Element type.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.tensors: list[NamedTensor] = []
        self._itemsize = BITS[dtype] // 8
        self._buffer = np.zeros(TILE_ELEMENTS * self._itemsize, np.uint8)
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._end = 0

    @property
    def full(self) -> bool:
        """Whether another tensor might not fit."""
        return len(self.tensors) >= MAX_TENSORS or self._end + MAX_ELEMENTS + _ALIGNMENT > TILE_ELEMENTS

    def read(self, tensor: NamedTensor) -> None:
        """Reads a small tensor's bytes, here and now."""
        start, stop = self._end, self._end + math.prod(tensor.shape)
        tensor.source.readinto(0, self._bytes(start, stop).data)
        self.tensors.append(tensor)
        self._starts.append(start)
        self._stops.append(stop)
        self._end = -(-stop // _ALIGNMENT) * _ALIGNMENT

    def entries(self, workspace: HostWorkspace, k: int) -> tuple[list[Entry], list[tuple[NamedTensor, _Bytes]]]:
        """The tensors' results, and those tensors, with their bytes, that hold values which are not finite.

        Args:
            workspace: The calling thread's.
            k: Width to which sketches of matrices are folded.
        """
        # At least one element follows the last tensor, as the reductions need.
        values = widening.elements(self._bytes(0, self._end + _ALIGNMENT), self.dtype, torch.device("cpu"))
        wide, stats, clean = workspace.measure_each(values, self.dtype, np.array(self._starts), np.array(self._stops))
        sketches = self._sketches(workspace, wide, clean, k)
        numbers = wide.numpy()
        found: list[Entry] = []
        odd: list[tuple[NamedTensor, _Bytes]] = []
        for index, (tensor, start, stop) in enumerate(zip(self.tensors, self._starts, self._stops, strict=True)):
            if not clean[index]:
                odd.append((tensor, self._bytes(start, stop)))
                continue
            own = numbers[start:stop]
            ordered = np.sort(own)
            stats["distinct"][index] = 1 + np.count_nonzero(ordered[1:] != ordered[:-1])
            found.append(
                Entry(
                    name=tensor.name,
                    dtype=tensor.dtype,
                    shape=tensor.shape,
                    digest=tensor_digest(tensor, [hashlib.sha256(self._bytes(start, stop).data).digest()]),
                    stats=stats[index],
                    sketch=next(sketches) if len(tensor.shape) >= 2 else own.copy(),
                    sample=own[seeds.sample_positions(stop - start)].astype(np.float32),
                )
            )
        return found, odd

    def _bytes(self, start: int, stop: int) -> _Bytes:
        return self._buffer[start * self._itemsize : stop * self._itemsize]

    def _sketches(
        self, workspace: HostWorkspace, wide: torch.Tensor, clean: npt.NDArray[np.bool_], k: int
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Sketches of the clean matrices, in order."""
        matrices = [
            wide[start:stop].view(tensor.shape[0], -1)
            for tensor, start, stop, sound in zip(self.tensors, self._starts, self._stops, clean, strict=True)
            if sound and len(tensor.shape) >= 2
        ]
        return iter(fold_matrix(workspace.sketch_each(matrices), k))
