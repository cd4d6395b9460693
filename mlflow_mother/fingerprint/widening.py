"""Raw bytes to numbers: every element type widened exactly, to float32 where it fits and to float64 always."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

FLOAT32_MAX = float(np.finfo(np.float32).max)

BEYOND_FLOAT32 = frozenset({"F64", "I32", "U32", "I64", "U64"})
"""Types with values that float32 cannot hold exactly."""

_VIEWS = {
    "BOOL": torch.uint8, "U8": torch.uint8, "I8": torch.int8, "U16": torch.int16, "I16": torch.int16,
    "U32": torch.int32, "I32": torch.int32, "U64": torch.int64, "I64": torch.int64,
    "F8_E4M3": torch.int8, "F8_E5M2": torch.int8, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip
_UNSIGNED_RANGES = {"U16": 2.0**16, "U32": 2.0**32, "U64": 2.0**64}
_FINITE_LIMITS = {"F8_E4M3": 448.0}


def elements(data: npt.NDArray[np.uint8], dtype: str, device: torch.device) -> torch.Tensor:
    """Raw little-endian bytes as a 1-D tensor of the type that :func:`widen` expects for ``dtype``."""
    return torch.from_numpy(data).view(_VIEWS[dtype]).to(device)


def finite_limit(dtype: str) -> float:
    """Largest magnitude of a finite value, once widened; NaN and infinities widen to something beyond or to NaN."""
    return _FINITE_LIMITS.get(dtype, FLOAT32_MAX)


def widen(values: torch.Tensor, dtype: str, narrow: torch.Tensor, wide: torch.Tensor) -> None:
    """Converts elements to float32 and float64; exact in float32 unless the type reaches beyond it.

    Args:
        values: As made by :func:`elements`, of any layout.
        dtype: Element type.
        narrow: float32 output, contiguous, of the same shape.
        wide: float64 output, contiguous, of the same shape.
    """
    if dtype in BEYOND_FLOAT32:
        wide.copy_(values)
        if dtype in _UNSIGNED_RANGES:
            wide += (wide < 0) * _UNSIGNED_RANGES[dtype]
        narrow.copy_(wide)
        return
    if dtype == "F8_E5M2":
        # Its bits are the upper half of a float16.
        narrow.copy_((values.to(torch.int16) << 8).view(torch.float16))
    elif dtype == "F8_E4M3":
        # Sign, exponent and mantissa moved into a float16, whose exponent bias is larger by 8. NaN becomes 480.
        narrow.copy_(((values.to(torch.int16) << 7) & ~0x4000).view(torch.float16))
        narrow *= 256.0
    elif dtype == "BOOL":
        narrow.copy_(values != 0)
    else:
        narrow.copy_(values)
        if dtype in _UNSIGNED_RANGES:
            narrow += (narrow < 0) * _UNSIGNED_RANGES[dtype]
    wide.copy_(narrow)


def widened(values: torch.Tensor, dtype: str) -> torch.Tensor:
    """A few elements in float64."""
    narrow = torch.empty(values.shape, dtype=torch.float32, device=values.device)
    wide = torch.empty(values.shape, dtype=torch.float64, device=values.device)
    widen(values, dtype, narrow, wide)
    return wide


def finite_values(values: torch.Tensor, dtype: str) -> npt.NDArray[np.float64]:
    """A few elements in float64, non-finite ones as 0."""
    wide = widened(values, dtype)
    finite: npt.NDArray[np.float64] = torch.where(wide.abs() <= finite_limit(dtype), wide, 0.0).cpu().numpy()
    return finite
