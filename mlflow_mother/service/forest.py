"""Everything that is known of a registry at one moment, kept in memory and brought up to date by what has changed.

Reading a registry of ten thousand versions takes about a second, and during a training run something changes with
every request. So a :class:`Forest` is made from the one before it and the versions that differ, and the same holds
for what each person may see of it (:mod:`~mlflow_mother.service.view`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

from mlflow_mother.service.addresses import ADDRESS, names_in
from mlflow_mother.service.families import is_registered
from mlflow_mother.service.garbage import uncollected
from mlflow_mother.service.view import View
from mlflow_mother.store import Decision, DeclaredParent, FingerprintFacts, Stamp, Store, StoredVersion
from mlflow_mother.types import Edge

MOST_VIEWS = 8
"""How many different people's views are kept."""

MOST_FACTS = 50_000
"""How many fingerprints' facts are kept before all are read anew."""


@dataclass(frozen=True, eq=False)
class Forest:
    """A registry as the store knows it.

    Attributes:
        stamp: The state that it was read in.
        versions: All versions by node id, opted-out ones included.
        edges: What each version's inference says, without evidence, by node id.
        declared: Declared parents by node id.
        decisions: Decisions by node id, oldest first.
    """

    stamp: Stamp
    versions: Mapping[str, StoredVersion]
    edges: Mapping[str, tuple[Edge, ...]]
    declared: Mapping[str, tuple[DeclaredParent, ...]]
    decisions: Mapping[str, tuple[Decision, ...]]

    @classmethod
    def read(cls, store: Store, stamp: Stamp) -> Forest:
        """Reads all of a registry."""
        with uncollected():
            known = {key: stamp.version(key) for key in stamp.rows}
            said = store.edges_by_version(stamp.registry)
            return cls(
                stamp,
                {version.ref.uri: version for version in known.values()},
                {known[key].ref.uri: edges for key, edges in said.items() if key in known},
                {ref.uri: parents for ref, parents in store.declared(stamp.registry).items()},
                {ref.uri: made for ref, made in store.decisions(stamp.registry).items()},
            )

    def updated(self, store: Store, stamp: Stamp) -> tuple[Forest, set[str]] | None:
        """The forest at a later state, and the versions that are different in it; None when it must be read anew."""
        keys = stamp.changed(self.stamp)
        if keys is None:
            return None
        known = {key: stamp.version(key) for key in keys}
        said = store.edges_by_version(stamp.registry, keys)
        declared = store.declared(stamp.registry, [version.ref for version in known.values()])
        versions, edges, parents = dict(self.versions), dict(self.edges), dict(self.declared)
        for key, version in known.items():
            uri = version.ref.uri
            versions[uri], edges[uri], parents[uri] = version, said.get(key, ()), declared.get(version.ref, ())
        decisions = self.decisions
        touched = {version.ref.uri for version in known.values()}
        if stamp.decided != self.stamp.decided:
            decisions = {ref.uri: made for ref, made in store.decisions(stamp.registry).items()}
            touched |= {uri for uri, made in decisions.items() if made != self.decisions.get(uri)}
        forest = Forest(stamp, versions, edges, parents, decisions)
        ends = (end for uri in touched for edge in edges.get(uri, ()) for end in (edge.parent, edge.child))
        # An unregistered ancestor of one version only is not shown; a second heir brings it, and the first, back.
        ancestors = {end for end in ends if not is_registered(end)}
        return forest, touched | forest._concerned(self._appeared(known.values()) | ancestors)

    def _appeared(self, known: Iterable[StoredVersion]) -> set[str]:
        """Those of some later versions that were not here, or whose opting out is different."""
        pairs = ((version, self.versions.get(version.ref.uri)) for version in known)
        return {new.ref.uri for new, old in pairs if old is None or old.ignored != new.ignored}

    def _concerned(self, nodes: AbstractSet[str]) -> set[str]:
        """The versions of which something is declared or inferred that names one of these nodes."""
        if not nodes:
            return set()
        inferred = {
            uri
            for uri, edges in self.edges.items()
            if any(edge.parent in nodes or edge.child in nodes for edge in edges)
        }
        declared = {uri for uri, said in self.declared.items() if any(parent.parent in nodes for parent in said)}
        return inferred | declared

    def naming(self, models: AbstractSet[str]) -> set[str]:
        """The versions of which something is said, by anybody, that may name one of these registered models."""
        if not models:
            return set()

        def named(text: str | None) -> bool:
            return text is not None and ADDRESS in text and not models.isdisjoint(names_in(text))

        found = {uri for uri, known in self.versions.items() if named(known.reason)}
        found |= {uri for uri, said in self.declared.items() if any(named(parent.parent) for parent in said)}
        return found | {
            uri for uri, made in self.decisions.items() if any(named(one.parent) or named(one.note) for one in made)
        }

    def without(self, gone: AbstractSet[str]) -> set[str]:
        """The versions that look different when these are there and when they are not; they themselves included."""
        ends = (end for uri in gone for edge in self.edges.get(uri, ()) for end in (edge.parent, edge.child))
        ancestors = {end for end in ends if not is_registered(end)}
        models = {known.ref.name for uri in gone if (known := self.versions.get(uri))}
        return {*gone, *self._concerned({*gone, *ancestors}), *self.naming(models)}

    @cached_property
    def names(self) -> frozenset[str]:
        """The registered models that occur: whoever wants to hide some is asked about each of them."""
        held = {known.ref.name for known in self.versions.values()}
        said = {parent.parent for parents in self.declared.values() for parent in parents}
        said |= {decision.parent for made in self.decisions.values() for decision in made if decision.parent}
        return frozenset(held.union(*map(names_in, said)))


