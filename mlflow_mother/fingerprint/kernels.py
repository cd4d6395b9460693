"""The torch work on one unit: at most 16 MiB of one tensor, turned into exact statistics and a partial sketch.

A unit is cut into tiles that stay in a core's cache; a tile is widened once to float64 and every number comes out of
that copy. All sums are float64 over products that are exact (fp32 and narrower) or correctly rounded, so an energy is
good to about 1e-15 and a sketch to the rounding of its final float32 form. The order of the sums depends on the
tensor's shape only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mlflow_mother.fingerprint import seeds

TILE_COLUMNS = 1024
TILE_ELEMENTS = seeds.K_MAX * TILE_COLUMNS
FLOAT32_MAX = float(np.finfo(np.float32).max)
DISTINCT_VALUES = 4096
"""How many leading values of a tensor are searched for distinct ones."""

_TORCH_DTYPES = {
    "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
_NUMPY_DTYPES = {
    "BOOL": np.dtype("?"), "U8": np.dtype("<u1"), "I8": np.dtype("<i1"), "U16": np.dtype("<u2"), "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"), "I32": np.dtype("<i4"), "U64": np.dtype("<u8"), "I64": np.dtype("<i8"),
}  # fmt: skip


@dataclass
class Moments:
    """Sums of a part of a tensor; parts are added in the order of the tensor's elements."""

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


@dataclass
class Partial:
    """What one unit contributes to its tensor.

    Attributes:
        moments: Its sums; ``mantissa`` is still the OR of all mantissas.
        sketch: Unscaled float64 sketch, ``(64, 64)`` or ``(512,)``; None when the sketch is the values themselves.
    """

    moments: Moments = field(default_factory=Moments)
    sketch: npt.NDArray[np.float64] | None = None


class Rectangle(NamedTuple):
    """A part of a matrix whose elements are contiguous: whole rows, or a piece of one row."""

    row: int
    rows: int
    column: int
    columns: int


def rectangles(start: int, stop: int, columns: int) -> Iterator[Rectangle]:
    """Cuts the flat element range ``start .. stop`` of a matrix into at most three rectangles."""
    while start < stop:
        row, column = divmod(start, columns)
        if column or stop - start < columns:
            width = min(columns - column, stop - start)
            yield Rectangle(row, 1, column, width)
            start += width
        else:
            rows = (stop - start) // columns
            yield Rectangle(row, rows, 0, columns)
            start += rows * columns


def elements(data: npt.NDArray[np.uint8], dtype: str, device: torch.device) -> torch.Tensor:
    """Raw little-endian bytes as a 1-D tensor; integers and booleans come out as float64."""
    if dtype in _TORCH_DTYPES:
        return torch.from_numpy(data).view(_TORCH_DTYPES[dtype]).to(device)
    return torch.from_numpy(data.view(_NUMPY_DTYPES[dtype]).astype(np.float64)).to(device)


def finite_values(values: torch.Tensor) -> npt.NDArray[np.float64]:
    """A few values widened to float64, non-finite ones as 0."""
    wide = values.to(torch.float64)
    return torch.where(wide.abs() <= FLOAT32_MAX, wide, 0.0).cpu().numpy()


