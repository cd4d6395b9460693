"""What the small text files beside the weights say: MLmodel, adapter configurations, model cards, indexes.

They are parsed as data, within a size bound. Broken ones that merely describe (a model card) are ignored; broken ones
that the reading depends on (an index) are errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

import yaml  # type: ignore[import-untyped,unused-ignore]

from mlflow_mother.errors import CorruptFileError, UnsafeFileError
from mlflow_mother.weights import limits
from mlflow_mother.weights.model import AdapterConfig, ModelFiles
from mlflow_mother.weights.safetensors import parse_json

MLMODEL = "MLmodel"
ADAPTER_CONFIG = "adapter_config.json"
CARD = "README.md"

_MAX_NUMBER = 1 << 31
"""Largest rank or scale that is believed; NaN and infinity, which Python's JSON reads, are not."""


def read_small(files: ModelFiles, path: str, limit: int = limits.METADATA_BYTES) -> bytes:
    """The contents of a small file.

    Raises:
        UnsafeFileError: It is longer than such files are.
    """
    if files.sizes()[path] > limit:
        raise UnsafeFileError(
            f"{path} of {files.id} holds more than {limit} bytes, more than such a file needs.", "Check its origin."
        )
    with files.local(path) as local:
        return local.read_bytes()[: limit + 1]


def read_json(files: ModelFiles, path: str, limit: int = limits.METADATA_BYTES) -> dict[str, Any]:
    """A small JSON object.

    Raises:
        CorruptFileError: It is something else.
    """
    return parse_json(read_small(files, path, limit), f"{path} of {files.id}")


def read_list(files: ModelFiles, path: str) -> list[Any]:
    """A small JSON list.

    Raises:
        CorruptFileError: It is something else.
    """
    what = f"{path} of {files.id}"
    listed = parse_json(b'{"list":' + read_small(files, path) + b"}", what)["list"]
    if not isinstance(listed, list):
        raise CorruptFileError(f"{what} is not a JSON list.", "Save the model again.")
    return listed


def read_flavors(files: ModelFiles, path: str = MLMODEL) -> Mapping[str, Mapping[str, Any]]:
    """The flavors of an MLflow model directory.

    Raises:
        CorruptFileError: The MLmodel file is not valid.
    """
    parsed = _yaml(read_small(files, path, limits.YAML_BYTES))
    flavors = parsed.get("flavors") if isinstance(parsed, dict) else None
    if not isinstance(flavors, dict):
        raise CorruptFileError(f"{path} of {files.id} lists no flavors.", "Log the model again.")
    return {str(name): value if isinstance(value, dict) else {} for name, value in flavors.items()}


def read_adapter(files: ModelFiles, path: str) -> AdapterConfig:
    """A PEFT adapter's configuration.

    Raises:
        CorruptFileError: It is not valid JSON.
    """
    config = read_json(files, path)
    rank, alpha = config.get("r"), config.get("lora_alpha")
    return AdapterConfig(
        kind=text(config.get("peft_type")),
        base=text(config.get("base_model_name_or_path")),
        rank=rank if type(rank) is int and 0 < rank <= _MAX_NUMBER else None,
        alpha=float(alpha) if _is_number(alpha) and abs(alpha) <= _MAX_NUMBER else None,
    )


def read_card(files: ModelFiles, path: str) -> tuple[str, ...]:
    """The ``base_model`` entries in the front matter of a model card; none when there is no valid front matter."""
    if files.sizes()[path] > limits.METADATA_BYTES:
        return ()
    card = read_small(files, path).decode("utf-8", "replace")
    front = re.match(r"\ufeff?---\r?\n(.*?)\r?\n---", card, re.DOTALL)
    parsed = _yaml(front.group(1).encode()) if front else None
    bases = parsed.get("base_model") if isinstance(parsed, dict) else None
    return tuple(text(base) for base in (bases if isinstance(bases, list) else [bases]) if text(base))


def text(value: Any) -> str:
    """A string from a configuration, at most a name's length; empty for anything else and for YAML's nothing."""
    found = value.strip() if isinstance(value, str) and len(value) <= limits.NAME_CHARACTERS else ""
    return "" if found in {"null", "~"} else found


def _is_number(value: Any) -> TypeGuard[int | float]:
    return type(value) in {int, float}


def _yaml(raw: bytes) -> Any:
    """Strings, lists and dictionaries; None for what is not valid.

    The base loader in Python: the one in C overflows the stack on deep nesting, and the safe ones expand merge keys
    exponentially and compute base-60 integers of any length.
    """
    if len(raw) > limits.YAML_BYTES:
        return None
    try:
        return yaml.load(raw, Loader=yaml.BaseLoader)  # noqa: S506 - makes nothing but strings and containers
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
