"""A model's tensors by name, decoded to numpy: read when asked for, a bounded part of them remembered."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from mlflow_mother.errors import WeightsError
from mlflow_mother.types import TensorSpec
from mlflow_mother.weights import NamedTensor, OpenWeights

Floats = npt.NDArray[np.floating]
"""float32, or float64 where the weights are stored in it."""

MEMORY_BYTES = 1 << 30
"""Decoded tensors that are remembered of one model."""

LARGEST = 2.0**48
"""Larger numbers are no weights but stand for infinity, as in masks of attention; sums of their squares overflow."""

FLOATING = frozenset({"F64", "F32", "F16", "BF16"})
"""Element types that are compared; packed and 8-bit ones hold numbers that mean nothing without their scales."""


class Source:
    """One model.

    Readers yield tensors in one order, each to be read before the next. Asking in that order costs one pass; asking
    for an earlier one starts anew.

    Args:
        opened: The model, its reader known.
    """

    def __init__(self, opened: OpenWeights) -> None:
        self.name = opened.files.id
        self._opened = opened
        self._known: OrderedDict[str, Floats] = OrderedDict()
        self._held = 0
        self._pass: Iterator[NamedTensor] = iter(())
        self.specs: dict[str, TensorSpec] = {tensor.name: tensor.spec for tensor in opened.tensors()}

    def array(self, name: str) -> Floats:
        """A tensor's values, not to be written to; NaN, infinities and what is beyond :data:`LARGEST` as 0.

        Args:
            name: Its stored name.

        Raises:
            WeightsError: It cannot be read, or its type is none of :data:`FLOATING`.
        """
        if name in self._known:
            self._known.move_to_end(name)
            return self._known[name]
        values = _decoded(self.tensor(name))
        values.setflags(write=False)
        self._known[name] = values
        self._held += values.nbytes
        while len(self._known) > 1 and self._held > MEMORY_BYTES:
            self._held -= self._known.popitem(last=False)[1].nbytes
        return values

    def tensor(self, name: str) -> NamedTensor:
        """A tensor as stored, to be read before any other is asked for.

        Raises:
            WeightsError: There is none of this name.
        """
        for tensor in self._pass:
            if tensor.name == name:
                return tensor
        self._pass = self._opened.tensors()
        for tensor in self._pass:
            if tensor.name == name:
                return tensor
        raise WeightsError(f"{self.name} holds no tensor {name!r}.", "Check whether its files change.")


def _decoded(tensor: NamedTensor) -> Floats:
    raw = np.frombuffer(tensor.tobytes(), np.uint8)
    values: Floats
    if tensor.dtype == "BF16":
        values = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    elif tensor.dtype in FLOATING:
        stored = raw.view({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[tensor.dtype])
        values = stored.astype(np.float64 if tensor.dtype == "F64" else np.float32)
    else:
        raise WeightsError(f"Tensor {tensor.name!r} holds {tensor.dtype}, no floating point.", "Leave it out.")
    values[~((values >= -LARGEST) & (values <= LARGEST))] = 0.0
    return values.reshape(tensor.shape)


def encoded(values: Floats, dtype: str) -> bytes:
    """Values as bytes of an element type that holds them exactly, as :func:`Source.array` gave them.

    Args:
        values: Of any shape.
        dtype: One of :data:`FLOATING`.
    """
    if dtype == "BF16":
        return (np.ascontiguousarray(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def elements(spec: TensorSpec) -> int:
    """How many numbers a tensor holds."""
    return math.prod(spec.shape)
