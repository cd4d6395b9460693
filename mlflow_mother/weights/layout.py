"""Which files of a model hold its weights.

A model directory often holds the same weights in several formats, beside optimizer states, tokenizers and exports.
Reading one of them twice would double the model, reading the wrong one would fingerprint an optimizer; so the choice is
made here, once, from names, sizes and small text files:

1. An MLflow model directory says in ``MLmodel`` where its flavor keeps weights.
2. ``modules.json`` (sentence-transformers) and ``model_index.json`` (diffusers) name the component folders; otherwise
   the shallowest folders with weights count.
3. In one folder safetensors wins over ``.pt2`` over PyTorch files; a well-known name (``model``, ``adapter_model``)
   wins over variants (``model.fp16``) and strangers; an index or ``-00001-of-00003`` names make shards.
4. Tensors are prefixed with their component's folder when there are several.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow_mother.errors import CorruptFileError, UnsafeFileError, UnsupportedFormatError
from mlflow_mother.weights import limits
from mlflow_mother.weights.formats import FORMATS, format_of, unsupported_model
from mlflow_mother.weights.metadata import (
    ADAPTER_CONFIG,
    CARD,
    MLMODEL,
    read_adapter,
    read_card,
    read_flavors,
    read_json,
    read_list,
    text,
)
from mlflow_mother.weights.model import AdapterConfig, ModelFiles

_IGNORED_FOLDERS = frozenset({"mother", "code", "onnx", "openvino", ".cache", ".git"})
_IGNORED_NAMES = re.compile(
    r"(optimizer|optim|scheduler|lr_scheduler|scaler|rng_state|random_states|training_args|trainer_state|"
    r"openvino_model|tokenizer|vocab|ggml)([._\-].*)?|.+_optim_states",
    re.IGNORECASE,
)
_CANONICAL = ("model", "adapter_model", "diffusion_pytorch_model", "pytorch_model", "state_dict", "weights")
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
CHECKPOINT = re.compile(r"(checkpoint|epoch|step|global_step)[-_]?\d+", re.IGNORECASE)
"""Folders that trainers write."""
_INDEX = ".index.json"


@dataclass(frozen=True)
class WeightFile:
    """One file to read.

    Attributes:
        path: Where it is in the model.
        format: A key of :data:`~mlflow_mother.weights.formats.FORMATS`.
        prefix: Component that its tensors' names begin with; empty for a single component.
        expected: Names that an index promises to be in it.
    """

    path: str
    format: str
    prefix: str = ""
    expected: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What to read of a model.

    Attributes:
        files: Weight files in reading order.
        adapter: The adapter's configuration, when it is an adapter.
        declared: Parents that the files name.
    """

    files: tuple[WeightFile, ...]
    adapter: AdapterConfig | None = None
    declared: tuple[str, ...] = ()


def plan(files: ModelFiles) -> Plan:
    """Chooses the weight files of a model.

    Raises:
        UnsupportedFormatError: There are none that Mother reads; the message names the format found.
        CorruptFileError: A shard or a whole index is missing or broken.
        UnsafeFileError: An index names a path outside the model.
    """
    sizes = files.sizes()
    for path in sizes:
        _check_inside(path, files.id)
    weights = [path for path in sizes if format_of(path) and (len(sizes) == 1 or not _is_ignored(path))]
    flavors = read_flavors(files) if MLMODEL in sizes else {}
    chosen = _mlflow(files, weights, flavors) if flavors else _components(files, weights, "")
    if not chosen:
        raise unsupported_model(files, flavors)
    adapter = _adapter(files, chosen, flavors)
    return Plan(tuple(chosen), adapter, _declared(files, chosen, adapter, flavors))


def _check_inside(path: str, model: str) -> None:
    if path.startswith(("/", "\\")) or ".." in path.replace("\\", "/").split("/"):
        raise UnsafeFileError(
            f"Model {model} names a file outside of itself ({path[:80]!r}).", "Do not use this model."
        )


def _is_ignored(path: str) -> bool:
    *folders, name = path.split("/")
    return bool(_IGNORED_FOLDERS.intersection(folders)) or is_training_state(name)


def is_training_state(name: str) -> bool:
    """Whether a file's name is that of an optimizer, scheduler or tokenizer rather than of a model's weights."""
    return bool(_IGNORED_NAMES.fullmatch(_stem(name)))


def _stem(name: str) -> str:
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


# MLflow


def _mlflow(files: ModelFiles, weights: list[str], flavors: Mapping[str, Mapping[str, Any]]) -> list[WeightFile]:
    """The weights of the flavor that a directory was logged with."""
    if "pytorch" in flavors:
        return _components(files, weights, _folder(flavors["pytorch"], "model_data", "data"))
    if "transformers" in flavors:
        flavor = flavors["transformers"]
        base = _components(files, weights, _folder(flavor, "model_binary", "model"))
        # The adapter is part of the same network as its base, whose tensors it names: no component prefix.
        return base + _components(files, weights, _folder(flavor, "peft_adaptor", "peft"))
    if "sentence_transformers" in flavors:
        return _components(files, weights, "model.sentence_transformer/")
    if "diffusers" in flavors:
        return _components(files, weights, "adapter_weights/")
    if set(flavors) == {"python_function"}:
        return _components(files, weights, "")
    return []


def _folder(flavor: Mapping[str, Any], key: str, default: str) -> str:
    return posixpath.normpath(text(flavor.get(key)) or default) + "/"


# Folders


