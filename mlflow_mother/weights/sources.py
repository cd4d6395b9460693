"""Where bytes come from: ranges of open files, and contiguous copies of strided views.

Ranges use ``os.preadv`` (no shared position, hence thread-safe) rather than a memory map, so that a pass over a large
file neither grows the process's resident memory nor kills it when the file is truncated underneath.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from mlflow_mother.errors import CorruptFileError
from mlflow_mother.weights.dtypes import itemsize
from mlflow_mother.weights.model import ByteSource


@dataclass(frozen=True)
class FileRange:
    """A range of an open file.

    Attributes:
        descriptor: File descriptor; whoever opened it keeps it open.
        start: First byte of the range in the file.
        length: Bytes in the range.
        what: What to call the file in messages.
    """

    descriptor: int
    start: int
    length: int
    what: str

    def readinto(self, offset: int, buffer: memoryview, /) -> None:
        """Fills ``buffer`` with the bytes from ``offset`` of the range on.

        Raises:
            CorruptFileError: The range or the file ends before the buffer is full.
        """
        if offset < 0 or offset + len(buffer) > self.length:
            raise CorruptFileError(
                f"{self.what} was read past its end ({offset + len(buffer)} of {self.length} bytes).",
                "Save the model again.",
            )
        done = 0
        while done < len(buffer):
            read = os.preadv(self.descriptor, [buffer[done:]], self.start + offset + done)
            if read <= 0:
                raise CorruptFileError(
                    f"{self.what} ends at byte {self.start + offset + done}, in the middle of its contents.",
                    "The file is truncated or was replaced while it was read; copy or save it again.",
                )
            done += read

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from ``offset`` on, fewer at the end of the range."""
        data = bytearray(max(0, min(length, self.length - offset)))
        self.readinto(min(offset, self.length), memoryview(data))
        return bytes(data)

    def part(self, offset: int, length: int, what: str = "") -> FileRange:
        """A range within this one.

        Raises:
            CorruptFileError: It would reach out of this range.
        """
        if offset < 0 or length < 0 or offset + length > self.length:
            raise CorruptFileError(
                f"{self.what} is truncated: it describes {offset + length} bytes and holds {self.length}.",
                "Copy or save the file again.",
            )
        return FileRange(self.descriptor, self.start + offset, length, what or self.what)


@contextmanager
def open_range(path: Path, what: str) -> Iterator[FileRange]:
    """The whole of a file as a range, open for as long as the context lasts.

    Raises:
        CorruptFileError: The file is empty or not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        length = os.fstat(descriptor).st_size
        if length == 0:
            raise CorruptFileError(f"{what} is empty (0 bytes).", "Copy or save the file again.")
        yield FileRange(descriptor, 0, length, what)
    finally:
        os.close(descriptor)


@dataclass
class StridedView:
    """A non-contiguous view of a storage as contiguous bytes.

    The contiguous copy is made on first use and lives as long as the view: one tensor at a time.

    Attributes:
        storage: The storage's bytes.
        dtype: Element type.
        shape: Dimensions, none of them 0.
        strides: Elements to step in each dimension, not negative.
        offset: First element.
    """

    storage: ByteSource
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    _copy: memoryview | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def readinto(self, offset: int, buffer: memoryview, /) -> None:
        """Fills ``buffer`` with the bytes from ``offset`` of the contiguous tensor on.

        Raises:
            CorruptFileError: The tensor ends before the buffer is full.
        """
        with self._lock:
            if self._copy is None:
                self._copy = self._contiguous()
        if offset < 0 or offset + len(buffer) > len(self._copy):
            raise CorruptFileError("A tensor was read past its end.", "Report this as a bug of the caller.")
        buffer[:] = self._copy[offset : offset + len(buffer)]

    def _contiguous(self) -> memoryview:
        size = itemsize(self.dtype)
        span = 1 + sum((dim - 1) * stride for dim, stride in zip(self.shape, self.strides, strict=True))
        raw = bytearray(span * size)
        self.storage.readinto(self.offset * size, memoryview(raw))
        elements = np.frombuffer(raw, dtype=f"V{size}")
        view = np.lib.stride_tricks.as_strided(elements, self.shape, [stride * size for stride in self.strides])
        return memoryview(np.ascontiguousarray(view).reshape(-1).view(np.uint8).data)


def strided(
    storage: FileRange, dtype: str, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, what: str
) -> ByteSource:
    """The contiguous bytes of a tensor that is a view of a storage.

    Args:
        storage: The storage's bytes.
        dtype: Element type.
        shape: Dimensions.
        strides: Elements to step in each dimension.
        offset: First element.
        what: What to call the tensor in messages.

    Raises:
        CorruptFileError: The view reaches out of its storage or steps backwards.
    """
    size = itemsize(dtype)
    if len(shape) != len(strides) or offset < 0 or min((*shape, *strides), default=0) < 0:
        raise CorruptFileError(f"{what} has a shape that contradicts its strides.", "Save the model again.")
    count = math.prod(shape)
    if count == 0:
        return storage.part(0, 0, what)
    span = 1 + sum((dim - 1) * stride for dim, stride in zip(shape, strides, strict=True))
    if (offset + span) * size > storage.length:
        raise CorruptFileError(
            f"{what} is a view of {(offset + span) * size} bytes into a storage of {storage.length}.",
            "Copy or save the file again.",
        )
    if _is_contiguous(shape, strides):
        return storage.part(offset * size, count * size, what)
    return StridedView(storage, dtype, shape, strides, offset)


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for dim, stride in zip(reversed(shape), reversed(strides), strict=True):
        if dim != 1 and stride != expected:
            return False
        expected *= dim
    return True
