"""Tensors in memory, as the fingerprint's tests need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mlflow_mother.errors import CorruptFileError
from mlflow_mother.fingerprint.compute import fingerprint_tensors
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.weights.model import NamedTensor

TORCH_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32, "I64": torch.int64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F16": torch.float16, "BF16": torch.bfloat16,
    "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip
NUMPY_DTYPES = {"U16": np.uint16, "U32": np.uint32, "U64": np.uint64}
DTYPES = (*TORCH_DTYPES, *NUMPY_DTYPES)


@dataclass
class Memory:
    """Bytes as a source."""

    data: bytes

    def readinto(self, offset: int, buffer: memoryview, /) -> None:
        if offset + buffer.nbytes > len(self.data):
            raise CorruptFileError("The tensor is truncated.", "Save it again.")
        buffer[:] = self.data[offset : offset + buffer.nbytes]


def raw(name: str, data: bytes, shape: tuple[int, ...], dtype: str) -> NamedTensor:
    return NamedTensor(name, dtype, shape, Memory(data))


def named(name: str, values: object, dtype: str = "F32") -> NamedTensor:
    """Values rounded to ``dtype`` as a tensor."""
    if dtype in NUMPY_DTYPES:
        array = np.ascontiguousarray(np.asarray(values).astype(NUMPY_DTYPES[dtype]))
        return raw(name, array.tobytes(), np.shape(values), dtype)
    tensor = torch.as_tensor(values).to(TORCH_DTYPES[dtype]).contiguous()
    data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return raw(name, data, tuple(tensor.shape), dtype)


def widened(tensor: NamedTensor) -> np.ndarray:
    """A tensor's values in float64, by numpy and torch's own conversions."""
    data = tensor.tobytes()
    if tensor.dtype in NUMPY_DTYPES:
        return np.frombuffer(data, NUMPY_DTYPES[tensor.dtype]).astype(np.float64)
    if not data:
        return np.zeros(0)
    return torch.frombuffer(data, dtype=torch.uint8).view(TORCH_DTYPES[tensor.dtype]).to(torch.float64).numpy()


def fingerprint(*tensors: NamedTensor, **options: object) -> Fingerprint:
    return fingerprint_tensors(tensors, **options)


def sketch(values: np.ndarray, dtype: str = "F32") -> np.ndarray:
    """The sketch of one tensor, in float64."""
    return fingerprint(named("w", values, dtype)).sketch_of(0).astype(np.float64)


def normal(shape: tuple[int, ...], seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def small_model(layers: int = 3, width: int = 96, seed: int = 0) -> list[NamedTensor]:
    """Matrices, a convolution, norm gains, biases and a scalar."""
    tensors = [named("embed.weight", normal((200, width), seed)), named("steps", np.int64(7), "I64")]
    for layer in range(layers):
        at = seed + 10 * layer
        tensors += [
            named(f"layers.{layer}.attention.weight", normal((width, width), at + 1), "BF16"),
            named(f"layers.{layer}.conv.weight", normal((32, 16, 3, 3), at + 2)),
            named(f"layers.{layer}.norm.weight", 1 + normal((width,), at + 3, 0.1)),
            named(f"layers.{layer}.bias", normal((3 * width,), at + 4), "F16"),
        ]
    return tensors
