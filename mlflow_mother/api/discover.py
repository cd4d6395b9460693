"""Which models a path holds: a file is one, a model directory is one, any other folder is a collection of both.

A *model directory* says so itself: an MLflow model (``MLmodel``), a Hugging Face model or adapter (its configuration
beside weights of a well-known name), an index of files, or one set of shards and nothing else. Whatever lies inside one
belongs to it, except further model directories of a trainer's output (``checkpoint-500`` below the final model). In a
collection each set of shards is one model.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_mother.api.shards import ShardSet, index_of, is_pattern, pattern_of
from mlflow_mother.errors import WeightsError
from mlflow_mother.weights.formats import format_of
from mlflow_mother.weights.layout import CHECKPOINT, is_training_state
from mlflow_mother.weights.model import LocalFiles, ModelFiles, WeightReader, linked_folder

MAX_DEPTH = 32
"""Deepest folder that is looked into; collections of checkpoints stay under ten."""

_MLFLOW = "MLmodel"
"""File of a directory that is one model with everything below it."""
_COMPONENTS = frozenset({"modules.json", "model_index.json"})
"""Files of a directory that is one model with its sub-folders, a trainer's checkpoints excepted."""
_INDEX = re.compile(r".+\.(safetensors|bin|pt|pth)\.index\.json")
_OWN = frozenset({"fingerprint.safetensors", "fingerprint.json"})
"""What Mother writes beside a registered model; looks like weights."""
_CONFIGURED = re.compile(
    r"(model|pytorch_model|diffusion_pytorch_model|adapter_model|state_dict|weights)\b.*\.\w+", re.IGNORECASE
)


@dataclass(frozen=True)
class LocalModel:
    """One model on this machine.

    Attributes:
        id: Its path as given; for a model inside of a given folder, that folder's path as given and the rest.
        path: Where it is: a file, a folder, or a folder and the pattern of a set of shards in it.
    """

    id: str
    path: Path

    @property
    def files(self) -> ModelFiles:
        """The model's files; the user's own, so links count wherever they lead."""
        if is_pattern(self.path.name):
            return ShardSet(self.path, self.id)
        return LocalFiles(self.path, self.id, follow_links_out=True)


def find_models(paths: Sequence[str], readers: Sequence[WeightReader] = ()) -> list[LocalModel]:
    """Lists the models of files and folders, in the order given and by name within a folder, each once.

    Args:
        paths: Files and folders.
        readers: Readers of plugins, which may know files that Mother does not.

    Raises:
        WeightsError: A path does not exist or is no text, or a folder holds no model.
    """
    found: dict[str, LocalModel] = {}
    for given in paths:
        for model in [_file(given)] if _names_files(Path(given)) else _in_folder(given, readers):
            found[_text(model.id)] = model
    return list(found.values())


def _names_files(path: Path) -> bool:
    return path.is_file() or (is_pattern(path.name) and bool(ShardSet(path, path.name).sizes()))


def _file(given: str) -> LocalModel:
    """The model of one file; that of a shard is the whole set, since a part of a model has no place in a tree."""
    name = Path(given).name
    named = given.removesuffix(name) + pattern_of(name) if pattern_of(name) else given
    return LocalModel(named, Path(named))


def _text(name: str) -> str:
    """The name itself; ids travel into JSON, pages and databases, none of which holds undecodable bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise WeightsError(f"The file name {name!r} is not valid text.", "Rename it.") from None
    return name


def _in_folder(given: str, readers: Sequence[WeightReader]) -> Iterator[LocalModel]:
    root = Path(given)
    if not root.is_dir():
        raise WeightsError(f"There is no file or folder {given!r}.", "Check the path.")
    models = _walk(root, readers)
    if not models:
        raise WeightsError(
            f"The folder {given!r} holds no weights that Mother reads.",
            "Name a folder of safetensors or PyTorch files, or install a plugin that reads its format.",
        )
    base = given.rstrip("/") or "/"
    for model in models:
        inside = model.relative_to(root).as_posix()
        yield LocalModel(given if inside == "." else f"{base}/{inside}".replace("//", "/"), model)


@dataclass(frozen=True)
class _Folder:
    """A folder to look into.

    Attributes:
        path: Where it is, as the user would write it.
        way: Real paths of itself, last, and of the folders above it up to the given one.
        loose: Whether weight files in it are models of their own; not inside of a model directory.
    """

    path: Path
    way: tuple[Path, ...]
    loose: bool


def _walk(root: Path, readers: Sequence[WeightReader]) -> list[Path]:
    """The folder itself or the models inside, by path.

    Links are followed, to places outside as well. What the folder holds under a path of its own counts only there,
    and a folder that several links lead to counts once.
    """
    models: list[Path] = []
    files: list[Path] = []
    entered: set[Path] = set()
    folders, linked = [_Folder(root, (Path(os.path.realpath(root)),), loose=True)], deque[_Folder]()
    while folders or linked:
        folder = folders.pop() if folders else linked.popleft()
        if folder.way[-1] in entered:
            continue
        entered.add(folder.way[-1])
        entries = _entries(folder.path)
        names = [entry.name for entry in entries if _is_file(entry)]
        composed = not _COMPONENTS.isdisjoint(names)
        model = _MLFLOW in names or composed or _is_model(names)
        if model:
            models.append(folder.path)
        if _MLFLOW in names:
            continue
        if composed:
            entries = [entry for entry in entries if CHECKPOINT.fullmatch(entry.name)]
        loose = folder.loose and not model
        if set(names) >= _OWN:
            entries = [entry for entry in entries if entry.name not in _OWN]
        for entry in entries:
            if len(folder.way) <= MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                folders.append(_Folder(Path(entry.path), (*folder.way, folder.way[-1] / entry.name), loose))
            elif len(folder.way) <= MAX_DEPTH and (real := linked_folder(entry, folder.way)):
                linked.append(_Folder(Path(entry.path), (*folder.way, real), loose))
            elif loose and _is_file(entry) and _is_weight_file(Path(entry.path), readers):
                files.append(folder.path / (pattern_of(entry.name) or entry.name))
    return sorted({*models, *_without_aliases(files)}, key=lambda path: path.parts)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise WeightsError(f"The folder {str(folder)!r} cannot be read: {error.strerror}.", "Name another.") from error


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _without_aliases(files: Sequence[Path]) -> list[Path]:
    """The files without links to others of them (``last.ckpt -> epoch=3.ckpt``)."""
    own = {os.path.realpath(path) for path in files if not path.is_symlink()}
    return [path for path in files if not path.is_symlink() or os.path.realpath(path) not in own]


def _is_model(names: Sequence[str]) -> bool:
    if "adapter_config.json" in names:
        return True
    weights = [name for name in names if format_of(name) and not is_training_state(name)]
    if "config.json" in names and any(_CONFIGURED.fullmatch(name) for name in weights):
        return True
    sets = {pattern_of(name) for name in weights}
    if any(_INDEX.fullmatch(name) and name not in {index_of(one) for one in sets} for name in names):
        return True
    return len(sets) == 1 and "" not in sets


def _is_weight_file(path: Path, readers: Sequence[WeightReader]) -> bool:
    if format_of(path.name):
        return not is_training_state(path.name)
    try:
        return any(reader.detect(LocalFiles(path)) is not None for reader in readers)
    except WeightsError:
        return False
