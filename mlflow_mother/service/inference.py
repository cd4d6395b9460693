"""A version's relatives, the tree over them, and whose lineage that changes.

The new version is compared in full only with the candidates that its coarse vector finds. What the engine says of
those replaces what was said before, with one exception: a version whose family is larger than the candidates, and so
was not seen as a whole, changes only where the new version is involved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass

from pydantic import ValidationError

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint.coarse import coarse_vector
from mlflow_mother.fingerprint.format import from_bytes
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import ENGINE, Comparison, recover
from mlflow_mother.plugins import Plugins
from mlflow_mother.service.families import (
    changed,
    component,
    heritage,
    is_registered,
    lineage_of,
    with_lasting_names,
)
from mlflow_mother.service.garbage import uncollected
from mlflow_mother.service.reading import Checkpoint
from mlflow_mother.settings import Settings
from mlflow_mother.store import Store
from mlflow_mother.types import Edge, Lineage, ModelTree, ModelVersionRef, Node

Pair = tuple[str, str]


@dataclass(frozen=True)
class Inferred:
    """What one inference found.

    Attributes:
        lineages: The new lineages: the subject's own, and those of every version whose edges changed.
        seen: Digests of the weights that were looked at.
    """

    lineages: Mapping[ModelVersionRef, Lineage]
    seen: frozenset[str]


@dataclass(frozen=True)
class Inference:
    """Infers versions' parents from the store's fingerprints.

    Attributes:
        registry: The registry's id.
        store: Fingerprints, comparisons and earlier results.
        settings: Bounds, and which evidence counts.
        plugins: Extra evidence and vetoes.
        checkpoint: Called between comparisons.
    """

    registry: str
    store: Store
    settings: Settings
    plugins: Plugins
    checkpoint: Checkpoint

    @uncollected()
    def infer(self, ref: ModelVersionRef) -> Inferred:
        """The lineage of a version whose fingerprint is stored, and all others that it changes.

        Raises:
            FingerprintError: There is no fingerprint of it.
        """
        digest, relatives = self._relatives(ref)
        digests = {uri: held for uri, (_, held) in relatives.items()}
        fingerprints = self._fingerprints(set(digests.values()))
        models = {uri: fingerprints[held] for uri, held in digests.items() if held in fingerprints}
        fresh = with_lasting_names(self._recover(models, {uri: other for uri, (other, _) in relatives.items()}))
        known = self._known_edges()
        edges = _merged(ref.uri, fresh, known)
        nodes = _nodes(fresh, edges)
        others = sorted(changed((edge for own in known.values() for edge in own), edges) - {ref.uri})
        subjects = {uri: relatives[uri] for uri in (ref.uri, *others) if uri in relatives}
        lineages = {
            other: lineage_of(uri, held, edges, nodes) for uri, (other, held) in subjects.items() if uri in nodes
        }
        return Inferred(self._completed(lineages, known), frozenset({digest, *digests.values()}))

    def named_in_files(self, digest: str) -> tuple[str, ...]:
        """The parents that a model's own files name, as its fingerprint keeps them."""
        data = self.store.get_fingerprint(digest)
        return from_bytes(data).declared if data else ()

    def unseen(self, ref: ModelVersionRef, seen: frozenset[str]) -> bool:
        """Whether relatives have come since an inference that saw these."""
        _, relatives = self._relatives(ref)
        return not {held for _, held in relatives.values()} <= seen

    def _relatives(self, ref: ModelVersionRef) -> tuple[str, dict[str, tuple[ModelVersionRef, str]]]:
        """The version's digest; and it and its candidates with theirs, by node id."""
        known = self.store.version(ref)
        data = self.store.get_fingerprint(known.digest) if known and known.digest else None
        if known is None or known.digest is None or data is None:
            raise FingerprintError(f"{ref.uri} has no fingerprint yet.", "Run `mlflow-mother reconcile`.")
        coarse = coarse_vector(from_bytes(data))
        found = {ref.uri: (ref, known.digest)}
        for candidate in self.store.candidates(self.registry, coarse, self.settings.candidates):
            found.update({other.uri: (other, candidate.digest) for other in candidate.refs})
        for uri in self._declared([ref]).get(ref.uri, ()):
            other = self.store.version(self._ref(uri))
            if other and other.digest and other.spec == self.store.spec and not other.ignored:
                found[uri] = (other.ref, other.digest)
        return known.digest, found

    def _fingerprints(self, digests: set[str]) -> dict[str, Fingerprint]:
        return {digest: from_bytes(data) for digest, data in self.store.get_fingerprints(digests).items()}

    def _recover(self, models: Mapping[str, Fingerprint], refs: Mapping[str, ModelVersionRef]) -> ModelTree:
        comparisons = _Comparisons(self.store, {fingerprint.digest for fingerprint in models.values()})
        try:
            return recover(
                models,
                comparisons=comparisons,
                times=self._times(refs),
                weigh_times=self.settings.use_time,
                declared=self._statements(refs, models),
                extra_evidence=self.plugins.extra_evidence,
                veto=self.plugins.vetoes,
                decide_probability=self.settings.decide_probability,
                progress=lambda _done, _total: self.checkpoint(),
            )
        finally:
            comparisons.flush()

    def _times(self, refs: Mapping[str, ModelVersionRef]) -> dict[str, float]:
        known = self.store.versions(self.registry, names={ref.name for ref in refs.values()})
        return {v.ref.uri: v.registered_at for v in known if v.ref.uri in refs and v.registered_at is not None}

    def _statements(
        self, refs: Mapping[str, ModelVersionRef], models: Mapping[str, Fingerprint]
    ) -> dict[str, list[str]]:
        """Declared parents that count: those of adapters, which hold nothing of their base; others only if so set."""
        return {
            uri: [parent for parent in parents if parent in models]
            for uri, parents in self._declared(list(refs.values())).items()
            if uri in models and (self.settings.use_declared or models[uri].adapter)
        }

    def _declared(self, refs: list[ModelVersionRef]) -> dict[str, list[str]]:
        """Declared parents that are registered, by node id."""
        said = self.store.declared(self.registry, refs)
        return {
            ref.uri: [parent.parent for parent in parents if parent.parent.startswith("models:/")]
            for ref, parents in said.items()
        }

    def _known_edges(self) -> dict[str, list[Edge]]:
        """What current inferences say, by the node that says so; without its evidence, which few of them will need."""
        known: dict[str, list[Edge]] = defaultdict(list)
        for said in self.store.edges(self.registry, evidence=False):
            known[said.subject.uri].append(said.edge)
        return known

    def _completed(
        self, lineages: Mapping[ModelVersionRef, Lineage], known: Mapping[str, list[Edge]]
    ) -> dict[ModelVersionRef, Lineage]:
        """Lineages with the evidence of edges that were known before, and with every node's declared parents."""
        shown = {edge for lineage in lineages.values() for edge in map(id, lineage.edges)}
        sayers = {id(edge): uri for uri, own in known.items() for edge in own if id(edge) in shown}
        refs = [self._ref(uri) for uri in sorted(set(sayers.values()))]
        said = {(e.subject.uri, e.parent, e.child): e.edge.evidence for e in self.store.edges(self.registry, refs)}
        names = {node.id for lineage in lineages.values() for node in lineage.nodes if is_registered(node.id)}
        stated = self.store.declared(self.registry, [self._ref(name) for name in sorted(names)])
        declared = {ref.uri: tuple(parent.parent for parent in parents) for ref, parents in stated.items()}

        def edge_of(edge: Edge) -> Edge:
            sayer = sayers.get(id(edge))
            if sayer is None:
                return edge
            return edge.model_copy(update={"evidence": said.get((sayer, edge.parent, edge.child), ())})

        def node_of(node: Node) -> Node:
            return node.model_copy(update={"declared_parents": declared.get(node.id, ())})

        return {
            ref: lineage.model_copy(
                update={
                    "edges": tuple(map(edge_of, lineage.edges)),
                    "nodes": tuple(node_of(node) if is_registered(node.id) else node for node in lineage.nodes),
                }
            )
            for ref, lineage in lineages.items()
        }

    def _ref(self, uri: str) -> ModelVersionRef:
        name, _, version = uri.removeprefix("models:/").rpartition("/")
        return ModelVersionRef(registry=self.registry, name=name, version=version)