def _components(files: ModelFiles, weights: Iterable[str], base: str) -> list[WeightFile]:
    """The weight files at and below a folder, a component each where there are several."""
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for path in weights:
        if path.startswith(base):
            folders[posixpath.dirname(path)].append(path)
    chosen = _component_folders(files, folders, base.rstrip("/"))
    if sum(1 for folder in chosen if CHECKPOINT.fullmatch(posixpath.basename(folder))) > 1:
        raise UnsupportedFormatError(
            f"Model {files.id} holds several checkpoints ({', '.join(chosen[:3])}, ...).", "Choose one of the folders."
        )
    common = base.rstrip("/") if base.rstrip("/") in chosen else posixpath.commonpath(chosen) if chosen else ""
    found = []
    for folder in chosen:
        prefix = posixpath.relpath(folder or ".", common or ".") if len(chosen) > 1 else "."
        found += _choose(files, folders[folder], "" if prefix == "." else prefix.replace("/", "."))
    return found


def _component_folders(files: ModelFiles, folders: Mapping[str, list[str]], base: str) -> list[str]:
    named = _named_components(files, base)
    if named:
        return sorted(folder for folder in folders if folder in named)
    return sorted(folder for folder in folders if not any(parent in folders for parent in _parents(folder, base)))


def _named_components(files: ModelFiles, base: str) -> set[str]:
    """Component folders that a sentence-transformers or diffusers index names."""
    sizes = files.sizes()
    modules, pipeline = posixpath.join(base, "modules.json"), posixpath.join(base, "model_index.json")
    if modules in sizes:
        listed = read_list(files, modules)
        return {posixpath.join(base, text(item.get("path"))).rstrip("/") for item in listed if isinstance(item, dict)}
    if pipeline in sizes:
        return {posixpath.join(base, name) for name in read_json(files, pipeline) if not name.startswith("_")}
    return set()


def _parents(folder: str, base: str) -> list[str]:
    found = []
    while folder not in {base, ""}:
        folder = posixpath.dirname(folder)
        found.append(folder)
    return found


# One folder


def _choose(files: ModelFiles, paths: Sequence[str], prefix: str) -> list[WeightFile]:
    """The files of one component: one file, one set of shards, or several parts under names of their own."""
    best = min((format_of(path) for path in paths), key=list(dict.fromkeys(FORMATS.values())).index)
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        if format_of(path) == best:
            stem = _stem(posixpath.basename(path))
            shard = _SHARD.fullmatch(stem)
            groups[shard["stem"] if shard else stem].append(path)
    for variant in [stem for stem in groups if "." in stem and stem.partition(".")[0] in groups]:
        del groups[variant]
    for stem in _CANONICAL:
        if stem in groups:
            return _group(files, groups[stem], prefix, best)
    named = {stem: ".".join(part for part in (prefix, stem) if part) if len(groups) > 1 else prefix for stem in groups}
    return [file for stem in sorted(groups) for file in _group(files, groups[stem], named[stem], best)]


def _group(files: ModelFiles, paths: Sequence[str], prefix: str, kind: str) -> list[WeightFile]:
    """One file, or the shards of one."""
    folder = posixpath.dirname(paths[0])
    stem = _stem(posixpath.basename(paths[0]))
    shard = _SHARD.fullmatch(stem)
    if not shard:
        return [WeightFile(path, kind, prefix) for path in sorted(paths)[:1]]
    suffix = posixpath.basename(paths[0])[len(stem) :]
    index = posixpath.join(folder, f"{shard['stem']}{suffix}{_INDEX}")
    if index in files.sizes():
        return _indexed(files, index, prefix, kind)
    missing = int(shard["count"]) - len(paths)
    if missing:
        raise CorruptFileError(
            f"Model {files.id} lacks {missing} of the {int(shard['count'])} shards of {shard['stem']}{suffix}.",
            "Copy or log the missing files.",
        )
    return [WeightFile(path, kind, prefix) for path in sorted(paths)]


def _indexed(files: ModelFiles, index: str, prefix: str, kind: str) -> list[WeightFile]:
    """The shards that an index lists, with the names it promises for each."""
    listed = read_json(files, index, limits.HEADER_BYTES).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(shard, str) for shard in listed.values()):
        raise CorruptFileError(f"{index} of {files.id} has no valid weight_map.", "Save the model again.")
    names: defaultdict[str, set[str]] = defaultdict(set)
    for name, shard in listed.items():
        _check_inside(shard, files.id)
        names[posixpath.normpath(posixpath.join(posixpath.dirname(index), shard))].add(name)
    missing = sorted(path for path in names if path not in files.sizes())
    if missing:
        raise CorruptFileError(
            f"Model {files.id} lacks {len(missing)} of its {len(names)} shards, first {missing[0]!r}.",
            "Copy or log the missing files.",
        )
    return [WeightFile(path, kind, prefix, frozenset(names[path])) for path in sorted(names)]


# What the model says of itself


def _adapter(
    files: ModelFiles, chosen: Sequence[WeightFile], flavors: Mapping[str, Mapping[str, Any]]
) -> AdapterConfig | None:
    for file in chosen:
        config = posixpath.join(posixpath.dirname(file.path), ADAPTER_CONFIG)
        if config in files.sizes():
            return read_adapter(files, config)
    if "diffusers" in flavors:
        return AdapterConfig(kind="LORA", base=text(flavors["diffusers"].get("base_model")))
    return None


def _declared(
    files: ModelFiles,
    chosen: Sequence[WeightFile],
    adapter: AdapterConfig | None,
    flavors: Mapping[str, Mapping[str, Any]],
) -> tuple[str, ...]:
    found = [adapter.base] if adapter and adapter.base else []
    folders = dict.fromkeys(["", *(posixpath.dirname(file.path) for file in chosen)])
    for folder in folders:
        card = posixpath.join(folder, CARD)
        if card in files.sizes():
            found += read_card(files, card)
    source = text(flavors.get("transformers", {}).get("source_model_name"))
    return tuple(dict.fromkeys([*found, *([source] if source else [])]))
