"""Bringing committed results out: to MLflow's tags and artifacts, and to whoever is notified."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import and_, delete, func, update

from mlflow_mother.store.inferences import CURRENT, inferences_of, select_inferences
from mlflow_mother.store.part import Part, locked_version, of_refs
from mlflow_mother.store.records import Inference, WriteBackTarget
from mlflow_mother.store.tables import inferences, versions, write_backs
from mlflow_mother.types import ModelVersionRef

_OTHER_FORM: Mapping[WriteBackTarget, WriteBackTarget] = {
    "tags": "own tags",
    "own tags": "tags",
    "artifacts": "own artifacts",
    "own artifacts": "artifacts",
}
"""What a write-back overwrites: with and without the names of other registered models."""


class Delivery(Part):
    """Write-backs, at least once each, and notifications, at most once each.

    Writing a tag twice does no harm, so that a write-back is pending until it is known to be done: one that is killed
    is found again. A hook may do anything, so that a notification is taken before it is sent: one that is killed
    in between is lost, and never sent twice.
    """

    def pending_write_backs(
        self,
        registry: str,
        target: WriteBackTarget,
        *,
        limit: int | None = None,
        refs: Collection[ModelVersionRef] | None = None,
    ) -> tuple[Inference, ...]:
        """Current inferences that MLflow does not show yet, oldest first.

        Args:
            registry: The registry.
            target: Where they shall be shown.
            limit: Most results.
            refs: Only of these versions.
        """
        written = and_(write_backs.c.version_id == versions.c.id, write_backs.c.target == target)
        query = (
            select_inferences()
            .join(write_backs, written, isouter=True)
            .where(versions.c.registry == registry, CURRENT)
            .where(func.coalesce(write_backs.c.number, 0) != inferences.c.number)
            .order_by(inferences.c.created_at, inferences.c.version_id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(inferences_of(of_refs(connection, query, refs)))[:limit]

    def mark_written(self, ref: ModelVersionRef, number: int, target: WriteBackTarget) -> None:
        """Notes that MLflow now shows this inference of a version.

        Raises:
            StoreError: The store does not know the version.
        """
        with self._database.write() as connection:
            version = locked_version(connection, ref)
            now = self._database.now(connection)
            key = {"version_id": version.id, "target": target}
            connection.execute(self._database.insert_missing(write_backs).values(**key, number=number, written_at=now))
            connection.execute(
                update(write_backs)
                .where(write_backs.c.version_id == version.id, write_backs.c.target == target)
                .values(number=number, written_at=now)
            )
            overwritten = and_(write_backs.c.version_id == version.id, write_backs.c.target == _OTHER_FORM[target])
            connection.execute(delete(write_backs).where(overwritten))

    def take_notifications(self, owner: str, *, registry: str, limit: int = 100) -> tuple[Inference, ...]:
        """Takes the committed results that nobody has been told of, oldest first; each is given out once.

        Args:
            owner: Who takes them and will call the hooks.
            registry: Only of this registry.
            limit: Most results.
        """
        query = (
            select_inferences()
            .where(versions.c.registry == registry, inferences.c.notified_at.is_(None))
            .order_by(inferences.c.created_at, inferences.c.version_id, inferences.c.number)
            .limit(limit)
            .with_for_update(skip_locked=True, of=inferences)
        )
        with self._database.write() as connection:
            now = self._database.now(connection)
            taken = connection.execute(query).all()
            for row in taken:
                connection.execute(
                    update(inferences)
                    .where(inferences.c.version_id == row.version_id, inferences.c.number == row.number)
                    .values(notified_at=now, notified_by=owner)
                )
        return tuple(inferences_of(taken))
