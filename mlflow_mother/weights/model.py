"""The words of the weights package: a model's files, its named tensors as raw bytes, and the reader contract.

Nothing here knows torch or MLflow. A tensor is a name, a dtype, a shape and a source of contiguous little-endian
bytes; whoever wants numbers (``fingerprint.compute``) widens them.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from mlflow_mother.errors import UnsafeFileError, WeightsError
from mlflow_mother.types import TensorSpec
from mlflow_mother.weights import limits

BITS: Mapping[str, int] = {
    "BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "I64": 64, "U64": 64,
    "F8_E4M3": 8, "F8_E5M2": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64,
}  # fmt: skip
"""Bits of each supported element type, by safetensors' names."""


class ByteSource(Protocol):
    """Random access to the bytes of one tensor; safe to call from several threads at once."""

    def readinto(self, offset: int, buffer: memoryview, /) -> None:
        """Fills ``buffer`` with the bytes from ``offset`` on.

        Raises:
            CorruptFileError: The source ends before the buffer is full.
        """


@dataclass(frozen=True)
class NamedTensor:
    """One tensor of a model, not yet read.

    Attributes:
        name: Dotted name as stored.
        dtype: Element type, a key of :data:`BITS`.
        shape: Dimensions.
        source: Where its ``nbytes`` contiguous (C order) little-endian bytes come from.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: ByteSource = field(repr=False)

    @property
    def spec(self) -> TensorSpec:
        """The tensor's description without its bytes."""
        return TensorSpec(name=self.name, dtype=self.dtype, shape=self.shape)

    @property
    def nbytes(self) -> int:
        """Length of the tensor in bytes."""
        return math.prod(self.shape) * BITS[self.dtype] // 8

    def tobytes(self) -> bytearray:
        """All bytes at once; for small tensors and tests."""
        data = bytearray(self.nbytes)
        if data:
            self.source.readinto(0, memoryview(data))
        return data


class ModelFiles(Protocol):
    """The files of one model, local or remote.

    Paths are relative, POSIX, sorted, and stay inside the model.
    """

    @property
    def id(self) -> str:
        """What to call the model in messages."""

    def sizes(self) -> Mapping[str, int]:
        """Length in bytes of every file, by path."""

    def local(self, path: str, /) -> AbstractContextManager[Path]:
        """A local copy of one file for as long as the context lasts (the file itself when it is local)."""


