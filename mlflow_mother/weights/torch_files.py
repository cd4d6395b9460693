"""Files of ``torch.save``: zip archives (since PyTorch 1.6) and the older stream of pickles, without PyTorch.

Zip: ``<name>/data.pkl`` describes the objects, ``<name>/data/<key>`` are the storages, ``<name>/byteorder`` tells their
byte order. Legacy: five pickles (magic number, protocol, system, objects, storage keys), then each storage as a count
and its bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from mlflow_mother.errors import CorruptFileError, UnsafeFileError, UnsupportedFormatError
from mlflow_mother.weights import limits
from mlflow_mother.weights.archive import Archive
from mlflow_mother.weights.dtypes import STORAGE, itemsize
from mlflow_mother.weights.model import NamedTensor
from mlflow_mother.weights.pickles import Inert, PersistentId, load_pickle
from mlflow_mother.weights.sources import FileRange, strided
from mlflow_mother.weights.torch_objects import StorageRef, TensorRef, find_weights

MAGIC = 0x1950A86A20F9469CFC6C
"""First pickled number of a legacy file."""

_PROTOCOL = 1001
_OTHER_SIZES = {
    "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16, "QInt8Storage": 1, "QUInt8Storage": 1, "QInt32Storage": 4,
    "QUInt4x2Storage": 1, "QUInt2x4Storage": 1,
}  # fmt: skip
_AGAIN = "Copy or save the file again."


class RangeStream:
    """Sequential reading of a file range."""

    def __init__(self, data: FileRange, position: int = 0) -> None:
        self._data = data
        self.position = position
        self._buffer = b""
        self._start = position

    def read(self, length: int, /) -> bytes:
        """The next bytes; fewer at the end."""
        if self.position + length > self._start + len(self._buffer):
            self._start = self.position
            self._buffer = self._data.read(self.position, max(length, 1 << 16))
        begin = self.position - self._start
        piece = self._buffer[begin : begin + length]
        self.position += len(piece)
        return piece

    def readline(self) -> bytes:
        """The rest of the line, at most 64 KiB of it."""
        ahead = self.read(1 << 16)
        line = ahead[: ahead.find(b"\n") + 1]
        self.position -= len(ahead) - len(line)
        return line


def read_torch_zip(archive: Archive) -> Iterator[NamedTensor]:
    """Yields the weights of a zip file in the order of their storages.

    Raises:
        CorruptFileError: Parts are missing or contradict each other.
        UnsafeFileError: A bound is crossed.
        UnsupportedFormatError: There are no tensors, or one that cannot be read.
    """
    programs = [name for name in archive.entries if name.count("/") <= 1 and name.split("/")[-1] == "data.pkl"]
    if len(programs) != 1:
        raise CorruptFileError(f"{archive.what} is a zip archive without PyTorch's data.pkl.", _AGAIN)
    base = programs[0][: -len("data.pkl")]
    if f"{base}byteorder" in archive.entries and archive.read(f"{base}byteorder", 16) != b"little":
        raise UnsupportedFormatError(f"{archive.what} was saved in big-endian order.", "Save it on another machine.")
    root = load_pickle(RangeStream(archive.range(programs[0])), archive.what)
    weights = find_weights(root, archive.what)

    def storage(ref: StorageRef) -> FileRange:
        return archive.range(f"{base}data/{ref.key}")

    def position(ref: StorageRef) -> int:
        entry = archive.entries.get(f"{base}data/{ref.key}")
        return entry.header if entry else 0

    yield from view_tensors(weights, storage, position, archive.what)


def read_torch_legacy(data: FileRange) -> Iterator[NamedTensor]:
    """Yields the weights of a legacy file in the order of their storages.

    Raises:
        CorruptFileError: The file is truncated or contradicts itself.
        UnsafeFileError: A bound is crossed.
        UnsupportedFormatError: It is some other pickle, has no tensors, or one that cannot be read.
    """
    stream = RangeStream(data)
    if load_pickle(stream, data.what) != MAGIC:
        raise UnsupportedFormatError(
            f"{data.what} is a pickle of Python objects, not a file of torch.save.",
            "Save the state dict as safetensors.",
        )
    protocol, system = load_pickle(stream, data.what), load_pickle(stream, data.what)
    if protocol != _PROTOCOL or (isinstance(system, dict) and system.get("little_endian") is False):
        raise UnsupportedFormatError(
            f"{data.what} uses an unknown protocol or big-endian order.", "Save it again with a current PyTorch."
        )
    references: list[PersistentId] = []
    weights = find_weights(load_pickle(stream, data.what, references), data.what)
    keys = load_pickle(stream, data.what)
    ranges = _legacy_storages(data, stream.position, keys, _element_sizes(references))

    def storage(ref: StorageRef) -> FileRange:
        if ref.key not in ranges:
            raise CorruptFileError(f"{data.what} lacks the storage {ref.key!r}.", _AGAIN)
        size = itemsize(ref.dtype)
        return ranges[ref.key].part(ref.offset * size, ref.count * size)

    yield from view_tensors(weights, storage, lambda ref: storage(ref).start, data.what)


def _legacy_storages(data: FileRange, position: int, keys: Any, sizes: dict[str, int]) -> dict[str, FileRange]:
    """Where each storage lies: each is a count of elements and their bytes."""
    if not isinstance(keys, list) or len(keys) > limits.TENSORS or not all(isinstance(key, str) for key in keys):
        raise CorruptFileError(f"{data.what} has a damaged list of storages.", _AGAIN)
    ranges: dict[str, FileRange] = {}
    for key in keys:
        if key not in sizes:
            raise UnsupportedFormatError(
                f"{data.what} holds a storage {key!r} of unknown element type.", "Save the state dict as safetensors."
            )
        length = sizes[key] * int.from_bytes(data.part(position, 8).read(0, 8), "little", signed=True)
        ranges[key] = data.part(position + 8, length, f"Storage {key!r} of {data.what}")
        position += 8 + length
    return ranges


def _element_sizes(references: list[PersistentId]) -> dict[str, int]:
    """Bytes of one element by storage key; quantised and complex types too, for they have to be skipped."""
    sizes: dict[str, int] = {}
    for reference in references:
        value = reference.value
        if isinstance(value, tuple) and len(value) > 2 and isinstance(value[1], Inert) and isinstance(value[2], str):
            kind = value[1].path.rpartition(".")[2]
            size = itemsize(STORAGE[kind]) if kind in STORAGE else _OTHER_SIZES.get(kind)
            if size is not None:
                sizes[value[2]] = size
    return sizes


def view_tensors(
    weights: dict[str, TensorRef],
    storage: Callable[[StorageRef], FileRange],
    position: Callable[[StorageRef], int],
    what: str,
) -> Iterator[NamedTensor]:
    """Yields tensors as views of their storages, in the order of the file.

    Args:
        weights: Tensors by name.
        storage: The bytes of a storage.
        position: Where a storage lies in the file.
        what: What to call the file in messages.

    Raises:
        CorruptFileError: A view reaches out of its storage.
        UnsafeFileError: The views are far larger than the storages (expanded or overlapping).
    """
    viewed = stored = 0
    seen: set[StorageRef] = set()
    for name, ref in sorted(weights.items(), key=lambda item: (position(item[1].storage), item[1].offset, item[0])):
        data = storage(ref.storage)
        stored += data.length if ref.storage not in seen else 0
        seen.add(ref.storage)
        viewed += math.prod(ref.shape) * itemsize(ref.dtype)
        if viewed > limits.VIEW_SLACK + limits.VIEW_RATIO * stored:
            raise UnsafeFileError(
                f"{what} describes tensors far larger than the bytes it holds, first {name!r}.",
                "Save contiguous tensors (tensor.contiguous()).",
            )
        source = strided(data, ref.dtype, ref.shape, ref.strides, ref.offset, f"Tensor {name!r} of {what}")
        yield NamedTensor(name, ref.dtype, ref.shape, source)