def _nodes(fresh: ModelTree, edges: Iterable[Edge]) -> dict[str, Node]:
    """Registered nodes by id."""
    nodes = {node.id: node for node in fresh.nodes if node.kind == "model"}
    names = {name for edge in edges for name in (edge.parent, edge.child)} - set(nodes)
    return nodes | {name: Node(id=name) for name in names if is_registered(name)}


def _merged(subject: str, fresh: ModelTree, known: Mapping[str, list[Edge]]) -> list[Edge]:
    """The registry's edges after an inference.

    Args:
        subject: The node it was made for.
        fresh: The tree over the subject and its candidates.
        known: What was said before, by the node that said so.
    """
    seen = {node.id for node in fresh.nodes if node.kind == "model"}
    family = _families(edge for own in known.values() for edge in own)
    merged: dict[Pair, Edge] = {}
    for uri in sorted({*known, *seen}):
        own = list(known.get(uri, ()))
        if uri in seen:
            new = heritage(fresh.edges, uri)
            involved = any(subject in (edge.parent, edge.child) for edge in new)
            if uri == subject or involved or family.get(uri, set()) <= seen:
                own = new
        else:
            # Both ends of an undecided edge hold it; the one that was seen has the last word.
            own = [edge for edge in own if edge.direction == "decided" or not seen & {edge.parent, edge.child}]
        merged.update({(edge.parent, edge.child): edge for edge in own})
    return list(merged.values())


def _families(edges: Iterable[Edge]) -> dict[str, set[str]]:
    """The registered members of each node's family, by node id."""
    edges = list(edges)
    found: dict[str, set[str]] = {}
    for edge in edges:
        if edge.parent not in found:
            members = component(edges, edge.parent)
            registered = {name for name in members if is_registered(name)}
            found.update(dict.fromkeys(members, registered))
    return found


class _Comparisons(MutableMapping[Pair, Comparison]):
    """The store's comparisons among some weights; new ones are written in one go."""

    def __init__(self, store: Store, digests: set[str]) -> None:
        self._store = store
        self._stored = store.comparisons(digests, engine=ENGINE)
        self._new: dict[Pair, Comparison] = {}

    def __getitem__(self, pair: Pair) -> Comparison:
        if pair in self._new:
            return self._new[pair]
        try:
            return Comparison.model_validate_json(self._stored[pair])
        except ValidationError as error:
            # It is made anew, in place of what cannot be read.
            raise KeyError(pair) from error

    def __setitem__(self, pair: Pair, comparison: Comparison) -> None:
        self._new[pair] = comparison

    def __delitem__(self, pair: Pair) -> None:
        self._new.pop(pair, None)
        self._stored.pop(pair, None)

    def __iter__(self) -> Iterator[Pair]:
        return iter({**self._stored, **self._new})

    def __len__(self) -> int:
        return len(set(self._stored) | set(self._new))

    def flush(self) -> None:
        """Stores what is new."""
        data = {pair: comparison.model_dump_json().encode() for pair, comparison in self._new.items()}
        if data:
            self._store.put_comparisons(data, engine=ENGINE)
