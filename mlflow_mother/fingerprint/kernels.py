"""The torch work on one unit, a contiguous part of one tensor: exact statistics and a partial sketch.

A unit is cut into tiles of at most 1024 columns, and a tile is widened once to float64; statistics and sketch come out
of that copy. All sums are float64 over products that are exact or correctly rounded, so an energy is good to about
1e-15 and a sketch to the rounding of its final float32 form. The order of the additions depends on the tensor's shape
and type only, as long as each thread runs torch's operations alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mlflow_mother.fingerprint import seeds
from mlflow_mother.fingerprint.moments import Moments, countable, counted_moments
from mlflow_mother.fingerprint.record import STATS
from mlflow_mother.fingerprint.widening import BEYOND_FLOAT32, finite_limit, widen

TILE_COLUMNS = 1024
TILE_ELEMENTS = 256 * TILE_COLUMNS


@dataclass(frozen=True)
class Partial:
    """What one unit contributes to its tensor.

    Attributes:
        moments: Its statistics.
        sketch: Unscaled float64 sketch, ``(64, 64)`` or ``(512,)``; empty when the sketch is the values themselves.
    """

    moments: Moments
    sketch: npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Pass:
    """One pass over a unit.

    Attributes:
        dtype: Element type.
        moments: Statistics to add to; None when they are known already.
        clean: Whether non-finite values must be set to 0.
    """

    dtype: str
    moments: Moments | None
    clean: bool = False


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


@lru_cache(maxsize=256)
def _first_buckets(rows: int) -> torch.Tensor:
    index, signs = seeds.row_buckets(0, rows)
    return torch.from_numpy(index + seeds.K_MAX * (signs < 0))


def mantissa_bits(used: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Significant bits of float32 mantissas, from the OR of the values' bits."""
    low = np.asarray(used & -used & 0x7FFFFF)
    return np.where(low > 0, 24 - np.frexp(low.astype(np.float64))[1], 0).astype(np.int32)


