"""What a page about many versions asks for at once: cheap to read in bulk, and cheap to ask whether it has changed."""

from __future__ import annotations

from collections.abc import Collection, Hashable

from sqlalchemy import func, select

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint.format import describe, header_bytes
from mlflow_mother.store.database import batches
from mlflow_mother.store.inferences import CURRENT
from mlflow_mother.store.part import REF, Part, of_refs, ref_of
from mlflow_mother.store.records import FingerprintFacts, Made, Waiting
from mlflow_mother.store.tables import decisions, fingerprint_data, fingerprints, inferences, versions, work
from mlflow_mother.types import ModelVersionRef

_BATCH = 300


class Overview(Part):
    """Bulk reading for whoever shows a registry."""

    def stamp(self, registry: str) -> Hashable:
        """Differs whenever the registry's versions, their results, or what people said of them have changed."""
        columns = (
            *(versions.c.id, versions.c.name, versions.c.version, versions.c.status, versions.c.reason),
            *(versions.c.digest, versions.c.registered_at, versions.c.ignored, versions.c.inference),
        )
        query = select(*columns).where(versions.c.registry == registry).order_by(versions.c.id)
        with self._database.read() as connection:
            newest = connection.execute(select(func.max(decisions.c.id))).scalar()
            rows = tuple(map(tuple, connection.execute(query)))
        return len(rows), hash(rows), newest

    def fingerprint_facts(self, digests: Collection[str]) -> dict[str, FingerprintFacts]:
        """Sizes and formats by digest, from the fingerprints' headers; unknown and unreadable ones are left out."""
        found: dict[str, FingerprintFacts] = {}
        data = fingerprint_data.c.data
        with self._database.read() as connection:
            for batch in batches(digests, _BATCH):
                mine = fingerprints.c.spec == self.spec, fingerprints.c.digest.in_(batch)
                heads = (
                    select(fingerprints.c.digest, fingerprints.c.parameters, func.substr(data, 1, 8).label("head"))
                    .join_from(fingerprints, fingerprint_data)
                    .where(*mine)
                )
                for row in connection.execute(heads).all():
                    own = (fingerprints.c.spec == self.spec, fingerprints.c.digest == row.digest)
                    try:
                        length = header_bytes(bytes(row.head))
                        header = select(func.substr(data, 1, length)).join_from(fingerprints, fingerprint_data)
                        kind, tensors = describe(bytes(connection.execute(header.where(*own)).scalar_one()))
                    except FingerprintError:
                        continue
                    found[row.digest] = FingerprintFacts(row.parameters, tensors, kind)
        return found

    def made(self, registry: str, refs: Collection[ModelVersionRef]) -> dict[ModelVersionRef, Made]:
        """When the current inferences of some versions were made."""
        query = (
            select(inferences.c.engine, inferences.c.created_at, *REF)
            .join_from(inferences, versions)
            .where(versions.c.registry == registry, CURRENT)
        )
        with self._database.read() as connection:
            return {ref_of(row): Made(row.engine, row.created_at) for row in of_refs(connection, query, refs)}

    def waiting(self, ref: ModelVersionRef) -> Waiting | None:
        """A version's place among all that wait, of every registry in the database; None when it does not wait."""
        order = (versions.c.registered_at.nulls_last(), work.c.queued_at, work.c.version_id)
        query = select(work.c.lease_until, *REF).join_from(work, versions).where(~versions.c.ignored).order_by(*order)
        ahead: list[ModelVersionRef] = []
        with self._database.read() as connection:
            now = self._database.now(connection)
            for row in connection.execute(query):
                if ref_of(row) == ref:
                    working = row.lease_until is not None and row.lease_until > now
                    return Waiting(() if working else tuple(ahead), working)
                ahead.append(ref_of(row))
        return None
