"""The registered versions that the store knows, and what happens when the registry deletes or renames one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, and_, delete, exists, func, or_, select, update

from mlflow_mother.store.database import batches
from mlflow_mother.store.part import REF, AnyRow, Part, locked_version, ref_of, select_version
from mlflow_mother.store.records import Counts, StoredVersion
from mlflow_mother.store.tables import (
    comparisons,
    decisions,
    declared_parents,
    edges,
    fingerprints,
    inferences,
    notices,
    versions,
    work,
)
from mlflow_mother.types import ModelVersionRef, Status


class Versions(Part):
    """Looking versions up, forgetting and renaming them."""

    def now(self) -> float:
        """Unix seconds by the clock of the database; what :meth:`sync` wants to be told."""
        with self._database.read() as connection:
            return self._database.now(connection)

    def version(self, ref: ModelVersionRef) -> StoredVersion | None:
        """What is known of one version; None when the store does not know it."""
        with self._database.read() as connection:
            row = connection.execute(select_version(ref)).first()
        return None if row is None else _stored(row)

    def versions(
        self, registry: str, *, status: Status | None = None, names: Collection[str] | None = None
    ) -> tuple[StoredVersion, ...]:
        """All versions of a registry in the order of their registration.

        Args:
            registry: The registry.
            status: Only those of this status.
            names: Only those of these registered models.
        """
        query = select(versions).where(versions.c.registry == registry).order_by(*_OLDEST_FIRST)
        if status is not None:
            query = query.where(versions.c.status == status.value)
        if names is not None:
            query = query.where(versions.c.name.in_(names))
        with self._database.read() as connection:
            return tuple(_stored(row) for row in connection.execute(query))

    def same_weights(self, registry: str, digest: str) -> tuple[ModelVersionRef, ...]:
        """The registry's versions that hold these weights, oldest first."""
        query = (
            select(*REF)
            .where(versions.c.registry == registry, versions.c.digest == digest, versions.c.spec == self.spec)
            .order_by(*_OLDEST_FIRST)
        )
        with self._database.read() as connection:
            return tuple(ref_of(row) for row in connection.execute(query))

    def outdated(self, registry: str, *, engine: str | None = None) -> tuple[ModelVersionRef, ...]:
        """Versions whose fingerprint is of another spec than :attr:`spec`: to be recomputed, never compared.

        Args:
            registry: The registry.
            engine: Also versions whose current inference is by another engine than this one.
        """
        stale = and_(versions.c.spec.is_not(None), versions.c.spec != self.spec)
        query = select(*REF).where(versions.c.registry == registry).order_by(*_OLDEST_FIRST)
        if engine is not None:
            current = and_(
                inferences.c.version_id == versions.c.id,
                inferences.c.number == versions.c.inference,
                inferences.c.engine != engine,
            )
            stale = or_(stale, exists().where(current))
        with self._database.read() as connection:
            return tuple(ref_of(row) for row in connection.execute(query.where(stale)))

    def counts(self, registry: str) -> Counts:
        """How far the registry's analysis has come."""
        mine = versions.c.registry == registry
        queued = select(func.count()).select_from(work.join(versions)).where(mine, ~versions.c.ignored)
        with self._database.read() as connection:
            now = self._database.now(connection)
            by_status = connection.execute(
                select(versions.c.status, func.count()).where(mine).group_by(versions.c.status)
            ).all()
            ignored = connection.execute(select(func.count()).where(mine, versions.c.ignored)).scalar_one()
            claimed = connection.execute(queued.where(work.c.lease_until > now)).scalar_one()
            total = connection.execute(queued).scalar_one()
            unnotified = connection.execute(
                select(func.count())
                .select_from(inferences.join(versions))
                .where(mine, inferences.c.notified_at.is_(None))
            ).scalar_one()
        found = {Status(status): count for status, count in by_status}
        return Counts(
            by_status={status: found.get(status, 0) for status in Status},
            ignored=ignored,
            queued=total - claimed,
            claimed=claimed,
            unnotified=unnotified,
        )

    def set_ignored(self, ref: ModelVersionRef, ignored: bool) -> None:
        """Switches the analysis of one version off or on: an ignored one is neither claimed nor a candidate.

        Raises:
            StoreError: The store does not know the version.
        """
        with self._database.write() as connection:
            row = locked_version(connection, ref)
            connection.execute(update(versions).where(versions.c.id == row.id).values(ignored=ignored))

    def sync(
        self,
        registry: str,
        present: Iterable[ModelVersionRef],
        *,
        listed_at: float,
        names: Collection[str] | None = None,
    ) -> tuple[ModelVersionRef, ...]:
        """Forgets the versions that the registry does not hold any more, and everything known of them.

        Fingerprints and comparisons go with the last version that holds the weights. Versions whose current lineage
        names a forgotten one are queued again.

        Args:
            registry: The registry.
            present: All versions that it holds.
            listed_at: :meth:`now` before the listing of ``present`` began. A version that the store first heard of
                later is kept: the listing may have missed it.
            names: The listing was of these registered models only; others are left alone.

        Returns:
            The forgotten versions.
        """
        kept = {(ref.name, ref.version) for ref in present if ref.registry == registry}
        query = select(versions.c.id, *REF).where(versions.c.registry == registry, versions.c.created_at < listed_at)
        if names is not None:
            query = query.where(versions.c.name.in_(names))
        with self._database.write(alone=True) as connection:
            gone = [row for row in connection.execute(query) if (row.name, row.version) not in kept]
            forget(connection, {row.id: ref_of(row) for row in gone}, self._database.now(connection))
            _drop_orphans(connection)
            return tuple(ref_of(row) for row in gone)

    def rename(self, registry: str, old: str, new: str) -> int:
        """Follows MLflow's renaming of a registered model.

        Results, declarations and decisions stay; every version whose current lineage names the model is queued again,
        so that its lineage, tags and artifacts name it anew. History keeps the name of its time.

        Returns:
            The number of versions that moved.
        """
        with self._database.write(alone=True) as connection:
            now = self._database.now(connection)
            mine = versions.c.registry == registry
            replaced = connection.execute(select(versions.c.id, *REF).where(mine, versions.c.name == new)).all()
            forget(connection, {row.id: ref_of(row) for row in replaced}, now)
            moving = connection.scalars(select(versions.c.version).where(mine, versions.c.name == old)).all()
            _requeue_naming(connection, registry, [f"models:/{old}/{version}" for version in moving], now)
            everyone = select(versions.c.id).where(mine).scalar_subquery()
            before, after = f"models:/{old}/", f"models:/{new}/"
            for column in (edges.c.parent, edges.c.child, declared_parents.c.parent, decisions.c.parent):
                connection.execute(
                    update(column.table)
                    .where(func.substr(column, 1, len(before)) == before)
                    .where(column.table.c.version_id.in_(everyone))
                    .values({column.name: after + func.substr(column, len(before) + 1)})
                )
            connection.execute(update(versions).where(mine, versions.c.name == old).values(name=new))
            return len(moving)


