"""Networks, files and comparisons that the tests of the readers share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from mlflow_mother.weights import LocalFiles, open_weights

Found = dict[str, tuple[str, tuple[int, ...], bytes]]

DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.uint16: "U16", torch.uint32: "U32",
    torch.uint64: "U64", torch.bool: "BOOL",
}  # fmt: skip


class Net(torch.nn.Module):
    """Layers of several kinds, a batch norm, and a buffer that its state dict leaves out."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 4))
        self.conv = torch.nn.Conv1d(1, 2, 3)
        self.register_buffer("kept", torch.arange(4))
        self.register_buffer("dropped", torch.ones(7), persistent=False)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.body(x)[:, None]).sum(2) + self.kept[:2] + self.dropped[:1]


def raw(tensor: torch.Tensor) -> tuple[str, tuple[int, ...], bytes]:
    """What Mother must read from a tensor, taken from PyTorch."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return DTYPES[tensor.dtype], tuple(tensor.shape), data


def expect(tensors: Mapping[str, torch.Tensor]) -> Found:
    return {name: raw(tensor) for name, tensor in tensors.items()}


def read(path: Path) -> Found:
    """All tensors of a file or folder, through the front door."""
    opened = open_weights(LocalFiles(path))
    return {t.name: (t.dtype, t.shape, bytes(t.tobytes())) for t in opened.tensors()}


def all_dtypes() -> dict[str, torch.Tensor]:
    """One tensor of each element type, every bit pattern of the one-byte types included."""
    generator = torch.Generator().manual_seed(3)
    patterns = torch.randint(0, 256, (256 * 8,), generator=generator, dtype=torch.uint8)
    patterns[:256] = torch.arange(256, dtype=torch.uint8)
    tensors = {}
    for dtype in DTYPES:
        tensors[str(dtype).removeprefix("torch.")] = (
            (patterns % 2).bool().reshape(64, 32)
            if dtype == torch.bool
            else patterns.view(dtype).reshape(16, -1).clone()
        )
    return tensors
