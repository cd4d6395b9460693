"""One tensor's result on its way into a fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.fold import fold_matrix, fold_vector
from mlflow_mother.fingerprint.format import DIGEST_BYTES
from mlflow_mother.fingerprint.layout import sample_length, sample_limit, sketch_length
from mlflow_mother.fingerprint.record import STATS
from mlflow_mother.weights.model import NamedTensor

_DIGEST_NAME = b"mother-tree-sha256/1\0"


@dataclass(frozen=True, eq=False)
class Entry:
    """One tensor's result.

    Attributes:
        name: Tensor name.
        dtype: Element type.
        shape: Dimensions.
        digest: 16 bytes.
        stats: A scalar of dtype :data:`~.record.STATS`.
        sketch: float64, unscaled: with R's entries +-1. ``(k, k)`` or ``(buckets,)``.
        sample: float32.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: bytes
    stats: np.void
    sketch: npt.NDArray[np.float64]
    sample: npt.NDArray[np.float32]

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @cached_property
    def _text_bytes(self) -> int:
        return _text_bytes(self.name, self.dtype, self.shape)

    def folded(self, k: int) -> Entry:
        """The same at sketch width ``k``."""
        matrix = len(self.shape) >= 2
        if len(self.sketch) == (k if matrix else sketch_length(self.shape, k)) and len(self.sample) <= sample_limit(k):
            return self
        sketch = fold_matrix(self.sketch, k) if matrix else fold_vector(self.sketch, self.count, k)
        return replace(self, sketch=sketch, sample=self.sample[: sample_limit(k)])

    def nbytes(self, k: int) -> int:
        """Bytes that the tensor takes in a serialised fingerprint of width ``k``; never too few."""
        return self._text_bytes + _value_bytes(self.shape, k)


def entry_bytes(name: str, dtype: str, shape: Sequence[int], k: int) -> int:
    """Bytes that a tensor takes in a serialised fingerprint of width ``k``; never too few."""
    return _text_bytes(name, dtype, shape) + _value_bytes(shape, k)


def _text_bytes(name: str, dtype: str, shape: Sequence[int]) -> int:
    return len(json.dumps(json.dumps([name, dtype, list(shape)])))


def _value_bytes(shape: Sequence[int], k: int) -> int:
    return STATS.itemsize + DIGEST_BYTES + 4 * (sketch_length(shape, k) + sample_length(shape, k))


def tensor_digest(tensor: NamedTensor, leaves: Iterable[bytes]) -> bytes:
    """A tensor's digest from the SHA-256 of each of its leaves."""
    hasher = hashlib.sha256(_DIGEST_NAME)
    hasher.update(tensor.dtype.encode() + b"\0")
    hasher.update(struct.pack(f"<{1 + len(tensor.shape)}Q", len(tensor.shape), *tensor.shape))
    for leaf in leaves:
        hasher.update(leaf)
    return hasher.digest()[:DIGEST_BYTES]
