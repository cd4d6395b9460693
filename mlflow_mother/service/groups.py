"""A registry's families in numbers: what the page about the whole registry lists."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from mlflow_mother.export.text import natural_key, split_uri
from mlflow_mother.service.families import heirs, is_registered
from mlflow_mother.service.forest import View
from mlflow_mother.types import Edge, Relation, Status, Verdict


@dataclass(frozen=True, slots=True)
class Group:
    """A family, or a version without relatives.

    Attributes:
        root: The registered version that it descends from, or the oldest of several; its lasting name as well.
        members: Its registered versions.
        models: Their registered models, in natural order.
        relations: How many edges there are of each relation.
        verdicts: How many members there are of each verdict.
        statuses: How many members there are of each status.
        lowest: Least probability of an edge; None without edges.
        newest: Latest registration, in unix seconds; None when unknown.
    """

    root: str
    members: tuple[str, ...]
    models: tuple[str, ...]
    relations: Counter[Relation]
    verdicts: Counter[Verdict]
    statuses: Counter[Status]
    lowest: float | None
    newest: float | None

    @property
    def title(self) -> str:
        """Its root for people."""
        name, version = split_uri(self.root)
        return f"{name} v{version}"


def groups_of(view: View) -> tuple[Group, ...]:
    """All families of a view and all versions without relatives, in no particular order."""
    return tuple(_group(view, *found) for found in _components(view))


def numbers_of(view: View) -> dict[str, str]:
    """Unregistered ancestors' lasting names to their numbers within their families."""
    loose = heirs(view.tree)
    numbers = {}
    if loose:
        for members, _ in _components(view):
            order = sorted((name for name in members if name in loose), key=lambda name: (loose[name], name))
            numbers.update({name: f"unregistered:{number}" for number, name in enumerate(order, 1)})
    return numbers


def _components(view: View) -> list[tuple[list[str], list[Edge]]]:
    """The members of each family and its edges."""
    family: dict[str, int] = {}
    members: list[list[str]] = []
    for start in view.nodes:
        if start in family:
            continue
        found, family[start] = [start], len(members)
        for name in found:
            for other in view.neighbours.get(name, ()):
                if other not in family:
                    family[other] = len(members)
                    found.append(other)
        members.append(found)
    edges: dict[int, list[Edge]] = defaultdict(list)
    for edge in view.tree.edges:
        edges[family[edge.child]].append(edge)
    return [(found, edges[number]) for number, found in enumerate(members)]


def _group(view: View, nodes: Collection[str], edges: Collection[Edge]) -> Group:
    versions = view.versions
    members = tuple(name for name in nodes if is_registered(name))
    born = {uri: at for uri in members if (at := versions[uri].registered_at) is not None}
    descended = {edge.child for edge in edges if edge.direction == "decided"}
    tops = [uri for uri in members if uri not in descended] or members
    root = tops[0] if len(tops) == 1 else min(tops, key=lambda uri: (born.get(uri, 0.0), natural_key(uri)))
    return Group(
        root=root,
        members=members,
        models=tuple(sorted({versions[uri].ref.name for uri in members}, key=natural_key)),
        relations=Counter(edge.relation for edge in edges),
        verdicts=Counter(view.rows[uri].verdict for uri in members),
        statuses=Counter(versions[uri].status for uri in members),
        lowest=min((edge.probability for edge in edges), default=None),
        newest=max(born.values(), default=None),
    )
