"""Exact statistics of a part of a tensor: in one pass over widened tiles, or from counts of each value.

A type of 8 or 16 bits has at most 65,536 values. Counting them costs less than half of adding up their powers, and
makes every statistic exact to the last bit or two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from mlflow_mother.fingerprint.widening import elements, finite_limit, widened
from mlflow_mother.weights.model import BITS

_COUNTED_BITS = 16
_COUNTED_ELEMENTS = 1 << 18
_COUNTED_PIECE = 1 << 20


@dataclass
class Moments:
    """Sums over a part of a tensor; parts are added in the order of the tensor's elements.

    The fields are those of :data:`~.record.STATS`; ``mantissa`` is the OR of the values' float32 bits.
    """

    sum: float = 0.0
    sumsq: float = 0.0
    sum3: float = 0.0
    sum4: float = 0.0
    abs: float = 0.0
    min: float = math.inf
    max: float = -math.inf
    zeros: int = 0
    nonfinite: int = 0
    mantissa: int = 0

    def add(self, other: Moments) -> None:
        """Adds the part that follows."""
        self.sum += other.sum
        self.sumsq += other.sumsq
        self.sum3 += other.sum3
        self.sum4 += other.sum4
        self.abs += other.abs
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)
        self.zeros += other.zeros
        self.nonfinite += other.nonfinite
        self.mantissa |= other.mantissa


def countable(values: torch.Tensor, dtype: str) -> bool:
    """Whether there are so many elements of so few values that counting is the faster way."""
    return BITS[dtype] <= _COUNTED_BITS and len(values) >= _COUNTED_ELEMENTS


def counted_moments(values: torch.Tensor, dtype: str) -> Moments:
    """Statistics of elements of an 8 or 16-bit type, from the number of times that each value occurs.

    Args:
        values: Contiguous elements as made by :func:`~.widening.elements`.
        dtype: Element type.
    """
    bits = BITS[dtype]
    codes = values.view(torch.uint8 if bits == 8 else torch.int16)
    total = torch.zeros(1 << bits, dtype=torch.int64, device=values.device)
    for start in range(0, len(codes), _COUNTED_PIECE):
        piece = codes[start : start + _COUNTED_PIECE]
        if bits == 16:
            piece = piece.to(torch.int32).bitwise_and_(0xFFFF)
        total += torch.bincount(piece, minlength=1 << bits)
    counts = total.cpu().numpy()
    value = _code_values(dtype)
    finite = np.abs(value) <= finite_limit(dtype)
    nonfinite = int(counts[~finite].sum())
    present = finite & (counts > 0)
    value, counts = value[present], counts[present].astype(np.float64)
    square = value * value
    # Not as products of vectors: a BLAS may use threads, which round in their own ways and spin while they wait.
    return Moments(
        sum=float((counts * value).sum()),
        sumsq=float((counts * square).sum()),
        sum3=float((counts * square * value).sum()),
        sum4=float((counts * square * square).sum()),
        abs=float((counts * np.abs(value)).sum()),
        min=float(value.min(initial=math.inf)),
        max=float(value.max(initial=-math.inf)),
        zeros=int(counts[value == 0].sum()),
        nonfinite=nonfinite,
        mantissa=int(np.bitwise_or.reduce(value.astype(np.float32).view(np.int32))) if len(value) else 0,
    )


@lru_cache(maxsize=16)
def _code_values(dtype: str) -> npt.NDArray[np.float64]:
    codes = np.arange(1 << BITS[dtype], dtype="<u1" if BITS[dtype] == 8 else "<u2").view(np.uint8)
    return widened(elements(codes, dtype, torch.device("cpu")), dtype).numpy()
