"""Which versions the registry holds at this moment, for whoever must not rely on what Mother remembers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlflow_mother.registry.connection import Registry, mlflow_errors

PAGE = 1000
"""Versions asked for at once where there is no database to ask."""

Held = dict[str, dict[str, int]]
"""When versions were registered, in unix milliseconds, by registered model and version.

A deleted version's number may be given out again; its time tells the two apart."""


def held_versions(registry: Registry) -> Held:
    """Everything that the registry holds now; one cheap query where it is a database.

    Raises:
        RegistryError: The registry cannot be read.
    """
    with mlflow_errors("The versions of the registry could not be listed"):
        engine = getattr(getattr(registry.versions_client, "store", None), "engine", None)
        rows = _listed(registry) if engine is None else _selected(engine, registry.workspace)
        found: Held = {}
        for name, version, created in rows:
            found.setdefault(name, {})[str(version)] = created
        return found


def _selected(engine: Any, workspace: str | None) -> list[Any]:
    """Rows of MLflow's own table: its API would make ten thousand objects, with all their tags, of them."""
    from mlflow.entities.model_registry.model_version_stages import STAGE_DELETED_INTERNAL
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
    from sqlalchemy import select

    columns = SqlModelVersion.__table__.c
    query = select(columns.name, columns.version, columns.creation_time)
    query = query.where(columns.current_stage != STAGE_DELETED_INTERNAL)
    if "workspace" in columns:  # since MLflow 3.10
        query = query.where(columns.workspace == (workspace or "default"))
    with engine.connect() as connection:
        return list(connection.execute(query))


def _listed(registry: Registry) -> Iterable[tuple[str, str, int]]:
    token = None
    while True:
        page = registry.client.search_model_versions(max_results=PAGE, page_token=token)
        yield from ((version.name, version.version, version.creation_timestamp) for version in page)
        token = page.token
        if not token:
            return
