"""The parents that metadata names: run inputs, flavors, model cards and adapter configurations.

A declaration is a claim of whoever wrote it. It is kept beside the inferred parent and weighs nothing unless
``MLFLOW_MOTHER_USE_DECLARED`` says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_mother.errors import MotherError
from mlflow_mother.registry.connection import NotFoundError, Registry, mlflow_errors
from mlflow_mother.registry.versions import RegisteredVersion, version_of
from mlflow_mother.weights.metadata import MLMODEL, read_flavors, text
from mlflow_mother.weights.model import ModelFiles

MAX_NAME = 500
MAX_INPUTS = 64

_FLAVOR_KEYS = (("transformers", "source_model_name"), ("sentence_transformers", "source_model_name"))


@dataclass(frozen=True)
class Declared:
    """One declared parent.

    Attributes:
        parent: ``models:/name/version`` when it is registered here, else the text as found.
        source: Who says so: ``copy``, ``run-inputs``, ``transformers`` or ``model-files``.
    """

    parent: str
    source: str


def declared_parents(
    registry: Registry, version: RegisteredVersion, files: ModelFiles | None = None, named: Iterable[str] = ()
) -> tuple[Declared, ...]:
    """Collects the parents that a version's metadata names, each once, most reliable source first.

    Metadata that cannot be read declares nothing; that never stops an analysis.

    Args:
        registry: The registry.
        version: The version.
        files: Its files, for the ``MLmodel`` file's flavors.
        named: Parents that the weight files themselves name (adapter configuration, model card).
    """
    found: dict[str, Declared] = {}
    for parent, source in _claims(registry, version, files, named):
        if parent and parent != version.ref.uri:
            found.setdefault(parent, Declared(parent[:MAX_NAME], source))
    return tuple(found.values())


def resolve(registry: Registry, parent: str) -> str:
    """The registered version that a declared parent means, as ``models:/name/version``; the text itself otherwise.

    Understands ``models:/name/version``, ``models:/name@alias`` and ``models:/m-...``.
    """
    parent = parent.strip()
    if not parent.startswith("models:/"):
        return parent
    plain = version_of(registry, parent)
    if plain:
        return plain.uri
    try:
        if "@" in parent:
            return registry.parse(parent).uri
        return next(_registered_as(registry, parent.removeprefix("models:/")), parent)
    except MotherError:
        return parent


def _claims(
    registry: Registry, version: RegisteredVersion, files: ModelFiles | None, named: Iterable[str]
) -> Iterator[tuple[str, str]]:
    if version.copy_of:
        yield version.copy_of.uri, "copy"
    for parent in _run_inputs(registry, version):
        yield parent, "run-inputs"
    for parent in _flavors(files):
        yield resolve(registry, parent), "transformers"
    for parent in named:
        yield resolve(registry, parent), "model-files"


def _run_inputs(registry: Registry, version: RegisteredVersion) -> Iterator[str]:
    """Versions of the LoggedModels that the version's run took as inputs."""
    if not version.run_id:
        return
    try:
        with mlflow_errors(f"Run {version.run_id} of {version.ref.uri} could not be read"):
            run = registry.client.get_run(version.run_id)
        inputs = (run.inputs.model_inputs or []) if run.inputs else []
        for item in inputs[:MAX_INPUTS]:
            if item.model_id != version.model_id:
                registered = [uri for uri in _registered_as(registry, item.model_id) if uri != version.ref.uri]
                yield registered[0] if registered else f"models:/{item.model_id}"
    except MotherError:
        return


def _registered_as(registry: Registry, model_id: str) -> Iterator[str]:
    """The versions that a LoggedModel was registered as, oldest first, as far as they still exist."""
    with mlflow_errors(f"LoggedModel {model_id} could not be read"):
        tags = registry.client.get_logged_model(model_id).tags or {}
    for entry in _json_list(tags.get("mlflow.modelVersions", "[]")):
        if not isinstance(entry, Mapping) or not str(entry.get("version", "")).isdigit():
            continue
        ref = registry.ref(str(entry.get("name", "")), int(str(entry["version"])))
        try:
            with mlflow_errors(f"{ref.uri} could not be read"):
                registry.client.get_model_version(ref.name, ref.version)
        except NotFoundError:
            continue
        yield ref.uri


def _flavors(files: ModelFiles | None) -> Iterator[str]:
    """Parents that the flavors in the ``MLmodel`` file name."""
    if files is None:
        return
    try:
        flavors = read_flavors(files) if MLMODEL in files.sizes() else {}
    except (MotherError, OSError):
        return
    for flavor, key in _FLAVOR_KEYS:
        name = text(flavors.get(flavor, {}).get(key))
        if name:
            yield name


def _json_list(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return value if isinstance(value, list) else []
