"""A safetensors file of about the wished size, with the shapes of a language model's layers."""

from __future__ import annotations

import json
import math
from itertools import cycle
from pathlib import Path

import torch

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}
HIDDEN, INNER = 4096, 11008
LAYER = {
    "attention.query.weight": (HIDDEN, HIDDEN),
    "attention.output.weight": (HIDDEN, HIDDEN),
    "attention.norm.weight": (HIDDEN,),
    "mlp.up.weight": (INNER, HIDDEN),
    "mlp.down.weight": (HIDDEN, INNER),
    "mlp.norm.weight": (HIDDEN,),
}


MANY = {"mix.weight": (8, 8), "mix.bias": (8,), "gate.weight": (16, 4), "scale": ()}


def write_many(path: Path, count: int) -> None:
    """Writes that many tiny float32 tensors, as in mixtures of experts and in per-channel quantisation."""
    shapes = list(MANY.items())
    header: dict[str, dict[str, object]] = {}
    end = 0
    for index in range(count):
        name, shape = shapes[index % len(shapes)]
        start, end = end, end + math.prod(shape) * 4
        header[f"layers.{index // len(shapes)}.{name}"] = {
            "dtype": "F32", "shape": list(shape), "data_offsets": [start, end],
        }  # fmt: skip
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    values = torch.randn(end // 4, generator=torch.Generator().manual_seed(0))
    path.write_bytes(len(text).to_bytes(8, "little") + text + values.numpy().tobytes())


def write_model(path: Path, dtype: str, nbytes: int) -> None:
    """Writes tensors of normal weights, layer after layer, until the file has at least ``nbytes`` of them."""
    size = DTYPES[dtype].itemsize
    header: dict[str, dict[str, object]] = {}
    end = 0
    for index, (name, shape) in enumerate(cycle(LAYER.items())):
        if end >= nbytes:
            break
        start, end = end, end + math.prod(shape) * size
        layer = f"layers.{index // len(LAYER)}.{name}"
        header[layer] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, entry in header.items():
            shape = entry["shape"]
            values = torch.randn(shape, generator=generator) * 0.02 + float(name.endswith("norm.weight"))
            file.write(values.to(DTYPES[dtype]).view(torch.uint8).numpy().data)
