"""Zip archives as PyTorch writes them: an index of named byte ranges, read without extracting anything.

Only what such archives need is supported: one file, stored or deflated entries, zip64. The directory is parsed here
because its size must be bounded before it is read, and because entries are ranges of the file rather than streams.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from mlflow_mother.errors import CorruptFileError, UnsafeFileError, UnsupportedFormatError
from mlflow_mother.weights import limits
from mlflow_mother.weights.sources import FileRange

LOCAL, CENTRAL, END, END64, LOCATOR64 = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_BYTES = 22
_COMMENT_BYTES = 0xFFFF
_CENTRAL_HEADER = struct.Struct("<4s6H3L5H2L")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1
_AGAIN = "Copy or save the file again."


@dataclass(frozen=True)
class Entry:
    """One file of an archive.

    Attributes:
        name: Path within the archive.
        method: 0 stored, 8 deflated.
        packed: Bytes in the archive.
        length: Bytes after inflation, as announced.
        header: Where its local header starts.
    """

    name: str
    method: int
    packed: int
    length: int
    header: int


def is_zip(data: FileRange) -> bool:
    """Whether the first bytes are those of a zip archive."""
    return data.read(0, 4) in {LOCAL, END}


class Archive:
    """An open archive.

    Args:
        data: The bytes of the archive: a file, or a stored entry of another archive.

    Attributes:
        what: What to call the archive in messages.
        entries: Its files by path, directories left out.

    Raises:
        CorruptFileError: The directory is missing or contradicts the file.
        UnsafeFileError: A path leads out of the archive, or a bound is crossed.
        UnsupportedFormatError: The archive is encrypted or uses another compression.
    """

    def __init__(self, data: FileRange) -> None:
        self.what = data.what
        self._data = data
        self.entries: Mapping[str, Entry] = _directory(data)
        self._temporary: list[IO[bytes]] = []
        self._inflated: dict[str, FileRange] = {}

    def range(self, name: str) -> FileRange:
        """The bytes of one file; a deflated one is inflated to an anonymous temporary file.

        Raises:
            CorruptFileError: There is no such file, or its contents are damaged.
            UnsafeFileError: It inflates beyond the bound.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise CorruptFileError(f"{self.what} lacks its part {name!r}.", _AGAIN)
        if entry.method == _STORED:
            return self._packed(entry)
        if name not in self._inflated:
            self._inflated[name] = self._inflate(entry, self._packed(entry))
        return self._inflated[name]

    def read(self, name: str, limit: int) -> bytes:
        """One small file as a whole.

        Raises:
            UnsafeFileError: It is longer than ``limit``.
        """
        data = self.range(name)
        if data.length > limit:
            raise UnsafeFileError(
                f"{self.what}: part {name!r} holds {data.length} bytes; at most {limit} are read.",
                "Check where the file comes from.",
            )
        return data.read(0, data.length)

    def close(self) -> None:
        """Drops temporary files."""
        while self._temporary:
            self._temporary.pop().close()

    def _packed(self, entry: Entry) -> FileRange:
        header = self._data.part(entry.header, 30).read(0, 30)
        if header[:4] != LOCAL:
            raise CorruptFileError(f"{self.what}: part {entry.name!r} is not where the directory says.", _AGAIN)
        name, extra = struct.unpack("<2H", header[26:30])
        return self._data.part(entry.header + 30 + name + extra, entry.packed, f"Part {entry.name!r} of {self.what}")

    def _inflate(self, entry: Entry, packed: FileRange) -> FileRange:
        allowed = limits.INFLATED_SLACK + limits.INFLATED_RATIO * self._data.length
        allowed -= sum(data.length for data in self._inflated.values())
        stream, done, total = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
        file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the archive
        self._temporary.append(file)
        try:
            while not stream.eof and (done < packed.length or stream.unconsumed_tail):
                chunk = stream.unconsumed_tail or packed.read(done, 1 << 20)
                done += 0 if stream.unconsumed_tail else len(chunk)
                out = stream.decompress(chunk, 1 << 22)
                total += len(out)
                if total > entry.length or total > allowed:
                    raise UnsafeFileError(
                        f"{packed.what} inflates beyond the bound ({total} bytes so far): it looks like a zip bomb.",
                        "Save the model without compression.",
                    )
                file.write(out)
        except zlib.error as error:
            raise CorruptFileError(f"{packed.what} is damaged ({error}).", _AGAIN) from error
        if total != entry.length:
            raise CorruptFileError(f"{packed.what} inflates to {total} bytes instead of {entry.length}.", _AGAIN)
        file.flush()
        return FileRange(file.fileno(), 0, total, packed.what)