_OLDEST_FIRST = (func.coalesce(versions.c.registered_at, versions.c.created_at), versions.c.id)


def forget(connection: Connection, gone: dict[int, ModelVersionRef], now: float) -> None:
    """Deletes versions by id, with all that hangs on them, in a transaction that is ``alone``."""
    if not gone:
        return
    for registry in {ref.registry for ref in gone.values()}:
        uris = [ref.uri for ref in gone.values() if ref.registry == registry]
        _requeue_naming(connection, registry, uris, now)
        others = select(versions.c.id).where(versions.c.registry == registry).scalar_subquery()
        for batch in batches(uris, 500):
            named = or_(edges.c.parent.in_(batch), edges.c.child.in_(batch))
            connection.execute(delete(edges).where(named, edges.c.version_id.in_(others)))
    for ids in batches(gone, 500):
        connection.execute(delete(versions).where(versions.c.id.in_(ids)))


def forget_registries(connection: Connection, registries: Collection[str]) -> None:
    """Deletes all that is known of some registries, in a transaction that is ``alone``."""
    connection.execute(delete(versions).where(versions.c.registry.in_(registries)))
    connection.execute(delete(notices).where(notices.c.registry.in_(registries)))
    _drop_orphans(connection)


def _drop_orphans(connection: Connection) -> None:
    """Deletes fingerprints that no version holds, and comparisons with such."""
    held = exists().where(versions.c.digest == fingerprints.c.digest, versions.c.spec == fingerprints.c.spec)
    orphans = connection.execute(select(fingerprints.c.id, fingerprints.c.digest).where(~held)).all()
    for batch in batches(orphans, 500):
        digests = [row.digest for row in batch]
        connection.execute(delete(comparisons).where(comparisons.c.digest_a.in_(digests)))
        connection.execute(delete(comparisons).where(comparisons.c.digest_b.in_(digests)))
        connection.execute(delete(fingerprints).where(fingerprints.c.id.in_([row.id for row in batch])))


def request_again(connection: Connection, version_ids: Iterable[int], now: float) -> None:
    """Queues versions whatever their state; one that is being worked on stays queued for another round."""
    for ids in batches(sorted(version_ids), 500):
        queued = set(connection.scalars(select(work.c.version_id).where(work.c.version_id.in_(ids))))
        connection.execute(
            update(work).where(work.c.version_id.in_(ids)).values(request=work.c.request + 1, not_before=now)
        )
        missing = [new_work(version_id, now) for version_id in ids if version_id not in queued]
        if missing:
            connection.execute(work.insert(), missing)


def new_work(version_id: int, now: float) -> dict[str, Any]:
    """The row of work that nobody has touched yet."""
    return {"version_id": version_id, "request": 1, "queued_at": now, "not_before": now, "attempts": 0}


def _requeue_naming(connection: Connection, registry: str, uris: Collection[str], now: float) -> None:
    """Queues the registry's versions whose current lineage names one of these nodes."""
    if not uris:
        return
    names = [json.dumps(uri, ensure_ascii=False).encode() for uri in uris]
    current = (
        select(versions.c.id, inferences.c.lineage)
        .join_from(versions, inferences)
        .where(versions.c.registry == registry, inferences.c.number == versions.c.inference)
    )
    found = []
    for version_id, packed in connection.execute(current):
        lineage = zlib.decompress(packed)
        if any(name in lineage for name in names):
            found.append(version_id)
    request_again(connection, found, now)


def _stored(row: AnyRow) -> StoredVersion:
    return StoredVersion(
        ref=ref_of(row),
        source=row.source,
        status=Status(row.status),
        reason=row.reason,
        digest=row.digest,
        spec=row.spec,
        registered_at=row.registered_at,
        created_at=row.created_at,
        ignored=row.ignored,
        inference=row.inference,
    )
