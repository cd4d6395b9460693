"""Everything that is known of a registry at one moment, and the part of it that one person may see.

Reading a registry of ten thousand versions takes a fraction of a second, so it is kept until something changes
(:meth:`~mlflow_mother.store.Store.stamp`); so is what it looks like without the registered models that somebody may
not see. A hidden model leaves no trace: its versions vanish with their edges, with what is declared or decided of
them, and with every sentence that names one.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from mlflow_mother.export import AuditRow
from mlflow_mother.service.auditing import audit_rows
from mlflow_mother.service.decisions import Standing, standing
from mlflow_mother.service.families import is_registered, tree_of, with_numbers
from mlflow_mother.store import Decision, DeclaredParent, FingerprintFacts, InferredEdge, Store, StoredVersion
from mlflow_mother.types import Edge, Evidence, ModelTree, Node

MOST_VIEWS = 8
"""How many different people's views are kept."""

MOST_FACTS = 50_000
"""How many fingerprints' facts are kept before all are read anew."""

_T = TypeVar("_T")
_ADDRESS = "models:/"


@dataclass(frozen=True, eq=False)
class Forest:
    """A registry as the store knows it.

    Attributes:
        versions: All versions by node id, opted-out ones included.
        edges: All inferred edges, without their evidence.
        declared: Declared parents by node id.
        decisions: Decisions by node id, oldest first.
    """

    versions: Mapping[str, StoredVersion]
    edges: tuple[InferredEdge, ...]
    declared: Mapping[str, tuple[DeclaredParent, ...]]
    decisions: Mapping[str, tuple[Decision, ...]]

    @classmethod
    def read(cls, store: Store, registry: str) -> Forest:
        """Reads all of a registry."""
        return cls(
            {known.ref.uri: known for known in store.versions(registry)},
            store.edges(registry, evidence=False),
            {ref.uri: said for ref, said in store.declared(registry).items()},
            {ref.uri: made for ref, made in store.decisions(registry).items()},
        )

    @cached_property
    def names(self) -> frozenset[str]:
        """The registered models that occur: whoever wants to hide some is asked about each of them."""
        held = {known.ref.name for known in self.versions.values()}
        said = {parent.parent for parents in self.declared.values() for parent in parents}
        said |= {decision.parent for made in self.decisions.values() for decision in made if decision.parent}
        return frozenset(held.union(*(names_in(text) for text in said if _ADDRESS in text)))


