"""What a page about many versions asks for at once: cheap to read in bulk, and cheap to ask what has changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from sqlalchemy import func, select

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint.format import describe, header_bytes
from mlflow_mother.store.database import batches
from mlflow_mother.store.inferences import CURRENT
from mlflow_mother.store.part import REF, Part, of_refs, ref_of
from mlflow_mother.store.records import FingerprintFacts, Made, StoredVersion, Waiting
from mlflow_mother.store.tables import decisions, edges, fingerprint_data, fingerprints, inferences, versions, work
from mlflow_mother.types import Edge, ModelVersionRef, Relation, Status

_BATCH = 300
_VERSION = (
    *(versions.c.id, versions.c.name, versions.c.version, versions.c.source, versions.c.status, versions.c.reason),
    *(versions.c.digest, versions.c.spec, versions.c.registered_at, versions.c.created_at, versions.c.ignored),
    versions.c.inference,
)
_EDGE = (
    *(edges.c.version_id, edges.c.parent, edges.c.child, edges.c.relation, edges.c.probability, edges.c.direction),
    *(edges.c.direction_probability, edges.c.weight, edges.c.rank),
)


@dataclass(frozen=True)
class Stamp:
    """The state that a registry's versions are in; equal as long as nothing about them changes.

    Attributes:
        registry: The registry.
        rows: Columns of each version, by its number in the store; a number is never given out twice.
        decided: Number of the latest decision.
    """

    registry: str
    rows: Mapping[int, tuple[Any, ...]]
    decided: int | None

    def changed(self, before: Stamp) -> set[int] | None:
        """The versions that are new or different since; None when some are gone or renamed: others may differ then."""
        if any(key not in self.rows or self.rows[key][1:3] != row[1:3] for key, row in before.rows.items()):
            return None
        return {key for key, row in self.rows.items() if before.rows.get(key) != row}

    def version(self, key: int) -> StoredVersion:
        """A version by its number."""
        _, name, version, source, status, reason, digest, spec, registered, created, ignored, inference = self.rows[key]
        return StoredVersion(
            ref=ModelVersionRef(registry=self.registry, name=name, version=version),
            source=source,
            status=Status(status),
            reason=reason,
            digest=digest,
            spec=spec,
            registered_at=registered,
            created_at=created,
            ignored=ignored,
            inference=inference,
        )


class Overview(Part):
    """Bulk reading for whoever shows a registry."""

    def stamp(self, registry: str) -> Stamp:
        """The state that a registry's versions are in now."""
        query = select(*_VERSION).where(versions.c.registry == registry).order_by(versions.c.id)
        with self._database.read() as connection:
            decided = connection.execute(select(func.max(decisions.c.id))).scalar()
            return Stamp(registry, {row[0]: tuple(row) for row in connection.execute(query)}, decided)

    def edges_by_version(self, registry: str, keys: Collection[int] | None = None) -> dict[int, tuple[Edge, ...]]:
        """What current inferences say, without the evidence, by the number of the version that says so.

        Args:
            registry: The registry.
            keys: Only these versions; all with None.
        """
        query = select(*_EDGE).order_by(edges.c.version_id, edges.c.child, edges.c.parent)
        chosen = (
            [query.join_from(edges, versions).where(versions.c.registry == registry)]
            if keys is None
            else [query.where(edges.c.version_id.in_(batch)) for batch in batches(sorted(keys), _BATCH)]
        )
        found: dict[int, list[Edge]] = {}
        with self._database.read() as connection:
            for one in chosen:
                for key, parent, child, relation, probability, direction, sure, weight, rank in connection.execute(one):
                    edge = Edge(
                        parent=parent,
                        child=child,
                        relation=Relation(relation),
                        probability=probability,
                        direction=direction,
                        direction_probability=sure,
                        weight=weight,
                        rank=rank,
                    )
                    found.setdefault(key, []).append(edge)
        return {key: tuple(own) for key, own in found.items()}

    def fingerprint_facts(self, digests: Collection[str]) -> dict[str, FingerprintFacts]:
        """Sizes and formats by digest, from the fingerprints' headers; unknown and unreadable ones are left out."""
        found: dict[str, FingerprintFacts] = {}
        data = fingerprint_data.c.data
        start = (
            select(fingerprints.c.id, fingerprints.c.digest, fingerprints.c.parameters, func.substr(data, 1, 8))
            .join_from(fingerprints, fingerprint_data)
            .where(fingerprints.c.spec == self.spec)
        )
        with self._database.read() as connection:
            for batch in batches(digests, _BATCH):
                for key, digest, parameters, head in connection.execute(start.where(fingerprints.c.digest.in_(batch))):
                    try:
                        header = select(func.substr(data, 1, header_bytes(bytes(head))))
                        mine = header.where(fingerprint_data.c.fingerprint_id == key)
                        kind, tensors = describe(bytes(connection.execute(mine).scalar_one()))
                    except FingerprintError:
                        continue
                    found[digest] = FingerprintFacts(parameters, tensors, kind)
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
        queue = select(work.c.lease_until, *REF).join_from(work, versions).where(~versions.c.ignored)
        with self._database.read() as connection:
            mine = next(of_refs(connection, queue, [ref]), None)
            if mine is None:
                return None
            if mine.lease_until is not None and mine.lease_until > self._database.now(connection):
                return Waiting((), True)
            before = takewhile(lambda row: row[1:] != mine[1:], connection.execute(queue.order_by(*order)))
            return Waiting(tuple(map(ref_of, before)), False)