@lru_cache(maxsize=64)
def _column_block(block: int, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(seeds.column_signs(block * TILE_COLUMNS, TILE_COLUMNS)).to(device)


class Workspace:
    """One thread's scratch memory and the passes that use it, on any torch device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._powers = torch.empty(3, TILE_ELEMENTS, dtype=torch.float64, device=device)
        self._narrow = torch.empty(TILE_ELEMENTS, dtype=torch.float32, device=device)

    def matrix(self, values: torch.Tensor, dtype: str, start: int, columns: int) -> Partial:
        """Statistics and sketch of successive elements, from ``start`` on, of a matrix with ``columns`` columns."""
        return self._measured(values, dtype, lambda job: self._sketch_matrix(values, start, columns, job))

    def vector(self, values: torch.Tensor, dtype: str, start: int) -> Partial:
        """The same for a tensor of fewer than two dimensions and more than 512 elements."""
        return self._measured(values, dtype, lambda job: self._sketch_vector(values, start, job))

    def short_vector(self, values: torch.Tensor, dtype: str) -> Partial:
        """Statistics of a tensor whose sketch is its values."""
        return self._measured(values, dtype, lambda job: self._tile(values, job)[:0])

    def _measured(self, values: torch.Tensor, dtype: str, sketch: Callable[[_Pass], torch.Tensor]) -> Partial:
        if countable(values, dtype):
            moments = counted_moments(values, dtype)
            result = sketch(_Pass(dtype, None, clean=moments.nonfinite > 0))
        else:
            moments = Moments()
            result = sketch(_Pass(dtype, moments))
            # Non-finite values are rare and show in the extremes: clean them away only where there are some.
            if not (moments.min >= -finite_limit(dtype) and moments.max <= finite_limit(dtype)):
                moments = Moments()
                result = sketch(_Pass(dtype, moments, clean=True))
        return Partial(moments, result.cpu().numpy())

    def _sketch_matrix(self, values: torch.Tensor, start: int, columns: int, job: _Pass) -> torch.Tensor:
        sketch = torch.zeros(seeds.K_MAX, seeds.K_MAX, dtype=torch.float64, device=self._device)
        taken = 0
        for part in rectangles(start, start + len(values), columns):
            size = part.rows * part.columns
            view = values[taken : taken + size].view(part.rows, part.columns)
            taken += size
            index, signs = seeds.row_buckets(part.row, part.rows)
            buckets = torch.from_numpy(index + seeds.K_MAX * (signs < 0)).to(self._device)
            column = part.column
            while column < part.column + part.columns:
                block, skip = divmod(column, TILE_COLUMNS)
                width = min(TILE_COLUMNS - skip, part.column + part.columns - column)
                stripe = view[:, column - part.column : column - part.column + width]
                rows = self._bucket_rows(stripe, buckets, job)
                sketch.addmm_(rows, _column_block(block, self._device)[skip : skip + width])
                column += width
        return sketch

    def _bucket_rows(self, stripe: torch.Tensor, buckets: torch.Tensor, job: _Pass) -> torch.Tensor:
        """``S^T`` times a stripe of columns. Rows of negative sign have 64 buckets of their own until the end."""
        rows, width = stripe.shape
        total = torch.zeros(2 * seeds.K_MAX, width, dtype=torch.float64, device=self._device)
        step = max(1, TILE_ELEMENTS // width)
        for row in range(0, rows, step):
            self._add_rows(total, buckets[row : row + step], self._tile(stripe[row : row + step], job))
        difference: torch.Tensor = total[: seeds.K_MAX] - total[seeds.K_MAX :]
        return difference

    def _sketch_vector(self, values: torch.Tensor, start: int, job: _Pass) -> torch.Tensor:
        sketch = torch.zeros(seeds.VECTOR_BUCKETS, dtype=torch.float64, device=self._device)
        for begin in range(0, len(values), TILE_ELEMENTS):
            wide = self._tile(values[begin : begin + TILE_ELEMENTS], job)
            wide.mul_(torch.from_numpy(seeds.vector_signs(start + begin, len(wide))).to(self._device))
            whole = len(wide) // seeds.VECTOR_BUCKETS * seeds.VECTOR_BUCKETS
            sketch += wide[:whole].view(-1, seeds.VECTOR_BUCKETS).sum(0)
            sketch[: len(wide) - whole] += wide[whole:]
        return sketch

    def _tile(self, tile: torch.Tensor, job: _Pass) -> torch.Tensor:
        """A tile as contiguous float64; its statistics are added to the pass's."""
        size = tile.numel()
        powers, narrow = self._powers[:, :size], self._narrow[:size]
        wide = powers[1]
        widen(tile, job.dtype, narrow.view(tile.shape), wide.view(tile.shape))
        nonfinite, low, high = 0, math.inf, -math.inf
        if job.clean:
            finite = wide.abs() <= finite_limit(job.dtype)
            nonfinite = size - int(torch.count_nonzero(finite))
            low = float(torch.where(finite, wide, math.inf).amin())
            high = float(torch.where(finite, wide, -math.inf).amax())
            wide.copy_(torch.where(finite, wide, 0.0))
            narrow.copy_(wide)
        if job.moments is not None:
            exact = wide if job.dtype in BEYOND_FLOAT32 else narrow
            if not job.clean:
                low, high = (float(bound) for bound in torch.aminmax(exact))
                if math.isnan(low):  # NaN must not get lost among later comparisons
                    low, high = -math.inf, math.inf
            job.moments.add(self._powers_of(powers, narrow, exact, nonfinite, low, high))
        return wide.view(tile.shape)

    def _powers_of(
        self, powers: torch.Tensor, narrow: torch.Tensor, exact: torch.Tensor, nonfinite: int, low: float, high: float
    ) -> Moments:
        absolute, wide, square = powers
        torch.abs(wide, out=absolute)
        torch.mul(wide, wide, out=square)
        sums = powers.sum(1).tolist()
        cubes, fourths = torch.mv(powers[1:], square).tolist()
        return Moments(
            sum=sums[1],
            sumsq=sums[2],
            sum3=cubes,
            sum4=fourths,
            abs=sums[0],
            min=low,
            max=high,
            zeros=self._count_zeros(exact) - nonfinite,
            nonfinite=nonfinite,
            mantissa=self._or_bits(narrow.view(torch.int32)),
        )

    def _add_rows(self, total: torch.Tensor, buckets: torch.Tensor, wide: torch.Tensor) -> None:
        # An accelerator's index_add_ adds in whatever order; a product is deterministic.
        selection = torch.nn.functional.one_hot(buckets, len(total)).to(torch.float64)
        total.addmm_(selection.t(), wide)

    def _count_zeros(self, values: torch.Tensor) -> int:
        return values.numel() - int(torch.count_nonzero(values))

    def _or_bits(self, bits: torch.Tensor) -> int:
        while len(bits) > 1:
            half = (len(bits) + 1) // 2
            bits = bits[:half] | bits[-half:]
        return int(bits)


class HostWorkspace(Workspace):
    """The same on the CPU, where numpy and ``index_add_`` do some operations several times faster."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._flags = np.empty(TILE_ELEMENTS, np.bool_)

    def _add_rows(self, total: torch.Tensor, buckets: torch.Tensor, wide: torch.Tensor) -> None:
        total.index_add_(0, buckets, wide)

    def _count_zeros(self, values: torch.Tensor) -> int:
        return int(np.count_nonzero(np.equal(values.numpy(), 0.0, out=self._flags[: len(values)])))

    def _or_bits(self, bits: torch.Tensor) -> int:
        return int(np.bitwise_or.reduce(bits.numpy()))

    def measure_each(
        self, values: torch.Tensor, dtype: str, starts: npt.NDArray[np.int64], stops: npt.NDArray[np.int64]
    ) -> tuple[torch.Tensor, npt.NDArray[np.void], npt.NDArray[np.bool_]]:
        """Statistics of many small tensors, to the bit those that each would have alone.

        Args:
            values: Their elements, at most one tile, as made by :func:`~.widening.elements`.
            dtype: Element type.
            starts: First element of each, a multiple of 8.
            stops: Where each ends; elements follow the last one.

        Returns:
            All elements in float64, valid until the workspace is used again; the statistics, all but ``distinct``; and
            which tensors are finite, as the statistics of the others mean nothing.
        """
        powers, narrow = self._powers[:, : len(values)], self._narrow[: len(values)]
        absolute, wide, square = powers
        widen(values, dtype, narrow, wide)
        torch.abs(wide, out=absolute)
        torch.mul(wide, wide, out=square)
        exact = wide if dtype in BEYOND_FLOAT32 else narrow
        edges = np.stack([starts, stops], axis=1).ravel()
        stats = np.zeros(len(starts), STATS)
        stats["count"] = stops - starts
        with np.errstate(invalid="ignore"):
            stats["min"] = np.minimum.reduceat(exact.numpy(), edges)[::2]
            stats["max"] = np.maximum.reduceat(exact.numpy(), edges)[::2]
        stats["zeros"] = np.add.reduceat(exact.numpy() == 0.0, edges, dtype=np.int64)[::2]
        stats["mantissa"] = mantissa_bits(np.bitwise_or.reduceat(narrow.view(torch.int32).numpy(), edges)[::2])
        sums = np.empty((5, len(starts)))
        for index, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            part = powers[:, start:stop]
            sums[:3, index] = part.sum(1).tolist()
            sums[3:, index] = torch.mv(part[1:], part[2]).tolist()
        # A sum starts at 0.0 and so is never -0.0.
        stats["abs"], stats["sum"], stats["sumsq"], stats["sum3"], stats["sum4"] = sums + 0.0
        # Which zero is an extreme, 0.0 or -0.0, is up to the operation.
        for index in np.flatnonzero((stats["min"] == 0.0) | (stats["max"] == 0.0)).tolist():
            bounds = torch.aminmax(exact[starts[index] : stops[index]])
            stats["min"][index], stats["max"][index] = (float(bound) for bound in bounds)
        limit = finite_limit(dtype)
        return wide, stats, (stats["min"] >= -limit) & (stats["max"] <= limit)

    def sketch_each(self, matrices: Sequence[torch.Tensor]) -> npt.NDArray[np.float64]:
        """Sketches of small float64 matrices of at most 1024 columns, to the bit those that each would have alone."""
        sketches = torch.zeros(len(matrices), seeds.K_MAX, seeds.K_MAX, dtype=torch.float64)
        for matrix, sketch in zip(matrices, sketches, strict=True):
            rows, columns = matrix.shape
            total = torch.zeros(2 * seeds.K_MAX, columns, dtype=torch.float64)
            self._add_rows(total, _first_buckets(rows), matrix)
            sketch.addmm_(total[: seeds.K_MAX] - total[seeds.K_MAX :], _column_block(0, self._device)[:columns])
        return sketches.numpy()