@dataclass(frozen=True, eq=False)
class View:
    """A forest without some registered models.

    Attributes:
        forest: The whole forest.
        hidden: Names of the models that are left out.
    """

    forest: Forest
    hidden: frozenset[str] = frozenset()
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, name: Hashable, make: Callable[[], _T]) -> _T:
        """What somebody makes of this view, kept as long as the view is.

        Args:
            name: What it is called; the same for everyone who wants the same.
            make: Makes it.
        """
        if name not in self._made:
            self._made[name] = make()
        found: _T = self._made[name]
        return found

    @cached_property
    def versions(self) -> dict[str, StoredVersion]:
        """The visible versions by node id, in the order of their registration; opted-out ones included."""
        every = self.forest.versions
        if not self.hidden:
            return dict(every)
        return {uri: known for uri, known in every.items() if known.ref.name not in self.hidden}

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """The visible analysed versions as nodes, with status, declared parents and note."""
        return {
            uri: Node(
                id=uri,
                status=known.status,
                declared_parents=tuple(said.parent for said in self.declared(uri)),
                note=(known.reason if self.may_tell(known.reason) else None) or None,
            )
            for uri, known in self.versions.items()
            if not known.ignored
        }

    @cached_property
    def tree(self) -> ModelTree:
        """All visible nodes and edges; unregistered ancestors have their lasting names."""
        visible = self.versions
        return tree_of((said.edge for said in self.forest.edges if said.subject.uri in visible), self.nodes)

    @cached_property
    def neighbours(self) -> dict[str, set[str]]:
        """The nodes beside each node that has any."""
        found: dict[str, set[str]] = defaultdict(set)
        for edge in self.tree.edges:
            found[edge.parent].add(edge.child)
            found[edge.child].add(edge.parent)
        return dict(found)

    @cached_property
    def rows(self) -> dict[str, AuditRow]:
        """The audit's row of every visible analysed version, by node id."""
        notes = {uri: node.note for uri, node in self.nodes.items() if node.note}
        return {row.uri: row for row in audit_rows(self.tree, notes, self.words)}

    @cached_property
    def words(self) -> dict[str, Standing]:
        """What people's decisions come to, by node id."""
        made = {uri: self.decisions(uri) for uri in self.forest.decisions if uri in self.versions}
        return {uri: standing(decisions) for uri, decisions in made.items() if decisions}

    @cached_property
    def bereft(self) -> frozenset[str]:
        """Unregistered ancestors some of whose heirs are hidden: what is said of their number must be, too."""
        lost: set[str] = set()
        for said in self.forest.edges:
            if said.subject.uri not in self.versions:
                lost.update(end for end in (said.parent, said.child) if not is_registered(end))
        return frozenset(lost)

    def declared(self, uri: str) -> tuple[DeclaredParent, ...]:
        """A version's declared parents."""
        return tuple(said for said in self.forest.declared.get(uri, ()) if self.may_tell(said.parent))

    def decisions(self, uri: str) -> tuple[Decision, ...]:
        """The decisions on a version, oldest first."""
        made = self.forest.decisions.get(uri, ())
        return tuple(decision for decision in made if decision.parent is None or self.may_tell(decision.parent))

    def may_tell(self, text: str) -> bool:
        """Whether a text names no hidden model; one that names an unknown model could name a hidden one."""
        if not self.hidden or _ADDRESS not in text:
            return True
        return all(
            not self.hidden.intersection(names) and not self.forest.names.isdisjoint(names) for names in _readings(text)
        )

    def told(self, edge: Edge) -> Edge:
        """An edge without the evidence that names, or counts, hidden models."""
        kept = self.told_evidence(edge.evidence)
        if edge.parent in self.bereft or edge.child in self.bereft:
            kept = tuple(reason for reason in kept if reason.kind != "siblings")
        return edge if kept == edge.evidence else edge.model_copy(update={"evidence": kept})

    def told_evidence(self, evidence: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
        """Evidence without what names hidden models."""
        return tuple(reason for reason in evidence if self.may_tell(reason.text))

    def nearest(self, starts: Iterable[str], limit: int) -> tuple[set[str], bool]:
        """The nodes of the starts' families that are nearest to them, and whether there are more.

        Args:
            starts: Node ids, the important ones first.
            limit: Most nodes; ties by id.
        """
        given = list(dict.fromkeys(starts))
        found, level = set(given[:limit]), given[:limit]
        while level:
            near = sorted({other for name in level for other in self.neighbours.get(name, ())} - found)
            level = near[: limit - len(found)]
            found.update(level)
            if len(level) < len(near):
                return found, True
        return found, len(given) > limit

    def part(self, names: Collection[str], store: Store) -> ModelTree:
        """The tree over some nodes, with evidence; unregistered ancestors are numbered.

        Args:
            names: Node ids.
            store: Where the evidence is.
        """
        inside = set(names)
        refs = [self.versions[name].ref for name in sorted(inside) if name in self.nodes]
        said = store.edges(refs[0].registry, refs) if refs else ()
        edges = (self.told(one.edge) for one in said if one.parent in inside and one.child in inside)
        return with_numbers(tree_of(edges, {ref.uri: self.nodes[ref.uri] for ref in refs}))


class Forests:
    """A registry's forest as it is now, kept until it changes.

    Args:
        store: Mother's tables.
        registry: The registry's id.
    """

    def __init__(self, store: Store, registry: str) -> None:
        self._store = store
        self._registry = registry
        self._lock = threading.Lock()
        self._stamp: Hashable = None
        self._forest: Forest | None = None
        self._views: OrderedDict[frozenset[str], View] = OrderedDict()
        self._facts: dict[str, FingerprintFacts] = {}

    def view(self, readable: Callable[[str], bool] | None = None) -> View:
        """What somebody may see now.

        Args:
            readable: Whether they may see a registered model, by its name; None for everything.
        """
        # Read before the forest: what changes in between is found again by the next caller.
        stamp = self._store.stamp(self._registry)
        with self._lock:
            if self._forest is None or stamp != self._stamp:
                self._forest = Forest.read(self._store, self._registry)
                self._stamp = stamp
                self._views.clear()
            forest = self._forest
            hidden = frozenset() if readable is None else frozenset(n for n in forest.names if not readable(n))
            view = self._views.setdefault(hidden, View(forest, hidden))
            self._views.move_to_end(hidden)
            while len(self._views) > MOST_VIEWS:
                self._views.popitem(last=False)
        return view

    def facts(self, digests: Collection[str]) -> dict[str, FingerprintFacts]:
        """What fingerprints say of the weights as a whole, by digest; kept, since weights never change."""
        unread = [digest for digest in digests if digest not in self._facts]
        if unread:
            if len(self._facts) > MOST_FACTS:
                self._facts = {}
            self._facts |= self._store.fingerprint_facts(unread)
        return {digest: self._facts[digest] for digest in digests if digest in self._facts}


def names_in(text: str) -> set[str]:
    """All registered models that addresses in a text may name."""
    return {name for names in _readings(text) for name in names}


def _readings(text: str) -> list[set[str]]:
    """For each ``models:/`` address in a text the names that it may hold: an ``@`` is part of one or ends it."""
    found = []
    for rest in text.split(_ADDRESS)[1:]:
        name = rest.partition("/")[0]
        ends = [match.start() for match in re.finditer("@", name)]
        found.append({name, *(name[:end] for end in ends)})
    return found
