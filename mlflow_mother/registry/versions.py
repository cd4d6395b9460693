"""The registry's model versions, newest first, page by page.

MLflow can neither filter versions by time nor find those that lack a tag, and it pages by offset: a version may come
twice when others are registered meanwhile. So listing is a stream of everything, and whoever reads it compares with
Mother's own tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlflow_mother.registry.connection import NotFoundError, Registry, mlflow_errors
from mlflow_mother.registry.tags import ignores
from mlflow_mother.types import ModelVersionRef

PAGE = 200
"""Versions, or registered models, asked for at once."""

FEW = 10
"""Registered models that are asked for one by one before all of them are listed."""

_LOGGED_MODEL = re.compile(r"models:/(m-[0-9a-f]+)$")
_PROMPT = "mlflow.prompt.is_prompt"


@dataclass(frozen=True)
class RegisteredVersion:
    """What the registry says of one version.

    Attributes:
        ref: The version.
        source: Where it was registered from.
        created: Unix time of its registration, in seconds.
        run_id: The run that made it; empty when unknown.
        model_id: The LoggedModel behind it; empty when there is none.
        copy_of: The version it was copied from inside the registry, if it was.
        tags: All its tags.
        ignored: Whether it, or its whole model, opted out.
        stage: Its stage; None for none.
    """

    ref: ModelVersionRef
    source: str
    created: float
    run_id: str = ""
    model_id: str = ""
    copy_of: ModelVersionRef | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    ignored: bool = False
    stage: str | None = None


@dataclass(frozen=True)
class RegisteredModel:
    """What the registry says of a model as a whole.

    Attributes:
        tags: Its tags.
        aliases: Alias names by version.
        stages: Stages by version, of the newest version in each.
    """

    tags: Mapping[str, str]
    aliases: Mapping[str, tuple[str, ...]]
    stages: Mapping[str, str] = field(default_factory=dict)


def list_versions(registry: Registry, model: str | None = None) -> Iterator[RegisteredVersion]:
    """Every version once, newest first; prompts are left out, ignored versions are marked.

    Args:
        registry: The registry.
        model: Only versions of this registered model.

    Raises:
        RegistryError: The registry cannot be read.
    """
    # MLflow's filters know no way to write a text with both kinds of quotes.
    quote = next((quote for quote in "'\"" if model and quote not in model), None)
    filter_string = f"name = {quote}{model}{quote}" if quote else None
    token, seen, models = None, set[ModelVersionRef](), _Models(registry)
    while True:
        with mlflow_errors(f"The versions of {model or 'the registry'} could not be listed"):
            page = registry.client.search_model_versions(
                filter_string, max_results=PAGE, order_by=["creation_timestamp DESC"], page_token=token
            )
        for version in page:
            ref = registry.ref(version.name, version.version)
            if ref in seen or is_prompt(version.tags) or (model and ref.name != model):
                continue
            seen.add(ref)
            yield from_mlflow(registry, version, models[ref.name])
        token = page.token
        if not token:
            return


def get_version(registry: Registry, ref: ModelVersionRef, *, with_model: bool = False) -> RegisteredVersion:
    """One version.

    Args:
        registry: The registry.
        ref: The version.
        with_model: Ask for its registered model too, which can opt out for all its versions.

    Raises:
        NotFoundError: It was deleted.
        RegistryError: The registry cannot be read.
    """
    with mlflow_errors(f"{ref.uri} could not be read"):
        version = registry.client.get_model_version(ref.name, ref.version)
    return from_mlflow(registry, version, get_model(registry, ref.name) if with_model else None)


def get_model(registry: Registry, name: str) -> RegisteredModel:
    """A registered model's tags and aliases.

    Raises:
        RegistryError: The registry cannot be read.
    """
    with mlflow_errors(f"Registered model {name!r} could not be read"):
        return _model(registry.client.get_registered_model(name))


class _Models(dict[str, RegisteredModel]):
    """Registered models by name, asked for when they are wanted; an empty one for a name that was deleted meanwhile.

    A few are asked for one by one, since whoever wants the newest versions wants few. Then all are listed.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self._registry = registry
        self._listed = False

    def __missing__(self, name: str) -> RegisteredModel:
        if len(self) >= FEW and not self._listed:
            self._listed = True
            self.update(_list_models(self._registry))
        if name not in self:
            self[name] = model_if_there(self._registry, name)
        return self[name]


def _list_models(registry: Registry) -> Iterator[tuple[str, RegisteredModel]]:
    token = None
    while True:
        with mlflow_errors("The registered models could not be listed"):
            page = registry.client.search_registered_models(max_results=PAGE, page_token=token)
        yield from ((model.name, _model(model)) for model in page)
        token = page.token
        if not token:
            return


def _model(model: Any) -> RegisteredModel:
    """Reads MLflow's own model object."""
    aliases: dict[str, tuple[str, ...]] = {}
    for alias, version in sorted((model.aliases or {}).items()):
        aliases[str(version)] = (*aliases.get(str(version), ()), alias)
    stages = {str(version.version): stage for version in model.latest_versions or () if (stage := _stage(version))}
    return RegisteredModel(dict(model.tags or {}), aliases, stages)


def from_mlflow(registry: Registry, version: Any, model: RegisteredModel | None = None) -> RegisteredVersion:
    """Reads MLflow's own version object."""
    tags = dict(version.tags or {})
    source = version.source or ""
    logged = _LOGGED_MODEL.match(source)
    return RegisteredVersion(
        ref=registry.ref(version.name, version.version),
        source=source,
        created=(version.creation_timestamp or 0) / 1000,
        run_id=version.run_id or "",
        model_id=getattr(version, "model_id", None) or (logged.group(1) if logged else ""),
        copy_of=version_of(registry, source),
        tags=tags,
        ignored=ignores(tags) or (model is not None and ignores(model.tags)),
        stage=_stage(version),
    )


def _stage(version: Any) -> str | None:
    stage = getattr(version, "current_stage", None)
    return stage if stage not in (None, "", "None") else None


def version_of(registry: Registry, uri: str) -> ModelVersionRef | None:
    """The version that a ``models:/name/version`` address names; None for any other address."""
    found = re.match(r"models:/([^/@]+)/(\d+)$", uri)
    return registry.ref(found.group(1), int(found.group(2))) if found else None


def is_prompt(tags: Mapping[str, str] | None) -> bool:
    """Whether the tags are those of a prompt, which MLflow keeps among the models."""
    return str((tags or {}).get(_PROMPT, "false")).lower() == "true"


def model_if_there(registry: Registry, name: str) -> RegisteredModel:
    """The model, or an empty one when it was deleted while its versions were being listed."""
    try:
        return get_model(registry, name)
    except NotFoundError:
        return RegisteredModel({}, {})