@dataclass(frozen=True)
class LocalFiles:
    """A file or folder on this machine as :class:`ModelFiles`.

    Files are listed once, when they are first asked for.

    Attributes:
        root: The folder, or the one file.
        id: What to call it in messages.
        follow_links_out: Whether links that lead out of the folder count. True only for what the user names on the
            user's own machine, such as a snapshot in Hugging Face's cache. False for what somebody registered: such a
            model must not make Mother read another file.
    """

    root: Path
    id: str = ""
    follow_links_out: bool = False

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", str(self.root))

    def sizes(self) -> Mapping[str, int]:
        """Length in bytes of every regular file under the root, by relative path.

        Raises:
            UnsafeFileError: There are far more files, or deeper folders, than a model has.
        """
        return self._sizes

    @contextmanager
    def local(self, path: str, /) -> Iterator[Path]:
        """The file itself.

        Raises:
            WeightsError: The path is not one of the model's files.
        """
        found = self.root if self.root.is_file() else self.root / path
        # A file may have become a link since it was listed.
        if path not in self._sizes or not (found == self.root or self._is_allowed(os.path.realpath(found))):
            raise WeightsError(f"Model {self.id} has no file {path!r}.", "Check the path.")
        yield found

    @cached_property
    def _base(self) -> Path:
        return Path(os.path.realpath(self.root))

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        if self.root.is_file():
            return {self.root.name: self.root.stat().st_size}
        found: dict[str, int] = {}
        # Of each folder to do its relative path, and the real paths of itself and of all folders above.
        folders: list[tuple[str, tuple[Path, ...]]] = [("", (self._base,))]
        seen = 0
        while folders:
            folder, way = folders.pop()
            for entry in _entries(self.root / folder):
                path = f"{folder}{entry.name}"
                if below := self._entered(entry, way):
                    folders.append((f"{path}/", (*way, below)))
                elif (length := self._length(entry)) is not None:
                    found[path] = length
                else:
                    continue
                seen += 1
                if seen > limits.FILES or len(way) > limits.FOLDERS_DEEP:
                    raise UnsafeFileError(
                        f"{self.id} holds more than {limits.FILES} files, or folders deeper than "
                        f"{limits.FOLDERS_DEEP}.",
                        "Register or name the model's own folder.",
                    )
        return dict(sorted(found.items()))

    def _entered(self, entry: os.DirEntry[str], way: tuple[Path, ...]) -> Path | None:
        """The real path of a folder to look into; None for what is no folder, not allowed, or a loop."""
        if entry.is_dir(follow_symlinks=False):
            return way[-1] / entry.name
        return linked_folder(entry, way) if self.follow_links_out else None

    def _length(self, entry: os.DirEntry[str]) -> int | None:
        """Length of a regular file; None for anything else, for links that do not count, and for what is gone."""
        try:
            facts = entry.stat()
            allowed = not entry.is_symlink() or self._is_allowed(os.path.realpath(entry.path))
        except OSError:
            return None
        return facts.st_size if allowed and stat.S_ISREG(facts.st_mode) else None

    def _is_allowed(self, real: str) -> bool:
        return self.follow_links_out or Path(real).is_relative_to(self._base)


def linked_folder(entry: os.DirEntry[str], way: Sequence[Path]) -> Path | None:
    """The real path of the folder that a link leads to, unless it leads back: to a folder on the way, or above one.

    Args:
        entry: What may be a link to a folder.
        way: Real paths of the folders on the way to the link.
    """
    try:
        if not (entry.is_symlink() and entry.is_dir()):
            return None
        real = Path(entry.path).resolve(strict=True)
    except (OSError, RuntimeError):  # gone, or a link to itself
        return None
    return None if any(folder.is_relative_to(real) for folder in way) else real


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder; nothing when it may not be read or is gone by now."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


@dataclass(frozen=True)
class AdapterConfig:
    """What a PEFT adapter says of itself.

    Attributes:
        kind: PEFT type, e.g. ``LORA``.
        base: ``base_model_name_or_path``; empty when not named.
        rank: LoRA rank ``r``; None for other kinds.
        alpha: ``lora_alpha``.
    """

    kind: str
    base: str = ""
    rank: int | None = None
    alpha: float | None = None


@dataclass(frozen=True)
class WeightsInfo:
    """What a reader learned about a model besides its tensors.

    Attributes:
        format: Reader's format name, e.g. ``safetensors``, ``torch-zip``, ``pt2``.
        files: The weight files that are read, in reading order.
        nbytes: Their total length.
        adapter: The adapter's configuration, when the model is an unmerged adapter.
        declared: Parents that the files themselves name (model card, adapter config), as found.
    """

    format: str
    files: tuple[str, ...]
    nbytes: int
    adapter: AdapterConfig | None = None
    declared: tuple[str, ...] = ()


@runtime_checkable
class WeightReader(Protocol):
    """Reads one weight format; contributed through the hook ``mother_weight_readers``."""

    @property
    def name(self) -> str:
        """Format name, e.g. ``gguf``."""

    def detect(self, files: ModelFiles, /) -> WeightsInfo | None:
        """Says whether this reader can read the model, from names, sizes and small headers only."""

    def tensors(self, files: ModelFiles, info: WeightsInfo, /) -> Iterator[NamedTensor]:
        """Yields every tensor once; a tensor may be read only until the next one is asked for.

        Nothing read from the model may be executed.

        Raises:
            CorruptFileError: Truncated or contradictory file.
            UnsafeFileError: A safety bound is crossed.
        """
