"""The work queue: every trigger only enqueues, and a worker that dies leaves nothing behind but a lease."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, or_, select, update

from mlflow_mother.store.database import batches, clean
from mlflow_mother.store.part import REF, AnyRow, Part, of_refs, ref_of, select_version
from mlflow_mother.store.records import Claim, Registration
from mlflow_mother.store.tables import versions, work
from mlflow_mother.store.versions import forget, new_work, request_again
from mlflow_mother.types import ModelVersionRef, Status

_SAME_TIME = 1.0
"""Registration times closer than this, in seconds, are the same one."""


class WorkQueue(Part):
    """Queueing and claiming versions to analyse.

    The order of a worker: :meth:`claim`, fingerprint, infer, record, write back, :meth:`finish`. Each step may be
    repeated without harm; a worker that is killed in between keeps its lease until that runs out, then the version
    is claimable again. Of two workers that believe they hold one version only the later may finish it.
    """

    def enqueue(
        self, ref: ModelVersionRef, *, source: str = "", registered_at: float | None = None, again: bool = False
    ) -> bool:
        """Queues one version; see :meth:`enqueue_many`.

        Returns:
            Whether this call queued it.
        """
        return bool(self.enqueue_many([Registration(ref, source, registered_at)], again=again))

    def enqueue_many(
        self, registrations: Iterable[Registration], *, again: bool = False
    ) -> tuple[ModelVersionRef, ...]:
        """Queues versions that the store does not know yet; doing it twice does nothing more.

        A known version whose registration time differs was deleted and registered anew: what was known is forgotten.

        Args:
            registrations: The versions.
            again: Queue known versions as well, finished ones included. One that is being worked on is done once more
                afterwards.

        Returns:
            The versions that this call queued.
        """
        queued: list[ModelVersionRef] = []
        for batch in batches(registrations, 200):
            with self._database.write(alone=True) as connection:
                now = self._database.now(connection)
                queued += _enqueue(connection, batch, again, now)
        return tuple(queued)

    def claim(
        self,
        owner: str,
        lease_seconds: float,
        limit: int = 1,
        *,
        registry: str | None = None,
        refs: Collection[ModelVersionRef] | None = None,
    ) -> tuple[Claim, ...]:
        """Takes work that nobody holds, oldest registration first.

        Args:
            owner: Who takes it, for people, e.g. host and process.
            lease_seconds: How long others keep their hands off it.
            limit: Most versions to take.
            registry: Only versions of this registry.
            refs: Only these versions.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            free = or_(work.c.lease_until.is_(None), work.c.lease_until <= now)
            query = (
                select(work, *REF, versions.c.source, versions.c.registered_at)
                .join_from(work, versions)
                .where(free, work.c.not_before <= now, ~versions.c.ignored)
                .order_by(versions.c.registered_at.nulls_last(), work.c.queued_at, work.c.version_id)
                .limit(limit)
                .with_for_update(skip_locked=True, of=work)
            )
            if registry is not None:
                query = query.where(versions.c.registry == registry)
            due = list(islice(of_refs(connection, query, refs), limit))
            until, token = now + lease_seconds, secrets.token_hex(8)
            connection.execute(
                update(work)
                .where(work.c.version_id.in_([row.version_id for row in due]))
                .values(owner=owner, token=token, lease_until=until, attempts=work.c.attempts + 1)
            )
        return tuple(_claim(row, owner, token, until) for row in due)

    def due(self) -> frozenset[str]:
        """Registries with work that could be claimed now: one cheap question, for whoever waits for work."""
        with self._database.read() as connection:
            now = self._database.now(connection)
            free = or_(work.c.lease_until.is_(None), work.c.lease_until <= now)
            query = select(versions.c.registry).join_from(work, versions).distinct()
            return frozenset(connection.scalars(query.where(free, work.c.not_before <= now, ~versions.c.ignored)))

    def retry_now(self, registry: str) -> int:
        """Makes claimable what was given back to be tried again later; returns how many versions that were."""
        with self._database.write(alone=True) as connection:
            now = self._database.now(connection)
            of_registry = select(versions.c.id).where(versions.c.registry == registry)
            waiting = update(work).where(
                work.c.version_id.in_(of_registry), work.c.lease_until.is_(None), work.c.not_before > now
            )
            return connection.execute(waiting.values(not_before=now)).rowcount

    def heartbeat(self, claim: Claim, lease_seconds: float) -> bool:
        """Prolongs a claim.

        Returns:
            False when the claim was lost: it ran out and somebody else took the version, or the version is gone.
        """
        with self._database.write() as connection:
            until = self._database.now(connection) + lease_seconds
            return connection.execute(update(work).where(_held(claim)).values(lease_until=until)).rowcount == 1

    def release(self, claim: Claim, *, reason: str = "", retry_in: float = 0.0) -> bool:
        """Gives a claim back unfinished; the version stays queued and keeps its status.

        Args:
            claim: The claim.
            reason: Why, for people.
            retry_in: Seconds before anybody may claim it again.

        Returns:
            False when the claim was lost before.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            freed = (
                update(work)
                .where(_held(claim))
                .values(owner=None, token=None, lease_until=None, not_before=now + retry_in)
            )
            if connection.execute(freed).rowcount == 0:
                return False
            found = connection.execute(select_version(claim.ref)).one()
            connection.execute(update(versions).where(versions.c.id == found.id).values(reason=clean(reason)))
            return True

    def finish(self, claim: Claim, status: Status, reason: str = "") -> bool:
        """Ends a claim with the version's new status.

        Args:
            claim: The claim.
            status: What became of it.
            reason: Why, for people.

        Returns:
            False when the claim was lost before; then nothing is changed.
        """
        with self._database.write() as connection:
            done = connection.execute(delete(work).where(_held(claim), work.c.request == claim.request)).rowcount
            if not done:
                freed = update(work).where(_held(claim)).values(owner=None, token=None, lease_until=None, attempts=0)
                if connection.execute(freed).rowcount == 0:
                    return False
            found = connection.execute(select_version(claim.ref)).one()
            connection.execute(
                update(versions).where(versions.c.id == found.id).values(status=status.value, reason=clean(reason))
            )
            return True


def _enqueue(connection: Connection, batch: list[Registration], again: bool, now: float) -> list[ModelVersionRef]:
    items = {item.ref: item for item in batch}
    known = {ref_of(row): row for row in of_refs(connection, select(versions), items)}
    replaced = {row.id: ref for ref, row in known.items() if _is_another(row, items[ref])}
    forget(connection, replaced, now)
    for ref in replaced.values():
        del known[ref]
    new = [item for ref, item in items.items() if ref not in known]
    if new:
        connection.execute(versions.insert(), [_new_version(item, now) for item in new])
        inserted = of_refs(connection, select(versions.c.id, *REF), [item.ref for item in new])
        connection.execute(work.insert(), [new_work(row.id, now) for row in inserted])
    for ref, row in known.items():
        _fill_in(connection, row, items[ref])
    if again:
        request_again(connection, [row.id for row in known.values()], now)
    return list(items) if again else [item.ref for item in new]


def _new_version(item: Registration, now: float) -> dict[str, Any]:
    return {
        "registry": item.ref.registry,
        "name": item.ref.name,
        "version": item.ref.version,
        "source": clean(item.source),
        "status": Status.PENDING.value,
        "reason": "",
        "registered_at": item.registered_at,
        "created_at": now,
        "ignored": False,
        "inference": 0,
    }


def _fill_in(connection: Connection, known: AnyRow, item: Registration) -> None:
    """Adds what an earlier trigger did not know."""
    source = clean(item.source) or known.source
    registered_at = known.registered_at if item.registered_at is None else item.registered_at
    if (source, registered_at) != (known.source, known.registered_at):
        changed = update(versions).where(versions.c.id == known.id)
        connection.execute(changed.values(source=source, registered_at=registered_at))


def _is_another(known: AnyRow, item: Registration) -> bool:
    if known.registered_at is None or item.registered_at is None:
        return False
    return bool(abs(known.registered_at - item.registered_at) > _SAME_TIME)


def _held(claim: Claim) -> ColumnElement[bool]:
    """The row of work that this claim, and no later one, is about."""
    ref = claim.ref
    version_id = (
        select(versions.c.id)
        .where(versions.c.registry == ref.registry, versions.c.name == ref.name, versions.c.version == ref.version)
        .scalar_subquery()
    )
    return and_(work.c.version_id == version_id, work.c.token == claim.token)


def _claim(row: AnyRow, owner: str, token: str, until: float) -> Claim:
    return Claim(
        ref=ref_of(row),
        source=row.source,
        registered_at=row.registered_at,
        owner=owner,
        token=token,
        attempt=row.attempts + 1,
        request=row.request,
        lease_until=until,
    )
