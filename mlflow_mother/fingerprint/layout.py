"""Lengths of a fingerprint's ragged columns: they follow from shapes and sketch width, so no file has to say them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

WIDTHS = (64, 32, 16, 8)
"""Sketch widths, widest first."""

BUCKETS_PER_WIDTH = 8
"""A vector's count-sketch has this many times ``k`` buckets."""

DISTINCT_VALUES = 4096
"""How many leading values of a tensor are searched for distinct ones."""

_SAMPLE_LIMITS = {64: 256, 32: 256, 16: 128, 8: 64}


def sample_limit(k: int) -> int:
    """Most values of one tensor that a fingerprint of width ``k`` keeps as they are."""
    return _SAMPLE_LIMITS[k]


def sketch_length(shape: Sequence[int], k: int) -> int:
    """Number of float32 values in the sketch of a tensor of this shape."""
    if len(shape) >= 2:
        return k * k
    return min(math.prod(shape), BUCKETS_PER_WIDTH * k)


def sample_length(shape: Sequence[int], k: int) -> int:
    """Number of sampled values of a tensor of this shape."""
    return min(math.prod(shape), sample_limit(k))


def offsets(lengths: Sequence[int]) -> npt.NDArray[np.int64]:
    """Where each part begins in the concatenation, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
