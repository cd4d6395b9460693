"""What the weights say: the append-only history of inferences."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Select, and_, select, update

from mlflow_mother.errors import StoreError
from mlflow_mother.store.database import clean
from mlflow_mother.store.kinship import replace_edges
from mlflow_mother.store.part import REF, AnyRow, Part, locked_version, of_refs, ref_of
from mlflow_mother.store.records import Inference
from mlflow_mother.store.tables import inferences, versions
from mlflow_mother.types import Lineage, ModelVersionRef

log = logging.getLogger(__name__)

CURRENT = and_(inferences.c.version_id == versions.c.id, inferences.c.number == versions.c.inference)
"""Joins a version to its current inference."""


class Inferences(Part):
    """Recording inferences, and reading them back."""

    def record_inference(self, ref: ModelVersionRef, lineage: Lineage, *, engine: str, reason: str = "") -> bool:
        """Commits a result as the version's current one, exactly once.

        The new inference, its edges, and the notification and write-backs that it calls for are one transaction. A
        result identical to the current one (lineage and engine) adds nothing.

        Args:
            ref: The version.
            lineage: What was inferred; its subject is the version.
            engine: Version of the engine.
            reason: Why it was made or revised, for people.

        Returns:
            Whether it was new.

        Raises:
            StoreError: The store does not know the version, or the lineage is another version's.
        """
        if lineage.subject != ref.uri:
            raise StoreError(f"A lineage of {lineage.subject} cannot be {ref.uri}'s.", "Record it for its own subject.")
        document = lineage.model_dump_json().encode()
        with self._database.write() as connection:
            version = locked_version(connection, ref)
            current = connection.execute(
                select(inferences.c.lineage, inferences.c.engine).where(
                    inferences.c.version_id == version.id, inferences.c.number == version.inference
                )
            ).first()
            if current is not None and (current.engine, zlib.decompress(current.lineage)) == (engine, document):
                return False
            number = version.inference + 1
            connection.execute(
                inferences.insert().values(
                    version_id=version.id,
                    number=number,
                    engine=engine,
                    reason=clean(reason),
                    created_at=self._database.now(connection),
                    lineage=zlib.compress(document),
                )
            )
            connection.execute(update(versions).where(versions.c.id == version.id).values(inference=number))
            replace_edges(connection, version.id, lineage)
            return True

    def current_inference(self, ref: ModelVersionRef) -> Inference | None:
        """The version's current inference; None when there is none."""
        return self.current_inferences(ref.registry, [ref]).get(ref)

    def current_inferences(
        self, registry: str, refs: Collection[ModelVersionRef] | None = None
    ) -> dict[ModelVersionRef, Inference]:
        """The current inferences of a registry's versions, or of some of them."""
        query = select_inferences().where(versions.c.registry == registry, CURRENT)
        with self._database.read() as connection:
            return {inference.ref: inference for inference in inferences_of(of_refs(connection, query, refs))}

    def history(self, ref: ModelVersionRef) -> tuple[Inference, ...]:
        """All inferences of a version, oldest first."""
        query = select_inferences().order_by(inferences.c.number)
        with self._database.read() as connection:
            return tuple(inferences_of(of_refs(connection, query, [ref])))


def select_inferences() -> Select[Any]:
    """Selects inferences with their versions, for :func:`inferences_of`."""
    return select(inferences, *REF).join_from(inferences, versions)


def inferences_of(rows: Iterable[AnyRow]) -> Iterator[Inference]:
    """The inferences of rows of :func:`select_inferences`.

    One that another release wrote in a form that this one cannot read is left out: it is as if it had not been made.
    """
    for row in rows:
        ref = ref_of(row)
        try:
            lineage = Lineage.model_validate_json(zlib.decompress(row.lineage))
        except ValidationError:
            log.warning("Mother skips inference %d of %s, which another release wrote.", row.number, ref.uri)
        else:
            yield Inference(ref, row.number, lineage, row.engine, row.reason, row.created_at)
