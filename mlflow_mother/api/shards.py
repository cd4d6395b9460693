"""Sets of shards among other files of a folder: one model, named by the pattern that its files match.

``model-00001-of-00003.safetensors`` and the two others are the model ``model-*-of-00003.safetensors``. A folder that
holds nothing else needs none of this: it is the model itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlflow_mother.errors import WeightsError

_SHARD = re.compile(r"(?P<stem>.+)-(?:\d{5}|\*)-of-(?P<count>\d{5})(?P<suffix>\.\w+)")


def pattern_of(name: str) -> str:
    """The pattern of the set that a shard, or the pattern itself, belongs to; empty for other names."""
    shard = _SHARD.fullmatch(name)
    return f"{shard['stem']}-*-of-{shard['count']}{shard['suffix']}" if shard else ""


def is_pattern(name: str) -> bool:
    """Whether a name is the pattern of a set."""
    return "*" in name and pattern_of(name) == name


def index_of(pattern: str) -> str:
    """The name of the index of a set."""
    return _SHARD.sub(r"\g<stem>\g<suffix>", pattern) + ".index.json"


@dataclass(frozen=True)
class ShardSet:
    """One set of shards, with its index if there is one, as the files of a model.

    Attributes:
        path: Folder and pattern.
        id: What to call it in messages.
    """

    path: Path
    id: str

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        pattern, files = self.path.name, sorted(self.path.parent.glob("*"))
        chosen = [file for file in files if pattern_of(file.name) == pattern or file.name == index_of(pattern)]
        return {file.name: file.stat().st_size for file in chosen if file.is_file()}

    def sizes(self) -> Mapping[str, int]:
        """Length in bytes of the shards and the index, by name."""
        return self._sizes

    @contextmanager
    def local(self, path: str, /) -> Iterator[Path]:
        """The file itself.

        Raises:
            WeightsError: It is no file of the set.
        """
        if path not in self._sizes:
            raise WeightsError(f"Model {self.id} has no file {path!r}.", "Check the path.")
        yield self.path.with_name(path)
