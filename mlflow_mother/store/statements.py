"""What metadata and people say, each in a table of its own: neither ever mixes with what the weights say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from sqlalchemy import delete, select

from mlflow_mother.store.database import clean
from mlflow_mother.store.part import REF, Part, locked_version, of_refs, ref_of
from mlflow_mother.store.records import Decision, DecisionKind, DeclaredParent
from mlflow_mother.store.tables import decisions, declared_parents, versions
from mlflow_mother.types import ModelVersionRef


class Statements(Part):
    """Declared parents and human decisions."""

    def set_declared(self, ref: ModelVersionRef, parents: Sequence[DeclaredParent]) -> None:
        """Replaces what a version's metadata declares.

        Raises:
            StoreError: The store does not know the version.
        """
        with self._database.write() as connection:
            version = locked_version(connection, ref)
            connection.execute(delete(declared_parents).where(declared_parents.c.version_id == version.id))
            rows = [
                {"version_id": version.id, "position": i, "parent": clean(said.parent), "source": clean(said.source)}
                for i, said in enumerate(parents)
            ]
            if rows:
                connection.execute(declared_parents.insert(), rows)

    def declared(
        self, registry: str, refs: Collection[ModelVersionRef] | None = None
    ) -> dict[ModelVersionRef, tuple[DeclaredParent, ...]]:
        """Declared parents of a registry's versions, or of some of them; versions without any are left out."""
        query = (
            select(declared_parents, *REF)
            .join_from(declared_parents, versions)
            .where(versions.c.registry == registry)
            .order_by(versions.c.id, declared_parents.c.position)
        )
        found: dict[ModelVersionRef, list[DeclaredParent]] = {}
        with self._database.read() as connection:
            for row in of_refs(connection, query, refs):
                found.setdefault(ref_of(row), []).append(DeclaredParent(row.parent, row.source))
        return {ref: tuple(parents) for ref, parents in found.items()}

    def decide(
        self, ref: ModelVersionRef, kind: DecisionKind, parent: str | None, *, by: str, note: str = ""
    ) -> Decision:
        """Adds a person's decision; earlier ones stay on record.

        Args:
            ref: The version.
            kind: What was decided.
            parent: Node id of the parent it is about; None for "it has none".
            by: Who decided.
            note: Their remark.

        Raises:
            StoreError: The store does not know the version.
        """
        with self._database.write() as connection:
            version = locked_version(connection, ref)
            decision = Decision(
                ref=ref, kind=kind, parent=parent, by=clean(by), at=self._database.now(connection), note=clean(note)
            )
            connection.execute(
                decisions.insert().values(
                    version_id=version.id,
                    kind=kind,
                    parent=parent,
                    by=decision.by,
                    at=decision.at,
                    note=decision.note,
                )
            )
        return decision

    def decisions(
        self, registry: str, refs: Collection[ModelVersionRef] | None = None
    ) -> dict[ModelVersionRef, tuple[Decision, ...]]:
        """Decisions on a registry's versions, or on some of them, oldest first; the last word on a parent counts."""
        query = (
            select(decisions, *REF)
            .join_from(decisions, versions)
            .where(versions.c.registry == registry)
            .order_by(decisions.c.id)
        )
        found: dict[ModelVersionRef, list[Decision]] = {}
        with self._database.read() as connection:
            for row in of_refs(connection, query, refs):
                ref, kind = ref_of(row), cast("DecisionKind", row.kind)
                found.setdefault(ref, []).append(Decision(ref, kind, row.parent, row.by, row.at, row.note))
        return {ref: tuple(made) for ref, made in found.items()}
