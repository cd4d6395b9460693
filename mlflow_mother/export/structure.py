"""The shape of a tree before it is drawn: families, generations, and one spine parent for every node.

Drawing rests on a forest: each node hangs from one *spine* parent of the generation before; the other parents of a
merge and the undecided relations are drawn as extra links. Works for any input, also for edges that name missing
nodes (left out) and for cycles (broken at the first node in natural order).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlflow_mother.export.text import natural_key
from mlflow_mother.types import Edge, ModelTree, Node


@dataclass(frozen=True)
class Link:
    """An edge as it is drawn: ``start`` is of an earlier generation than ``end``, or of the same.

    Attributes:
        start: Id of the node at the left.
        end: Id of the node at the right.
        edge: The edge.
    """

    start: str
    end: str
    edge: Edge


@dataclass(frozen=True)
class Family:
    """Nodes that are connected with each other.

    Attributes:
        members: Ids in natural order.
        generation: Column of each node: longest way from a root, over decided edges.
        links: All edges inside the family, by child, then parent.
        spine: For each node but the heads the link it hangs from; it leads exactly one generation back.
    """

    members: tuple[str, ...]
    generation: dict[str, int]
    links: tuple[Link, ...]
    spine: dict[str, Link]

    @property
    def heads(self) -> list[str]:
        """Nodes that hang from nothing, in natural order."""
        return [member for member in self.members if member not in self.spine]

    def span(self, link: Link) -> int:
        """Number of generations that a link bridges."""
        return self.generation[link.end] - self.generation[link.start]

    def branches(self) -> dict[str, list[str]]:
        """The nodes that hang from each node, in natural order."""
        found: dict[str, list[str]] = {member: [] for member in self.members}
        for member in self.members:
            if member in self.spine:
                found[self.spine[member].start].append(member)
        return found


def families(tree: ModelTree) -> list[Family]:
    """Splits a tree into families, the largest first, then by first member in natural order."""
    ids = sorted({node.id for node in tree.nodes}, key=natural_key)
    rank = {node_id: i for i, node_id in enumerate(ids)}
    known = (e for e in tree.edges if e.parent in rank and e.child in rank and e.parent != e.child)
    edges = sorted(known, key=lambda e: (rank[e.child], rank[e.parent], e.relation.value))
    of_family: dict[str, list[Edge]] = defaultdict(list)
    groups = _connected(ids, edges)
    head_of = {member: group[0] for group in groups for member in group}
    for edge in edges:
        of_family[head_of[edge.parent]].append(edge)
    found = [_family(group, of_family[group[0]], rank) for group in groups]
    return sorted(found, key=lambda family: (-len(family.members), rank[family.members[0]]))


def nodes_by_id(tree: ModelTree) -> dict[str, Node]:
    """All nodes by id."""
    return {node.id: node for node in tree.nodes}


def walk(heads: Iterable[str], branches: dict[str, list[str]]) -> Iterator[tuple[str, bool]]:
    """Depth-first walk without recursion: yields each node on entering (True) and on leaving (False)."""
    stack = [(head, True) for head in heads][::-1]
    while stack:
        node, entering = stack.pop()
        yield node, entering
        if entering:
            stack.append((node, False))
            stack.extend((child, True) for child in reversed(branches[node]))


def _family(members: list[str], edges: list[Edge], rank: dict[str, int]) -> Family:
    generation = _generations(members, edges, rank)
    links = tuple(
        Link(e.parent, e.child, e) if generation[e.parent] <= generation[e.child] else Link(e.child, e.parent, e)
        for e in edges
    )
    spine: dict[str, Link] = {}
    for link in sorted(links, key=lambda k: (*_preference(k.edge), rank[k.start])):
        if generation[link.end] - generation[link.start] == 1:
            spine.setdefault(link.end, link)
    return Family(tuple(members), generation, links, spine)


def _preference(edge: Edge) -> tuple[bool, float, float]:
    return (edge.direction == "undecided", -edge.weight, -edge.probability)


def _generations(members: list[str], edges: list[Edge], rank: dict[str, int]) -> dict[str, int]:
    """Longest-path layers over decided edges; groups joined only by undecided edges are put one beside the other."""
    decided = [e for e in edges if e.direction == "decided"]
    undecided = sorted((e for e in edges if e.direction == "undecided"), key=lambda e: -e.probability)
    generation = _longest_paths(members, decided, rank)
    groups = _connected(members, decided)
    group_of = {member: group for group in groups for member in group}
    neighbours: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for edge in undecided:
        neighbours[group_of[edge.parent][0]].append((edge.parent, edge.child))
        neighbours[group_of[edge.child][0]].append((edge.child, edge.parent))
    first = max(groups, key=lambda group: (len(group), -rank[group[0]]))
    placed, queue = {first[0]}, deque([first])
    while queue:
        group = queue.popleft()
        for here, there in neighbours[group[0]]:
            other = group_of[there]
            if other[0] in placed:
                continue
            shift = generation[here] + 1 - generation[there]
            for member in other:
                generation[member] += shift
            placed.add(other[0])
            queue.append(other)
    lowest = min(generation.values())
    return {member: generation[member] - lowest for member in members}


def _longest_paths(members: list[str], edges: list[Edge], rank: dict[str, int]) -> dict[str, int]:
    children: dict[str, list[str]] = defaultdict(list)
    waiting = dict.fromkeys(members, 0)
    for edge in edges:
        children[edge.parent].append(edge.child)
        waiting[edge.child] += 1
    generation = dict.fromkeys(members, 0)
    ready = deque(member for member in members if waiting[member] == 0)
    done: set[str] = set()
    stuck = iter(members)
    while len(done) < len(members):
        # Nothing ready but nodes left: a cycle, which is broken at its first node.
        node = ready.popleft() if ready else next(member for member in stuck if member not in done)
        if node in done:
            continue
        done.add(node)
        for child in children[node]:
            if child in done:
                continue
            generation[child] = max(generation[child], generation[node] + 1)
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    return generation


def _connected(ids: list[str], edges: Iterable[Edge]) -> list[list[str]]:
    """Connected components, members and components in the order of ``ids``."""
    adjacent: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        adjacent[edge.parent].append(edge.child)
        adjacent[edge.child].append(edge.parent)
    component: dict[str, str] = {}
    for start in ids:
        queue = [] if start in component else [start]
        while queue:
            node = queue.pop()
            if node not in component:
                component[node] = start
                queue.extend(adjacent[node])
    groups: dict[str, list[str]] = defaultdict(list)
    for node in ids:
        groups[component[node]].append(node)
    return list(groups.values())