@contextmanager
def open_archive(data: FileRange) -> Iterator[Archive]:
    """An :class:`Archive` whose temporary files vanish with the context."""
    archive = Archive(data)
    try:
        yield archive
    finally:
        archive.close()


def _directory(data: FileRange) -> dict[str, Entry]:
    start, length, count = _end_record(data)
    if count > limits.ZIP_ENTRIES or length > limits.ZIP_DIRECTORY_BYTES:
        raise UnsafeFileError(
            f"{data.what} announces {count} parts in a directory of {length} bytes, more than any real model.",
            "Check where the file comes from.",
        )
    raw = data.part(start, length).read(0, length)
    entries: dict[str, Entry] = {}
    position = 0
    for _ in range(count):
        entry, position = _entry(raw, position, data.what)
        if entry.name in entries:
            raise UnsafeFileError(f"{data.what} holds two parts named {entry.name!r}.", "Save the model again.")
        if not entry.name.endswith("/"):
            entries[entry.name] = entry
    return entries


def _end_record(data: FileRange) -> tuple[int, int, int]:
    """Start, length and number of entries of the central directory."""
    tail_start = max(0, data.length - _END_BYTES - _COMMENT_BYTES)
    tail = data.read(tail_start, data.length - tail_start)
    found = tail.rfind(END)
    if found < 0 or len(tail) - found < _END_BYTES:
        raise CorruptFileError(f"{data.what} is truncated: the zip archive has no directory at its end.", _AGAIN)
    disk, first_disk, _, count, length, start = struct.unpack("<4H2L", tail[found + 4 : found + 20])
    locator = data.read(tail_start + found - 20, 20) if tail_start + found >= 20 else b""
    if locator[:4] == LOCATOR64:
        (offset,) = struct.unpack("<Q", locator[8:16])
        record = data.part(offset, 56).read(0, 56)
        if record[:4] != END64:
            raise CorruptFileError(f"{data.what} has a damaged zip64 directory.", _AGAIN)
        disk, first_disk, _, count, length, start = struct.unpack("<2L4Q", record[16:56])
    if disk or first_disk:
        raise UnsupportedFormatError(f"{data.what} is one volume of a split zip archive.", "Join it to a single file.")
    return start, length, count


def _entry(raw: bytes, position: int, what: str) -> tuple[Entry, int]:
    if len(raw) - position < _CENTRAL_HEADER.size:
        raise CorruptFileError(f"{what} has a truncated zip directory.", _AGAIN)
    fields = _CENTRAL_HEADER.unpack_from(raw, position)
    signature, flags, method = fields[0], fields[3], fields[4]
    packed, length, name_length, extra_length, comment_length = fields[8:13]
    header = fields[16]
    name_start = position + _CENTRAL_HEADER.size
    extra_start = name_start + name_length
    end = extra_start + extra_length + comment_length
    if signature != CENTRAL or end > len(raw):
        raise CorruptFileError(f"{what} has a damaged zip directory.", _AGAIN)
    name = raw[name_start:extra_start].decode("utf-8", "replace")
    length, packed, header = _zip64(raw[extra_start : extra_start + extra_length], length, packed, header, what)
    if flags & _ENCRYPTED or method not in {_STORED, _DEFLATED}:
        raise UnsupportedFormatError(
            f"{what}: part {name!r} is encrypted or compressed by method {method}.", "Save the model without it."
        )
    if method == _STORED and packed != length:
        raise CorruptFileError(f"{what}: part {name!r} has two different lengths.", _AGAIN)
    _check_path(name, what)
    return Entry(name, method, packed, length, header), end


def _zip64(extra: bytes, length: int, packed: int, header: int, what: str) -> tuple[int, int, int]:
    """Replaces the 32-bit fields that overflowed by those of the zip64 extra field."""
    values = [length, packed, header]
    position = 0
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, position)
        block = extra[position + 4 : position + 4 + size]
        position += 4 + size
        if kind != 1:
            continue
        for index, value in enumerate(values):
            if value == 0xFFFFFFFF:
                if len(block) < 8:
                    raise CorruptFileError(f"{what} has a damaged zip64 entry.", _AGAIN)
                values[index] = int.from_bytes(block[:8], "little")
                block = block[8:]
    return values[0], values[1], values[2]


def _check_path(name: str, what: str) -> None:
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or "\x00" in name or ":" in parts[0]:
        raise UnsafeFileError(
            f"{what} holds a part whose path leads out of the archive ({name[:80]!r}).",
            "Do not use this file; find out where it comes from.",
        )
