"""What one person may see of a forest, as families.

A hidden model leaves no trace: its versions vanish with their edges, with what is declared or decided of them, with
every sentence that names one, and with every count that includes one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_mother.export import AuditRow
from mlflow_mother.export.text import natural_key, split_uri
from mlflow_mother.service.addresses import may_tell, versions_in
from mlflow_mother.service.auditing import audit_rows
from mlflow_mother.service.decisions import Standing, standing
from mlflow_mother.service.families import heirs, is_registered, tree_of, with_numbers
from mlflow_mother.store import Decision, DeclaredParent, Store, StoredVersion
from mlflow_mother.types import Edge, Evidence, ModelTree, Node, Relation, Status, Verdict

if TYPE_CHECKING:
    from mlflow_mother.service.forest import Forest

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Family:
    """Versions that are connected by edges, or one without relatives.

    Attributes:
        tree: Its nodes and edges; unregistered ancestors have their lasting names.
        versions: Its registered versions by node id.
        rows: Its part of the audit, by node id.
    """

    tree: ModelTree
    versions: Mapping[str, StoredVersion]
    rows: Mapping[str, AuditRow]
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, name: Hashable, make: Callable[[], _T]) -> _T:
        """What somebody makes of this family, kept as long as the family stays as it is.

        Args:
            name: What it is called; the same for everyone who wants the same.
            make: Makes it.
        """
        if name not in self._made:
            self._made[name] = make()
        found: _T = self._made[name]
        return found

    @cached_property
    def neighbours(self) -> dict[str, set[str]]:
        """The nodes beside each node that has any."""
        found: dict[str, set[str]] = defaultdict(set)
        for edge in self.tree.edges:
            found[edge.parent].add(edge.child)
            found[edge.child].add(edge.parent)
        return dict(found)

    @cached_property
    def shares(self) -> dict[tuple[str, str], float]:
        """The weights of its edges, by parent and child."""
        return {(edge.parent, edge.child): edge.weight for edge in self.tree.edges}

    @cached_property
    def numbers(self) -> dict[str, str]:
        """Unregistered ancestors' lasting names to their numbers."""
        loose = heirs(self.tree)
        order = sorted(loose, key=lambda name: (loose[name], name))
        return {name: f"unregistered:{number}" for number, name in enumerate(order, 1)}

    @cached_property
    def root(self) -> str:
        """The registered version that all descend from, or the oldest of several such."""
        tops = [uri for uri in self.tree.roots if is_registered(uri)] or list(self.versions)
        return min(tops, key=lambda uri: (self.versions[uri].registered_at or 0.0, natural_key(uri)))

    @property
    def title(self) -> str:
        """The root for people."""
        name, version = split_uri(self.root)
        return f"{name} v{version}"

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Its registered models, in natural order."""
        return tuple(sorted({known.ref.name for known in self.versions.values()}, key=natural_key))

    @cached_property
    def relations(self) -> Counter[Relation]:
        """How many edges there are of each relation."""
        return Counter(edge.relation for edge in self.tree.edges)

    @cached_property
    def verdicts(self) -> Counter[Verdict]:
        """How many versions there are of each verdict."""
        return Counter(row.verdict for row in self.rows.values())

    @cached_property
    def statuses(self) -> Counter[Status]:
        """How many versions there are of each status."""
        return Counter(known.status for known in self.versions.values())

    @cached_property
    def lowest(self) -> float | None:
        """Least probability of an edge; None without edges."""
        return min((edge.probability for edge in self.tree.edges), default=None)

    @cached_property
    def newest(self) -> float | None:
        """Latest registration, in unix seconds; None when unknown."""
        times = (known.registered_at for known in self.versions.values())
        return max((at for at in times if at is not None), default=None)


@dataclass(frozen=True, eq=False)
class View:
    """A forest without some registered models.

    Attributes:
        forest: The whole forest.
        hidden: Names of the models that are left out; None for who may see every model.
        gone: Versions of other models that are left out as well: the registry does not hold them any more.
        families: All families, and all versions without relatives, by each of their nodes.
    """

    forest: Forest
    hidden: frozenset[str] | None
    gone: frozenset[str]
    families: Mapping[str, Family]

    @classmethod
    def of(cls, forest: Forest, hidden: frozenset[str] | None = None, gone: frozenset[str] = frozenset()) -> View:
        """The view of a forest."""
        bare = cls(forest, hidden, gone, {})
        return cls(forest, hidden, gone, bare._grouped(forest.versions))

    def is_of(self, hidden: frozenset[str] | None) -> bool:
        """Whether it is the view of somebody from whom these models are hidden, some of which may have come later."""
        if hidden is None or self.hidden is None:
            return hidden is self.hidden
        return self.hidden == hidden & self.forest.names

    def updated(
        self, forest: Forest, hidden: frozenset[str] | None, gone: frozenset[str], touched: Collection[str]
    ) -> View:
        """The view of a later forest.

        Args:
            forest: It.
            hidden: Models that are left out of it: the same as here, and perhaps some that came later.
            gone: Versions that are left out of it.
            touched: The versions that are different in it.
        """
        bare = View(forest, hidden, gone, {})
        # Families change that have such a version, or that one's new edges lead to.
        near = {end for uri in touched for edge in forest.edges.get(uri, ()) for end in (edge.parent, edge.child)}
        ends = near.union(touched)
        stale = {id(family): family for uri in ends if (family := self.families.get(uri))}
        again = {uri for family in stale.values() for uri in family.versions}.union(filter(forest.versions.get, ends))
        kept = {uri: family for uri, family in self.families.items() if id(family) not in stale}
        return View(forest, hidden, gone, {**kept, **bare._grouped(again)})

    @cached_property
    def groups(self) -> tuple[Family, ...]:
        """All families and all versions without relatives, each once."""
        return tuple({id(family): family for family in self.families.values()}.values())

    def version(self, uri: str) -> StoredVersion | None:
        """A visible version by its node id, though it opted out; None for any other."""
        known = self.forest.versions.get(uri)
        if known is None or uri in self.gone or (self.hidden is not None and known.ref.name in self.hidden):
            return None
        return known

    def row(self, uri: str) -> AuditRow | None:
        """A visible version's row of the audit; None when it has none."""
        family = self.families.get(uri)
        return family.rows.get(uri) if family else None

    def declared(self, uri: str) -> tuple[DeclaredParent, ...]:
        """A version's declared parents."""
        if self.version(uri) is None:
            return ()
        return tuple(said for said in self.forest.declared.get(uri, ()) if self.may_tell(said.parent))

    def decisions(self, uri: str) -> tuple[Decision, ...]:
        """The decisions on a version, oldest first, without remarks that name hidden models."""
        if self.version(uri) is None:
            return ()
        made = self.forest.decisions.get(uri, ())
        told = (decision for decision in made if decision.parent is None or self.may_tell(decision.parent))
        return tuple(decision if self.may_tell(decision.note) else replace(decision, note="") for decision in told)

    def words(self, uris: Iterable[str] | None = None) -> dict[str, Standing]:
        """What people's decisions on visible versions come to, by node id.

        Args:
            uris: Only on these versions.
        """
        asked = self.forest.decisions if uris is None else [uri for uri in uris if uri in self.forest.decisions]
        made = {uri: self.decisions(uri) for uri in asked if self.version(uri)}
        return {uri: standing(decisions) for uri, decisions in made.items() if decisions}

    def may_tell(self, text: str) -> bool:
        """Whether a text names no hidden model, and no version that is gone."""
        told = self.hidden is None or may_tell(text, self.hidden, self.forest.names)
        return told and (not self.gone or self.gone.isdisjoint(versions_in(text)))

    def reason(self, known: StoredVersion) -> str:
        """Why a version has its status; empty when that must not be told."""
        return known.reason if self.may_tell(known.reason) else ""

    def told(self, edge: Edge, bereft: Collection[str] = ()) -> Edge:
        """An edge without the evidence that names, or counts, hidden models.

        Args:
            edge: The edge.
            bereft: Unregistered ancestors some of whose heirs are hidden.
        """
        kept = self.told_evidence(edge.evidence)
        if edge.parent in bereft or edge.child in bereft:
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
        given = [uri for uri in dict.fromkeys(starts) if uri in self.families]
        found, level = set(given[:limit]), given[:limit]
        while level:
            beside = (self.families[name].neighbours.get(name, set()) for name in level)
            near = sorted(set[str]().union(*beside) - found)
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
        nodes = {uri: self._node(known) for uri in names if (known := self.version(uri)) and not known.ignored}
        refs = [self.forest.versions[uri].ref for uri in sorted(nodes)]
        said = store.edges(refs[0].registry, refs) if refs else ()
        inside = [self._as_shown(one.edge) for one in said if one.parent in names and one.child in names]
        bereft = self._bereft() if any(not is_registered(name) for name in names) else frozenset()
        return with_numbers(tree_of((self.told(edge, bereft) for edge in inside), nodes))

    def _grouped(self, uris: Iterable[str]) -> dict[str, Family]:
        """Families of some versions, as if there were no others."""
        known = {uri: version for uri in uris if (version := self.version(uri)) and not version.ignored}
        nodes = {uri: self._node(version) for uri, version in known.items()}
        said = [edge for uri in sorted(nodes) for edge in self.forest.edges.get(uri, ())]
        tree = self._without_lone_shares(tree_of(said, nodes), said)
        found: dict[str, Family] = {}
        for part in _components(tree):
            members = {node.id: known[node.id] for node in part.nodes if node.id in known}
            family = Family(part, members, self._rows(part, members))
            found.update(dict.fromkeys((node.id for node in part.nodes), family))
        return found

    def _rows(self, tree: ModelTree, members: Mapping[str, StoredVersion]) -> dict[str, AuditRow]:
        notes = {uri: reason for uri, known in members.items() if (reason := self.reason(known))}
        return {row.uri: row for row in audit_rows(tree, notes, self.words(members), self._is_checkable)}

    def _is_checkable(self, uri: str) -> bool:
        known = self.version(uri)
        return known is not None and not known.ignored

    def _node(self, known: StoredVersion) -> Node:
        uri = known.ref.uri
        return Node(
            id=uri,
            status=known.status,
            declared_parents=tuple(said.parent for said in self.declared(uri)),
            note=self.reason(known) or None,
        )

    def _without_lone_shares(self, tree: ModelTree, said: Iterable[Edge]) -> ModelTree:
        """A tree without the shares in merges that have parents beside the shown ones: they tell of the others."""
        if self.hidden is None:
            return tree
        shown = {(edge.parent, edge.child) for edge in tree.edges}
        lone = {e.child for e in said if e.direction == "decided" and (e.parent, e.child) not in shown}
        if not lone:
            return tree
        edges = (edge.model_copy(update={"weight": 1.0}) if edge.child in lone else edge for edge in tree.edges)
        return tree.model_copy(update={"edges": tuple(edges)})

    def _as_shown(self, edge: Edge) -> Edge:
        """An edge with the share that its family's tree gives it."""
        if self.hidden is None:
            return edge
        family = self.families.get(edge.child)
        share = family.shares.get((edge.parent, edge.child), 1.0) if family else 1.0
        return edge if share == edge.weight else edge.model_copy(update={"weight": share})

    def _bereft(self) -> frozenset[str]:
        if self.hidden is None:
            return frozenset()
        gone = [edges for uri, edges in self.forest.edges.items() if self.version(uri) is None]
        ends = {end for edges in gone for edge in edges for end in (edge.parent, edge.child)}
        return frozenset(end for end in ends if not is_registered(end))


def _components(tree: ModelTree) -> list[ModelTree]:
    """A tree's connected parts."""
    beside: dict[str, list[str]] = defaultdict(list)
    for edge in tree.edges:
        beside[edge.parent].append(edge.child)
        beside[edge.child].append(edge.parent)
    part_of: dict[str, int] = {}
    parts = 0
    for node in tree.nodes:
        if node.id not in part_of:
            part_of[node.id] = parts
            found = [node.id]
            for name in found:
                for other in beside.get(name, ()):
                    if other not in part_of:
                        part_of[other] = parts
                        found.append(other)
            parts += 1
    nodes: list[list[Node]] = [[] for _ in range(parts)]
    roots: list[list[str]] = [[] for _ in range(parts)]
    edges: list[list[Edge]] = [[] for _ in range(parts)]
    for node in tree.nodes:
        nodes[part_of[node.id]].append(node)
    for root in tree.roots:
        roots[part_of[root]].append(root)
    for edge in tree.edges:
        edges[part_of[edge.child]].append(edge)
    return [
        ModelTree(nodes=tuple(some), roots=tuple(tops), edges=tuple(lines))
        for some, tops, lines in zip(nodes, roots, edges, strict=True)
    ]