class Forests:
    """A registry's forest as it is now, and people's views of it; for any number of threads.

    Args:
        store: Mother's tables.
        registry: The registry's id.
    """

    def __init__(self, store: Store, registry: str) -> None:
        self._store = store
        self._registry = registry
        self._lock = threading.Lock()
        self._forest: Forest | None = None
        self._views: list[tuple[View, set[str]]] = []
        self._facts: dict[str, FingerprintFacts] = {}

    def view(
        self, readable: Callable[[str], bool] | None = None, held: Mapping[str, Mapping[str, int]] | None = None
    ) -> View:
        """What somebody may see now.

        Args:
            readable: Whether they may see a registered model, by its name; None for everything.
            held: What the registry holds, as :func:`~mlflow_mother.registry.held.held_versions` says. They see nothing
                else: neither other models, whatever ``readable`` says, nor a version that another has replaced.
        """
        with self._lock:
            # Read before everything else: what changes in between is found again by the next caller.
            forest = self._now(self._store.stamp(self._registry))
            if readable is None:
                return self._view(forest, None, frozenset())
            hidden = {name for name in forest.names if not readable(name)}
            if held is None:
                return self._view(forest, frozenset(hidden), frozenset())
            hidden |= forest.names - held.keys()
            gone = (
                uri for uri, known in forest.versions.items() if known.ref.name in held and not _is_held(known, held)
            )
            return self._view(forest, frozenset(hidden), frozenset(gone))

    def facts(self, digests: Collection[str]) -> dict[str, FingerprintFacts]:
        """What fingerprints say of the weights as a whole, by digest; kept, since weights never change."""
        unread = [digest for digest in digests if digest not in self._facts]
        if unread:
            if len(self._facts) > MOST_FACTS:
                self._facts = {}
            self._facts |= self._store.fingerprint_facts(unread)
        return {digest: self._facts[digest] for digest in digests if digest in self._facts}

    def _now(self, stamp: Stamp) -> Forest:
        if self._forest is not None and stamp == self._forest.stamp:
            return self._forest
        updated = self._forest.updated(self._store, stamp) if self._forest else None
        if updated is None:
            self._forest, self._views = Forest.read(self._store, stamp), []
        else:
            forest, touched = updated
            if self._forest and any(view.hidden is not None for view, _ in self._views):
                # Names that are new may be hidden, also in what was said before they came.
                touched |= forest.naming(forest.names - self._forest.names)
            for _, outdated in self._views:
                outdated |= touched
            self._forest = forest
        return self._forest

    def _view(self, forest: Forest, hidden: frozenset[str] | None, gone: frozenset[str]) -> View:
        for place, (view, outdated) in enumerate(self._views):
            # The same person's, although there may be more that is hidden from them by now.
            if view.is_of(hidden):
                if view.forest is not forest or view.gone != gone:
                    view = view.updated(forest, hidden, gone, outdated | forest.without(view.gone ^ gone))
                del self._views[place]
                break
        else:
            with uncollected():
                view = View.of(forest, hidden, gone)
        self._views = [(view, set()), *self._views[: MOST_VIEWS - 1]]
        return view


def _is_held(known: StoredVersion, held: Mapping[str, Mapping[str, int]]) -> bool:
    """Whether the registry holds this version, and not another that was registered under its name and number."""
    at = known.registered_at
    return at is not None and held[known.ref.name].get(known.ref.version) == round(1000 * at)
