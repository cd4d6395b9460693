"""Which models a path holds: a file is one, a model directory is one, any other folder is a collection of both.

A *model directory* says so itself: an MLflow model (``MLmodel``), a Hugging Face model or adapter (its configuration
beside weights of a well-known name), an index or a set of shards. Whatever lies inside one belongs to it, except
further model directories of a trainer's output (``checkpoint-500`` below the final model).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow_mother.errors import WeightsError
from mlflow_mother.weights.formats import format_of
from mlflow_mother.weights.layout import is_training_state
from mlflow_mother.weights.model import LocalFiles, WeightReader

MAX_DEPTH = 32
"""Deepest folder that is looked into; collections of checkpoints stay under ten."""

_WHOLE = frozenset({"MLmodel", "modules.json", "model_index.json"})
"""Files of a directory that is one model with everything below it."""
_INDEX = re.compile(r".+\.(safetensors|bin|pt|pth)\.index\.json")
_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-\d{5}\.\w+")
_CONFIGURED = re.compile(
    r"(model|pytorch_model|diffusion_pytorch_model|adapter_model|state_dict|weights)\b.*\.\w+", re.IGNORECASE
)


@dataclass(frozen=True)
class LocalModel:
    """One model on this machine.

    Attributes:
        id: Its path as given; for a model inside of a given folder, that folder's path as given and the rest.
        path: Where it is.
    """

    id: str
    path: Path

    @property
    def files(self) -> LocalFiles:
        """The model's files."""
        return LocalFiles(self.path, self.id)


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
        models = [LocalModel(given, Path(given))] if Path(given).is_file() else list(_in_folder(given, readers))
        for model in models:
            found[_text(model.id)] = model
    return list(found.values())


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
    models = list(_walk(root, loose=True, readers=readers))
    if not models:
        raise WeightsError(
            f"The folder {given!r} holds no weights that Mother reads.",
            "Name a folder of safetensors or PyTorch files, or install a plugin that reads its format.",
        )
    base = given.rstrip("/") or "/"
    for model in models:
        inside = model.relative_to(root).as_posix()
        yield LocalModel(given if inside == "." else f"{base}/{inside}".replace("//", "/"), model)


def _walk(folder: Path, *, loose: bool, readers: Sequence[WeightReader], depth: int = 0) -> Iterator[Path]:
    """Yields the folder itself or the models inside; ``loose`` files count unless they lie in a model."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise WeightsError(f"The folder {str(folder)!r} cannot be read: {error.strerror}.", "Name another.") from error
    names = [entry.name for entry in entries if entry.is_file()]
    whole = not _WHOLE.isdisjoint(names)
    model = whole or _is_model(names)
    if model:
        yield folder
    if whole:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < MAX_DEPTH:
                yield from _walk(Path(entry.path), loose=loose and not model, readers=readers, depth=depth + 1)
        elif loose and not model and entry.is_file() and _is_weight_file(Path(entry.path), readers):
            yield Path(entry.path)


def _is_model(names: Sequence[str]) -> bool:
    if "adapter_config.json" in names or any(_INDEX.fullmatch(name) for name in names):
        return True
    weights = [name for name in names if format_of(name) and not is_training_state(name)]
    if "config.json" in names and any(_CONFIGURED.fullmatch(name) for name in weights):
        return True
    shards = [_SHARD.fullmatch(name) for name in weights]
    return len({shard["stem"] if shard else "" for shard in shards}) == 1 and None not in shards


def _is_weight_file(path: Path, readers: Sequence[WeightReader]) -> bool:
    if format_of(path.name):
        return not is_training_state(path.name)
    try:
        return any(reader.detect(LocalFiles(path)) is not None for reader in readers)
    except WeightsError:
        return False