@lru_cache(maxsize=64)
def _column_block(block: int, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(seeds.column_signs(block * TILE_COLUMNS, TILE_COLUMNS)).to(device)


class Workspace:
    """One thread's scratch memory and the passes that use it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._wide = self._scratch(torch.float64)
        self._other = self._scratch(torch.float64)
        self._narrow = self._scratch(torch.float32)
        self._flags = self._scratch(torch.bool)

    def _scratch(self, dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(TILE_ELEMENTS, dtype=dtype, device=self._device)

    def matrix(self, values: torch.Tensor, start: int, columns: int) -> Partial:
        """Statistics and sketch of successive elements, from ``start`` on, of a matrix with ``columns`` columns."""
        return self._checked(lambda clean: self._matrix(values, start, columns, clean))

    def vector(self, values: torch.Tensor, start: int, sketched: bool) -> Partial:
        """The same for a tensor of fewer than two dimensions; ``sketched`` unless its values are its sketch."""
        return self._checked(lambda clean: self._vector(values, start, sketched, clean))

    def _checked(self, unit: Any) -> Partial:
        # Non-finite values are rare and surface in the sums: look for them only then.
        partial: Partial = unit(False)
        moments = partial.moments
        if not (moments.min >= -FLOAT32_MAX and moments.max <= FLOAT32_MAX):
            partial = unit(True)
        return partial

    def _matrix(self, values: torch.Tensor, start: int, columns: int, clean: bool) -> Partial:
        moments = Moments()
        sketch = torch.zeros(seeds.K_MAX, seeds.K_MAX, dtype=torch.float64, device=self._device)
        taken = 0
        for part in rectangles(start, start + len(values), columns):
            size = part.rows * part.columns
            view = values[taken : taken + size].view(part.rows, part.columns)
            taken += size
            buckets, signs = (torch.from_numpy(a).to(self._device) for a in seeds.row_buckets(part.row, part.rows))
            column = part.column
            while column < part.column + part.columns:
                block, skip = divmod(column, TILE_COLUMNS)
                width = min(TILE_COLUMNS - skip, part.column + part.columns - column)
                stripe = view[:, column - part.column : column - part.column + width]
                rows = self._rows(stripe, buckets, signs, moments, clean)
                sketch.addmm_(rows, _column_block(block, self._device)[skip : skip + width])
                column += width
        return Partial(moments, sketch.cpu().numpy())

    def _rows(
        self, stripe: torch.Tensor, buckets: torch.Tensor, signs: torch.Tensor, moments: Moments, clean: bool
    ) -> torch.Tensor:
        """``S^T`` times a stripe of at most 1024 columns."""
        rows, width = stripe.shape
        total = torch.zeros(seeds.K_MAX, width, dtype=torch.float64, device=self._device)
        step = max(1, TILE_ELEMENTS // width)
        for row in range(0, rows, step):
            wide = self._widen(stripe[row : row + step], moments, clean)
            wide.mul_(signs[row : row + step, None])
            total.index_add_(0, buckets[row : row + step], wide)
        return total

    def _vector(self, values: torch.Tensor, start: int, sketched: bool, clean: bool) -> Partial:
        moments = Moments()
        sketch = torch.zeros(seeds.VECTOR_BUCKETS, dtype=torch.float64, device=self._device) if sketched else None
        for begin in range(0, len(values), TILE_ELEMENTS):
            wide = self._widen(values[begin : begin + TILE_ELEMENTS], moments, clean)
            if sketch is not None:
                wide.mul_(torch.from_numpy(seeds.vector_signs(start + begin, len(wide))).to(self._device))
                whole = len(wide) // seeds.VECTOR_BUCKETS * seeds.VECTOR_BUCKETS
                sketch += wide[:whole].view(-1, seeds.VECTOR_BUCKETS).sum(0)
                sketch[: len(wide) - whole] += wide[whole:]
        return Partial(moments, None if sketch is None else sketch.cpu().numpy())

    def _widen(self, tile: torch.Tensor, moments: Moments, clean: bool) -> torch.Tensor:
        """A tile as contiguous float64, its statistics added to ``moments``."""
        size = tile.numel()
        wide, other, narrow = (s[:size] for s in (self._wide, self._other, self._narrow))
        wide.view(tile.shape).copy_(tile)
        if clean:
            nonfinite, low, high = self._clean(wide)
            moments.nonfinite += nonfinite
            moments.zeros -= nonfinite
        else:
            low, high = (float(bound) for bound in torch.aminmax(wide))
        moments.min = min(moments.min, low) if low == low else -math.inf
        moments.max = max(moments.max, high) if high == high else math.inf
        torch.eq(wide, 0.0, out=self._flags[:size])
        moments.zeros += int(np.count_nonzero(self._flags[:size].numpy()))
        moments.sum += float(wide.sum())
        torch.abs(wide, out=other)
        moments.abs += float(other.sum())
        torch.mul(wide, wide, out=other)
        moments.sumsq += float(other.sum())
        moments.sum3 += float(torch.dot(other, wide))
        moments.sum4 += float(torch.dot(other, other))
        narrow.copy_(wide)
        moments.mantissa |= int(np.bitwise_or.reduce(narrow.view(torch.int32).numpy()))
        return wide.view(tile.shape)

    def _clean(self, wide: torch.Tensor) -> tuple[int, float, float]:
        """Sets non-finite values to 0; returns their number and the bounds of the others."""
        finite = wide.abs() <= FLOAT32_MAX
        low = float(torch.where(finite, wide, math.inf).amin())
        high = float(torch.where(finite, wide, -math.inf).amax())
        wide.copy_(torch.where(finite, wide, 0.0))
        return len(wide) - int(torch.count_nonzero(finite)), low, high
