"""Weights in formats that Mother does not read, as NumPy arrays by name.

Each function takes bytes and runs nothing that they hold. Kernels of TensorFlow.js are turned to the order that
PyTorch, ONNX, ncnn and dlib have: output, input, height, width.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from math import prod

import numpy as np

Tensors = dict[str, np.ndarray]


def onnx(data: bytes) -> Tensors:
    """The floating-point and 8-bit constants of an ONNX model with their subgraphs' (format: ``onnx.proto``)."""
    graphs = (content for number, _, content in _fields(memoryview(data)) if number == 7)
    return {name: tensor for graph in graphs for name, tensor in _constants(graph) if tensor.ndim}


_ONNX_TYPES = {1: "<f4", 2: "u1", 3: "i1", 10: "<f2", 11: "<f8"}


def _constants(graph: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    for number, _, content in _fields(graph):
        if number == 5:
            yield from _constant(content, "")
        elif number == 1:
            node = list(_fields(content))
            output = next((bytes(part).decode() for which, _, part in node if which == 2), "")
            for attribute in (part for which, _, part in node if which == 5):
                branch = ""
                for which, _, part in _fields(attribute):
                    if which == 1:
                        branch = bytes(part).decode()
                    elif which == 5:
                        yield from _constant(part, output)
                    elif which == 6:
                        yield from ((f"{branch}.{name}", tensor) for name, tensor in _constants(part))


def _constant(tensor: memoryview, output: str) -> Iterator[tuple[str, np.ndarray]]:
    shape: list[int] = []
    name, kind, values = output, 0, memoryview(b"")
    for number, value, content in _fields(tensor):
        if number == 1:
            shape += list(_varints(content)) if len(content) else [value]
        elif number == 2:
            kind = value
        elif number in (4, 9):
            values = content
        elif number == 8:
            name = bytes(content).decode() or output
    if kind in _ONNX_TYPES and len(values):
        yield name, np.frombuffer(values, _ONNX_TYPES[kind]).reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, and value or content, of each field of a Protocol Buffers message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value, length = 0, {0: 0, 1: 8, 5: 4}.get(key & 7)
        if length is None:
            length, at = _varint(message, at)
        elif not length:
            value, at = _varint(message, at)
        yield key >> 3, value, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def tensorflow_js(manifest: bytes, read: Callable[[str], bytes]) -> Tensors:
    """Weights of a TensorFlow.js manifest, dequantised: a quantised tensor keeps its at most 256 values.

    Args:
        manifest: The JSON list of groups, each with ``paths`` and ``weights``.
        read: Bytes of a path.
    """
    tensors = {}
    for group in json.loads(manifest):
        content, at = b"".join(read(path) for path in group["paths"]), 0
        for weight in group["weights"]:
            stored = weight.get("quantization", weight)
            kind = np.dtype(stored["dtype"]).newbyteorder("<")
            values = np.frombuffer(content, kind, prod(weight["shape"]), at)
            at += values.nbytes
            if stored is not weight:
                values = (values * np.float32(stored["scale"]) + np.float32(stored["min"])).astype("<f4")
            values = values.reshape(weight["shape"])
            tensors[weight["name"]] = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values.T
    return tensors


_NCNN_HALF = 0x01306B47


def ncnn(parameters: bytes, weights: bytes) -> Tensors:
    """Convolutions and inner products of an ncnn network, in the precision in which they are stored.

    Args:
        parameters: The ``.param`` file: a line a layer, ``0=`` outputs, ``1=`` kernel size, ``6=`` number of weights;
            for an inner product ``1=`` bias, ``2=`` number of weights.
        weights: The ``.bin`` file: for each layer a tag of the precision, the weights, the biases.
    """
    tensors, at = {}, 0
    for line in parameters.decode().splitlines():
        layer, name, *rest = line.split() if "=" in line else ("", "")
        options = {key: int(value) for key, _, value in (part.partition("=") for part in rest) if value.isdigit()}
        if layer in ("Convolution", "Deconvolution"):
            outputs, count, size, biased = options["0"], options["6"], options["1"], options.get("5", 0)
            shape: tuple[int, ...] = (outputs, count // (outputs * size * size), size, size)
        elif layer == "InnerProduct":
            outputs, count, biased = options["0"], options["2"], options.get("1", 0)
            shape = (outputs, count // outputs)
        else:
            continue
        (tag,) = struct.unpack_from("<I", weights, at)
        kind = {_NCNN_HALF: "<f2", 0: "<f4"}[tag]
        weight = np.frombuffer(weights, kind, count, at + 4).reshape(shape)
        tensors[f"{name}.weight"] = weight
        at += 4 + -(-weight.nbytes // 4) * 4
        if biased:
            tensors[f"{name}.bias"] = np.frombuffer(weights, "<f4", outputs, at)
            at += 4 * outputs
    if at != len(weights):
        raise ValueError(f"{len(weights) - at} bytes of the ncnn weights belong to no layer that is read.")
    return tensors


_DLIB_LAYER = re.compile(rb"\x01[\x04-\x08](con_4|affine_|fc_2)")


def dlib(data: bytes) -> Tensors:
    """Convolutions, affine and fully connected layers of a serialised dlib network, in order from the input.

    A layer is a tag, a tensor (version 2, four dimensions, little-endian floats) and its hyperparameters; integers are
    a byte with their length and sign, then as many bytes.
    """
    tensors: Tensors = {}
    at = number = 0
    while found := _DLIB_LAYER.search(data, at):
        kind, at = found[1].decode().partition("_")[0], found.end()
        if kind == "fc":
            _, at = _dlib_integers(data, at, 2)
        (version, *shape), at = _dlib_integers(data, at, 5)
        if version != 2:
            raise ValueError(f"A {kind} tensor before byte {at} is of dlib's version {version}, not 2.")
        values = np.frombuffer(data, "<f4", prod(shape), at)
        at += values.nbytes
        if kind == "con":
            (outputs, height, width), _ = _dlib_integers(data, at, 3)
            weight = values[:-outputs].reshape(outputs, -1, height, width)
            parts = {"weight": weight, "bias": values[-outputs:]}
        elif kind == "affine":
            parts = {"weight": values[: len(values) // 2], "bias": values[len(values) // 2 :]}
        else:
            parts = {"weight": values.reshape(shape[0], -1).T}
        tensors |= {f"{number:02}.{kind}.{name}": part for name, part in parts.items()}
        number += 1
    return tensors


def _dlib_integers(data: bytes, at: int, count: int) -> tuple[list[int], int]:
    values = []
    for _ in range(count):
        length = data[at]
        values.append(int.from_bytes(data[at + 1 : at + 1 + length], "little"))
        at += 1 + length
    return values, at


_TESSERACT_LSTM = 17
"""Index of the network among the components of a ``.traineddata`` file."""


def tesseract(data: bytes) -> Tensors:
    """Weight matrices of a Tesseract 4 or 5 recogniser (format: ``src/lstm`` of Tesseract), biases in the last column.

    Integer matrices are given as int8 with the scale of each row as a tensor of its own.
    """
    (components,) = struct.unpack_from("<i", data)
    start = struct.unpack_from(f"<{components}q", data, 4)[_TESSERACT_LSTM]
    reader = _Tesseract(data, start)
    reader.network("network")
    return reader.tensors


class _Tesseract:
    """A reader of serialised networks: each is a header, then what its kind has."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self.tensors: Tensors = {}

    def take(self, pattern: str) -> tuple[int, ...]:
        values = struct.unpack_from(f"<{pattern}", self.data, self.at)
        self.at += struct.calcsize(f"<{pattern}")
        return values

    def string(self) -> str:
        (length,) = self.take("I")
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def network(self, path: str) -> None:
        self.take("b")
        kind = self.string()
        training, _, flags, *_ = self.take("bbiiii")
        if training == 1:
            raise ValueError("The network is a checkpoint in the middle of its training.")
        path = f"{path}.{self.string()}"
        if kind in ("Series", "Parallel", "Reversed", "RTLReversed", "TTBReversed", "XYTranspose"):
            for child in range(self.take("I")[0]):
                self.network(f"{path}.{child}")
            if flags & 64:
                self.take(f"{self.take('I')[0]}f")
        elif kind in ("LSTM", "SummLSTM"):
            self.take("i")
            for gate in ("input", "input_gate", "forget_gate", "output_gate"):
                self.matrix(f"{path}.{gate}")
        elif kind == "Input":
            self.take("iiiii")
        elif kind in ("Convolve", "Maxpool", "Reconfig"):
            self.take("ii")
        elif kind in ("Softmax", "SoftmaxNoCTC", "Relu", "Tanh", "Linear", "Logistic", "PosClip", "SymClip"):
            self.matrix(path)
        else:
            raise ValueError(f"A network of kind {kind} is not read.")

    def matrix(self, path: str) -> None:
        (mode,) = self.take("B")
        rows, columns = self.take("II")
        if mode & 1:
            self.take("b")
            self.tensors[f"{path}.weight"] = self.array("i1", rows * columns).reshape(rows, columns)
            self.tensors[f"{path}.scale"] = self.array("<f8", self.take("I")[0])
        else:
            self.take("d")
            self.tensors[f"{path}.weight"] = self.array("<f8", rows * columns).reshape(rows, columns)

    def array(self, kind: str, count: int) -> np.ndarray:
        values = np.frombuffer(self.data, kind, count, self.at)
        self.at += values.nbytes
        return values
