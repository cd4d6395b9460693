"""What the store's parts share: the database, the spec, and the way from a version to its row."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, TypeAlias

from sqlalchemy import Connection, Select, and_, select, tuple_

from mlflow_mother.errors import StoreError
from mlflow_mother.store.database import Database, batches
from mlflow_mother.store.tables import versions
from mlflow_mother.types import ModelVersionRef

AnyRow: TypeAlias = Any
"""A row, by attributes; SQLAlchemy 2.0 and 2.1 disagree on how to write its type."""

REF = (versions.c.registry, versions.c.name, versions.c.version)
"""The columns that :func:`ref_of` reads."""


class Part:
    """One subject of the store's interface; :class:`~mlflow_mother.store.Store` is all of them.

    Args:
        database: Where the tables are.
        spec: The fingerprint spec that this release computes.
    """

    def __init__(self, database: Database, spec: str) -> None:
        self._database = database
        self.spec = spec


def ref_of(row: AnyRow) -> ModelVersionRef:
    """The version that a row with the columns :data:`REF` is about."""
    return ModelVersionRef(registry=row.registry, name=row.name, version=row.version)


def ref_of_uri(registry: str, uri: str) -> ModelVersionRef | None:
    """The version behind a node id; None for an unregistered ancestor or a file."""
    if not uri.startswith("models:/"):
        return None
    name, _, version = uri.removeprefix("models:/").rpartition("/")
    return ModelVersionRef(registry=registry, name=name, version=version)


def of_refs(connection: Connection, query: Select[Any], refs: Collection[ModelVersionRef] | None) -> Iterator[AnyRow]:
    """Runs a query that has ``mother_versions`` in it for some versions only; for all with None."""
    if refs is None:
        yield from connection.execute(query)
        return
    for batch in batches(refs, 300):
        keys = [(ref.registry, ref.name, ref.version) for ref in batch]
        yield from connection.execute(query.where(tuple_(*REF).in_(keys)))


def select_version(ref: ModelVersionRef) -> Select[Any]:
    """Selects the version's row."""
    return select(versions).where(
        and_(versions.c.registry == ref.registry, versions.c.name == ref.name, versions.c.version == ref.version)
    )


def locked_version(connection: Connection, ref: ModelVersionRef) -> AnyRow:
    """The version's row, locked until the transaction ends.

    Raises:
        StoreError: The store does not know the version (any more).
    """
    row = connection.execute(select_version(ref).with_for_update()).first()
    if row is None:
        raise StoreError(
            f"Mother's store does not know {ref.uri}: it was deleted, or never queued.", "Queue it with `reconcile`."
        )
    return row
