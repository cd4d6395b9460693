"""Who descends from whom: the current inferences' edges, searchable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, cast

from pydantic import TypeAdapter
from sqlalchemy import Connection, Select, delete, select

from mlflow_mother.store.database import batches
from mlflow_mother.store.part import REF, AnyRow, Part, of_refs, ref_of, ref_of_uri
from mlflow_mother.store.records import Direction, InferredEdge, Kin
from mlflow_mother.store.tables import edges, versions
from mlflow_mother.types import Edge, Evidence, Lineage, ModelVersionRef, Relation

_evidence: TypeAdapter[tuple[Evidence, ...]] = TypeAdapter(tuple[Evidence, ...])
_Step = Callable[[Connection, Collection[ModelVersionRef]], Iterable[ModelVersionRef | None]]


class Kinship(Part):
    """Asking for edges, ancestors and descendants."""

    def edges(
        self, registry: str, subjects: Collection[ModelVersionRef] | None = None, *, evidence: bool = True
    ) -> tuple[InferredEdge, ...]:
        """The edges of the current inferences of a registry's versions, or of some of them.

        Args:
            registry: The registry.
            subjects: Only what is said of these versions.
            evidence: Whether the edges carry their evidence; without, a large registry's are read ten times faster.
        """
        query = _select_edges(registry, evidence)
        with self._database.read() as connection:
            found = [_edge_of(row, evidence) for row in of_refs(connection, query, subjects)]
        return tuple(sorted(found, key=lambda edge: (edge.subject.uri, edge.child, edge.parent)))

    def children(self, ref: ModelVersionRef) -> tuple[InferredEdge, ...]:
        """The decided edges that start in a version, to its children or to their unregistered ancestors."""
        with self._database.read() as connection:
            return tuple(_edges_from(connection, ref.registry, [ref]))

    def ancestors(self, ref: ModelVersionRef) -> tuple[Kin, ...]:
        """All versions that this one descends from over decided edges, nearest first."""

        def parents(connection: Connection, level: Collection[ModelVersionRef]) -> Iterable[ModelVersionRef | None]:
            query = _select_edges(ref.registry).where(edges.c.direction == "decided")
            return (ref_of_uri(ref.registry, row.parent) for row in of_refs(connection, query, level))

        return self._walk(ref, parents)

    def descendants(self, ref: ModelVersionRef) -> tuple[Kin, ...]:
        """All versions that descend from this one over decided edges, nearest first."""

        def heirs(connection: Connection, level: Collection[ModelVersionRef]) -> Iterable[ModelVersionRef]:
            return (edge.subject for edge in _edges_from(connection, ref.registry, level))

        return self._walk(ref, heirs)

    def _walk(self, start: ModelVersionRef, step: _Step) -> tuple[Kin, ...]:
        """Breadth first, one query a generation; a version is met once however many ways lead to it."""
        met = {start}
        kin: list[Kin] = []
        level: list[ModelVersionRef] = [start]
        with self._database.read() as connection:
            while level:
                found = {ref for ref in step(connection, level) if ref is not None} - met
                level = sorted(found, key=lambda ref: (ref.name, len(ref.version), ref.version))
                met |= found
                depth = kin[-1].depth + 1 if kin else 1
                kin += [Kin(ref, depth) for ref in level]
        return tuple(kin)


def replace_edges(connection: Connection, version_id: int, lineage: Lineage) -> None:
    """Makes a version's searchable edges those of its new current lineage."""
    connection.execute(delete(edges).where(edges.c.version_id == version_id))
    rows = {
        (edge.parent, edge.child): {
            "version_id": version_id,
            "parent": edge.parent,
            "child": edge.child,
            "relation": edge.relation.value,
            "probability": edge.probability,
            "direction": edge.direction,
            "direction_probability": edge.direction_probability,
            "weight": edge.weight,
            "rank": edge.rank,
            "evidence": _evidence.dump_json(edge.evidence).decode(),
        }
        for edge in heritage_of(lineage)
    }
    if rows:
        connection.execute(edges.insert(), list(rows.values()))


def heritage_of(lineage: Lineage) -> list[Edge]:
    """A lineage's edges into its subject, and on over unregistered ancestors to the nearest registered ones."""
    undecided = [e for e in lineage.edges if e.direction == "undecided" and lineage.subject in (e.parent, e.child)]
    kinds = {node.id: node.kind for node in lineage.nodes}
    found: list[Edge] = []
    level, met = [lineage.subject], {lineage.subject}
    while level:
        into = [edge for node in level for edge in lineage.parents(node)]
        found += into
        level = sorted({e.parent for e in into if kinds.get(e.parent) == "unregistered"} - met)
        met.update(level)
    return found + undecided


def _select_edges(registry: str, evidence: bool = True) -> Select[Any]:
    columns = [column for column in edges.columns if evidence or column is not edges.c.evidence]
    return select(*columns, *REF).join_from(edges, versions).where(versions.c.registry == registry)


def _edges_from(connection: Connection, registry: str, refs: Collection[ModelVersionRef]) -> Iterator[InferredEdge]:
    for batch in batches(refs, 500):
        query = _select_edges(registry).where(
            edges.c.direction == "decided", edges.c.parent.in_([ref.uri for ref in batch])
        )
        yield from (_edge_of(row) for row in connection.execute(query))


def _edge_of(row: AnyRow, evidence: bool = True) -> InferredEdge:
    edge = Edge(
        parent=row.parent,
        child=row.child,
        relation=Relation(row.relation),
        probability=row.probability,
        direction=cast("Direction", row.direction),
        direction_probability=row.direction_probability,
        weight=row.weight,
        rank=row.rank,
        evidence=_evidence.validate_json(row.evidence) if evidence else (),
    )
    return InferredEdge(subject=ref_of(row), edge=edge)
