"""Trees from edges: names for ancestors that nobody registered, families, and the part of one that concerns a model.

The engine numbers unregistered ancestors anew in each run. Between runs they are told apart by their registered heirs
instead (:func:`with_lasting_names`), so that what two versions' inferences say of one ancestor fits together; people
see numbers again (:func:`with_numbers`). Pure functions.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from mlflow_mother import __version__
from mlflow_mother.fingerprint.record import SPEC
from mlflow_mother.types import Edge, Lineage, ModelTree, Node

MAX_LINEAGE = 300
"""Most nodes of one lineage: the nearest to its subject."""

SAME_PROBABILITY = 0.05
"""Difference in probability (or in a merge's weight) from which on an edge counts as changed."""

_UNREGISTERED = "unregistered:"

_Tree = TypeVar("_Tree", bound=ModelTree)
Key = tuple[str, str]


def is_registered(node_id: str) -> bool:
    """Whether a node is a registered version, not an unregistered ancestor."""
    return not node_id.startswith(_UNREGISTERED)


def tree_of(edges: Iterable[Edge], nodes: Mapping[str, Node]) -> ModelTree:
    """The tree of these nodes: sorted, each edge once, edges that lead out of the nodes left out.

    Args:
        edges: Edges. An unregistered end is part of the tree without being in ``nodes``.
        nodes: Registered nodes by id.
    """
    kept: dict[Key, Edge] = {}
    for edge in edges:
        if all(end in nodes or not is_registered(end) for end in (edge.parent, edge.child)):
            kept.setdefault((edge.parent, edge.child), edge)
    kept = _without_loose_ends(kept)
    ancestors = {end for key in kept for end in key if not is_registered(end)}
    every = {**nodes, **{name: Node(id=name, kind="unregistered") for name in ancestors}}
    children = {edge.child for edge in kept.values() if edge.direction == "decided"}
    return ModelTree(
        nodes=tuple(every[name] for name in sorted(every, key=_node_order)),
        roots=tuple(sorted((name for name in every if name not in children), key=_node_order)),
        edges=tuple(sorted(kept.values(), key=lambda edge: (edge.child, edge.parent))),
    )


def with_lasting_names(tree: ModelTree) -> ModelTree:
    """Names unregistered ancestors after their registered heirs instead of by number."""
    below = heirs(tree)
    names: dict[str, str] = {}
    used: Counter[str] = Counter()
    for old in sorted(below, key=lambda name: (below[name], name)):
        label = hashlib.sha256("\n".join(below[old]).encode()).hexdigest()[:12]
        used[label] += 1
        names[old] = f"{_UNREGISTERED}{label}" + (f".{used[label]}" if used[label] > 1 else "")
    return renamed(tree, names)


def with_numbers(tree: _Tree) -> _Tree:
    """Numbers unregistered ancestors from 1, in the order of their first heirs."""
    below = heirs(tree)
    order = sorted(below, key=lambda name: (below[name], name))
    return renamed(tree, {name: f"{_UNREGISTERED}{number}" for number, name in enumerate(order, 1)})


def renamed(tree: _Tree, names: Mapping[str, str]) -> _Tree:
    """The tree with some nodes' ids replaced, sorted again."""

    def new(name: str) -> str:
        return names.get(name, name)

    edges = [
        edge.model_copy(update=dict(zip(("parent", "child"), _ends(edge, new), strict=True))) for edge in tree.edges
    ]
    return tree.model_copy(
        update={
            "nodes": tuple(
                sorted(
                    (node.model_copy(update={"id": new(node.id)}) for node in tree.nodes),
                    key=lambda node: _node_order(node.id),
                )
            ),
            "roots": tuple(sorted((new(name) for name in tree.roots), key=_node_order)),
            "edges": tuple(sorted(edges, key=lambda edge: (edge.child, edge.parent))),
        }
    )


def component(edges: Iterable[Edge], start: str, limit: int | None = None) -> set[str]:
    """The nodes that edges of any kind connect with ``start``, itself included.

    Args:
        edges: Edges.
        start: Where to begin.
        limit: Keep only this many, the nearest ones; ties by id.
    """
    neighbours: dict[str, set[str]] = defaultdict(set)
    for edge in edges:
        neighbours[edge.parent].add(edge.child)
        neighbours[edge.child].add(edge.parent)
    found, level = {start}, [start]
    while level and (limit is None or len(found) < limit):
        near = sorted({other for name in level for other in neighbours[name]} - found)
        level = near if limit is None else near[: limit - len(found)]
        found.update(level)
    return found


def lineage_of(subject: str, digest: str, edges: Iterable[Edge], nodes: Mapping[str, Node]) -> Lineage:
    """The part of a forest that concerns one model: at most :data:`MAX_LINEAGE` nodes of its family.

    Args:
        subject: Its node id.
        digest: Digest of its weights.
        edges: The forest's edges.
        nodes: Its registered nodes by id; the subject is one of them.
    """
    edges = list(edges)
    near = component(edges, subject, MAX_LINEAGE)
    tree = tree_of(
        (edge for edge in edges if edge.parent in near and edge.child in near),
        {name: nodes[name] for name in near if name in nodes},
    )
    return Lineage(
        **{name: getattr(tree, name) for name in ModelTree.model_fields},
        subject=subject,
        subject_digest=digest,
        spec=SPEC,
        mother_version=__version__,
    )


def changed(before: Iterable[Edge], after: Iterable[Edge]) -> set[str]:
    """The nodes whose own edges say something else than before, and those that have another oldest ancestor.

    Probabilities drift a little whenever a relative comes; less than :data:`SAME_PROBABILITY` is no change.
    """
    old = {(edge.parent, edge.child): edge for edge in before}
    new = {(edge.parent, edge.child): edge for edge in after}
    differing = [key for key in {*old, *new} if not _agree(old.get(key), new.get(key))]
    was, now = _oldest(old.values()), _oldest(new.values())
    return {end for key in differing for end in key} | {node for node in now if node in was and was[node] != now[node]}


def _oldest(edges: Iterable[Edge]) -> dict[str, str | None]:
    """Each child's oldest registered ancestor along the heaviest decided edges, itself where there is none above."""
    above: dict[str, Edge] = {}
    for edge in edges:
        if edge.direction == "decided":
            above[edge.child] = max(edge, above.get(edge.child, edge), key=lambda one: one.precedence)
    found: dict[str, str | None] = {}
    for start in above:
        path: dict[str, None] = {}
        node = start
        while node in above and node not in found and node not in path:
            path[node] = None
            node = above[node].parent
        oldest = found.get(node, node if is_registered(node) else None)
        for below in reversed(path):
            oldest = oldest or (below if is_registered(below) else None)
            found[below] = oldest
    return found


def _agree(old: Edge | None, new: Edge | None) -> bool:
    if old is None or new is None:
        return False
    said = [(edge.relation, edge.direction, edge.rank) for edge in (old, new)]
    drift = max(abs(old.probability - new.probability), abs(old.weight - new.weight))
    return said[0] == said[1] and drift < SAME_PROBABILITY


def heritage(edges: Collection[Edge], node: str) -> list[Edge]:
    """The edges that are a node's own: into it, on over unregistered ancestors, and its undecided ones."""
    into: dict[str, list[Edge]] = defaultdict(list)
    undecided = []
    for edge in edges:
        if edge.direction == "decided":
            into[edge.child].append(edge)
        elif node in (edge.parent, edge.child):
            undecided.append(edge)
    found, level, met = list(undecided), [node], {node}
    while level:
        above = [edge for name in level for edge in into[name]]
        found += above
        level = sorted({edge.parent for edge in above if not is_registered(edge.parent)} - met)
        met.update(level)
    return found


def heirs(tree: ModelTree) -> dict[str, list[str]]:
    """The registered nodes below each unregistered ancestor, with nobody registered in between, sorted."""
    below: dict[str, set[str]] = defaultdict(set)
    for edge in tree.edges:
        below[edge.parent].add(edge.child)
        if edge.direction == "undecided":
            # Its two ends are sorted by id, so that either may be the ancestor.
            below[edge.child].add(edge.parent)
    found = {}
    for node in tree.nodes:
        if node.kind == "unregistered":
            own: set[str] = set()
            level, met = [node.id], {node.id}
            while level:
                near = {name for ancestor in level for name in below[ancestor]}
                own |= {name for name in near if is_registered(name)}
                level = [name for name in near if not is_registered(name) and name not in met]
                met.update(level)
            found[node.id] = sorted(own)
    return found


def _without_loose_ends(edges: dict[Key, Edge]) -> dict[Key, Edge]:
    """Drops unregistered ancestors that connect fewer than two nodes: they would explain nothing."""
    while True:
        degree = Counter(end for key in edges for end in key if not is_registered(end))
        loose = {end for end, count in degree.items() if count < 2}
        if not loose:
            return edges
        edges = {key: edge for key, edge in edges.items() if not loose.intersection(key)}


def _ends(edge: Edge, new: Callable[[str], str]) -> tuple[str, str]:
    parent, child = new(edge.parent), new(edge.child)
    return (child, parent) if edge.direction == "undecided" and child < parent else (parent, child)


def _node_order(name: str) -> tuple[bool, int, str]:
    number = name.removeprefix(_UNREGISTERED)
    return (not is_registered(name), int(number) if not is_registered(name) and number.isdigit() else 0, name)
