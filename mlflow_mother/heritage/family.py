"""One family of related models: from pairwise evidence to its edges and its unregistered ancestors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import networkx as nx
import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.certificates import PROOF
from mlflow_mother.heritage.comparison import Comparison, ComparisonTable
from mlflow_mother.heritage.merges import Merge, find_merge
from mlflow_mother.heritage.relation import classify
from mlflow_mother.heritage.topology import best_forest, edge_probabilities
from mlflow_mother.types import Edge, Evidence, Node, Relation

Floats = npt.NDArray[np.float64]

DISTANCE_EXPONENT = 1.5
"""How fast a parent loses against a nearer one: weight falls with this power of the distance."""

NO_PARENT = 0.1
"""Weight of "no parent here" against a parent whose ancestry is certain."""

SIBLING_SHARE = 0.4
"""How much of the probability that a model is only its best candidate's sibling goes to "no parent here"."""

DERIVED_LOG_ODDS = -1.0
"""Log-weight of a cast, pruned, quantised or merged model as a parent: training goes on from the original."""

UNTOUCHED_LOG_ODDS = 4.0
"""Log-weight that a parent loses when it shares none of the untouched tensors that another candidate shares."""

ROOT_SHARE, ROOT_BOUND = 0.5, 1.0
"""Share of the evidence "ancestor of all others" that makes a root, and its bound in log-weight."""

TIME_LOG_ODDS, DECLARED_LOG_ODDS = 0.5, 3.0
"""Log-odds of "registered earlier" and of "declared as parent", where these count at all."""

LINKED = 0.5
"""Least probability, both directions together, at which two models are linked."""

CERTAIN = 0.999
_MERGE_CANDIDATES = 8
_LEAST_DISTANCE = 1e-14


@dataclass(frozen=True)
class Family:
    """Related models and all that is known of their pairs.

    Attributes:
        members: Ids, sorted.
        models: Fingerprints by id.
        table: Comparisons of pairs of ids.
        times: Registration times by id.
        declared: Declared parents by id.
        extra_evidence: More evidence on a directed pair.
        decide_probability: Least probability of a decided direction.
    """

    members: Sequence[str]
    models: Mapping[str, Fingerprint]
    table: ComparisonTable
    times: Mapping[str, float]
    declared: Mapping[str, Sequence[str]]
    extra_evidence: Callable[[Fingerprint, Fingerprint], Iterable[Evidence]] | None
    decide_probability: float

    def pair(self, first: int, second: int) -> Comparison | None:
        """The comparison of two members by position, from the first one's side."""
        return self.table.get((self.members[first], self.members[second]))

    def either(self, first: int, second: int) -> Comparison | None:
        """The same from whichever side it was made."""
        return self.table.either(self.members[first], self.members[second])

    def _of_pairs(self, value: Callable[[Comparison], float], *, alone: float) -> Floats:
        """A symmetric value of all pairs, shape ``(n, n)``; ``alone`` on the diagonal and where none was compared."""
        count = len(self.members)
        found = np.full((count, count), alone)
        for i, j in combinations(range(count), 2):
            pair = self.either(i, j)
            if pair is not None:
                found[i, j] = found[j, i] = value(pair)
        return found

    @cached_property
    def distance(self) -> Floats:
        """Relative squared distances, shape ``(n, n)``; infinite where a pair was not compared or is unrelated."""
        return self._of_pairs(
            lambda pair: max(pair.distance, _LEAST_DISTANCE) if pair.related > 0 else np.inf, alone=np.inf
        )

    @cached_property
    def posterior(self) -> Floats:
        """Probabilities of ancestor, descendant, siblings for each ordered pair, shape ``(n, n, 3)``."""
        count = len(self.members)
        found = np.full((count, count, 3), 1 / 3)
        for i, j in combinations(range(count), 2):
            pair = self.either(i, j)
            if pair is not None:
                one, other = (i, j) if pair.first == self.models[self.members[i]].digest else (j, i)
                ancestor, descendant, siblings = pair.hypotheses.shifted(self._outside(one, other)).posterior()
                found[one, other] = ancestor, descendant, siblings
                found[other, one] = descendant, ancestor, siblings
        return found

    @cached_property
    def related(self) -> Floats:
        """Probability that each pair is related at all, shape ``(n, n)``."""
        return self._of_pairs(lambda pair: pair.related, alone=0.0)

    @cached_property
    def identical(self) -> Floats:
        """Number of identical tensors of each pair, shape ``(n, n)``."""
        return self._of_pairs(lambda pair: float(pair.identical), alone=0.0)

    @cached_property
    def proven(self) -> dict[int, int]:
        """Nearest parent that an exact certificate proves, by child."""
        found: dict[int, int] = {}
        for child in range(len(self.members)):
            for parent in np.argsort(self.distance[:, child], kind="stable"):
                either = self.either(int(parent), child)
                pair = self.pair(int(parent), child) if either and either.certificates else None
                if pair and any(item.forward and item.log_odds >= PROOF for item in pair.certificates):
                    found[child] = int(parent)
                    break
        return found

    @cached_property
    def merged(self) -> dict[int, Merge]:
        """Merges by child."""
        found: dict[int, Merge] = {}
        for child in range(len(self.members)):
            if child in self.proven:
                continue
            near = [int(i) for i in np.argsort(self.distance[:, child], kind="stable")[:_MERGE_CANDIDATES]]
            names = [self.members[i] for i in near if np.isfinite(self.distance[i, child])]
            for candidates in dict.fromkeys((self._of_its_shapes(child, names), tuple(names))):
                merge = find_merge(self.members[child], candidates, self.models) if len(candidates) > 1 else None
                if merge is not None:
                    found[child] = merge
                    break
        return found

    def _of_its_shapes(self, child: int, names: Sequence[str]) -> tuple[str, ...]:
        """Those models that have every tensor of the child in its shape: all of it can be their weighted sum."""
        own = _shapes(self.models[self.members[child]])
        return tuple(name for name in names if own <= _shapes(self.models[name]))

    def _outside(self, parent: int, child: int) -> float:
        """Log-odds for a directed pair from outside the weights."""
        one, other = self.members[parent], self.members[child]
        total = 0.0
        if one in self.times and other in self.times:
            total += TIME_LOG_ODDS * float(np.sign(self.times[other] - self.times[one]))
        total += DECLARED_LOG_ODDS * ((one in self.declared.get(other, ())) - (other in self.declared.get(one, ())))
        if self.extra_evidence:
            for sign, before, after in ((1, one, other), (-1, other, one)):
                items = self.extra_evidence(self.models[before], self.models[after])
                total += sign * sum(item.log_odds or 0.0 for item in items)
        return total


def _shapes(model: Fingerprint) -> set[tuple[str, tuple[int, ...]]]:
    return set(zip(model.names, model.shapes, strict=True))


def family_edges(family: Family, *, first_ancestor: int) -> tuple[list[Edge], list[Node]]:
    """The edges of one family and its unregistered ancestors.

    Args:
        family: The related models.
        first_ancestor: Number of the next unregistered ancestor.
    """
    probability, alone = edge_probabilities(*_weights(family))
    parents = _link_loose_roots(family, probability, best_forest(probability, alone))
    edges = [
        _edge(family, parent, child, probability)
        for child, parent in enumerate(parents)
        if parent is not None and child not in family.merged
    ]
    for child, merge in family.merged.items():
        edges += _merge_edges(family, child, merge)
    roots = [child for child, parent in enumerate(parents) if parent is None]
    ancestors, ancestral = _unregistered(family, roots, alone, first_ancestor)
    return edges + ancestral, ancestors


def _weights(family: Family) -> tuple[Floats, Floats]:
    """Log-weights of edges and of roots (see :func:`.topology.edge_probabilities`)."""
    allowed, fixed = _possible(family)
    with np.errstate(divide="ignore"):
        weights = np.log(family.posterior[:, :, 0]) + np.log(family.related)
    weights -= DISTANCE_EXPONENT * _farther(family, allowed) + UNTOUCHED_LOG_ODDS * _fewer_untouched(family, allowed)
    for derived in {*family.proven, *family.merged}:
        weights[derived, :] += DERIVED_LOG_ODDS
    favourite = weights.argmax(axis=0)
    siblings = family.posterior[favourite, np.arange(len(favourite)), 2]
    roots = np.log(NO_PARENT + SIBLING_SHARE * siblings) + _root_evidence(family)
    for child, parent in fixed.items():
        weights[parent, child] = 0.0
        roots[child] = math.log(1 - CERTAIN)
    return weights, roots


def _farther(family: Family, allowed: npt.NDArray[np.bool_]) -> Floats:
    """Logarithm of each distance over that of the nearest :func:`_measure`; infinite where no edge is possible."""
    distance = np.where(allowed, family.distance, np.inf)
    older = np.where(_measure(family), distance, np.inf).min(axis=0)
    nearest = np.where(np.isfinite(older), older, np.minimum(distance.min(axis=0), np.finfo(np.float64).max))
    return np.asarray(np.log(np.maximum(distance / nearest, 1.0)))


def _fewer_untouched(family: Family, allowed: npt.NDArray[np.bool_]) -> Floats:
    """Share of the untouched tensors in common with the best :func:`_measure` that each candidate lacks."""
    most = np.where(allowed & _measure(family), family.identical, 0.0).max(axis=0)
    return np.where(most > 0, np.clip(1.0 - family.identical / np.maximum(most, 1.0), 0.0, 1.0), 0.0)


def _measure(family: Family) -> npt.NDArray[np.bool_]:
    """Which candidate parents are a measure for the others: those not rather the model's descendants.

    However near a model's own children are, and however much of it they left untouched, they say nothing of its parent.
    """
    return np.asarray(family.posterior[:, :, 0] >= family.posterior[:, :, 1])


def _possible(family: Family) -> tuple[npt.NDArray[np.bool_], dict[int, int]]:
    """Which edges are possible at all, shape ``(n, n)``, and the parents that certificates and merges fix, by child."""
    allowed = np.isfinite(family.distance)
    fixed = dict(family.proven)
    for child, merge in family.merged.items():
        sources = [family.members.index(name) for name in merge.weights]
        fixed[child] = family.members.index(max(merge.weights, key=lambda name: merge.weights[name]))
        allowed[child, sources] = False
    for child, parent in fixed.items():
        allowed[np.arange(len(allowed)) != parent, child] = False
        allowed[child, parent] = False
    return allowed, fixed


def _root_evidence(family: Family) -> Floats:
    """How much better than the best each model is an ancestor of all others, in bounded log-weight; at most 0."""
    count = len(family.members)
    original = [i for i in range(count) if i not in family.proven and i not in family.merged]
    if len(original) < 2:
        return np.zeros(count)
    logs = np.log(np.maximum(family.posterior[:, :, 0], 1e-6))
    score = np.array([sum(logs[i, j] for j in original if j != i) for i in range(count)])
    return np.asarray(np.clip(ROOT_SHARE * (score - score[original].max()), -ROOT_BOUND, 0.0))


def _link_loose_roots(family: Family, probability: Floats, parents: list[int | None]) -> list[int | None]:
    """Links a root to another tree when the two are probably parent and child, whichever way."""
    linked = list(parents)
    either = probability + probability.T
    for root in [child for child, parent in enumerate(parents) if parent is None]:
        for other in np.argsort(-either[root], kind="stable"):
            if either[root, other] < LINKED:
                break
            if root not in _lineage(linked, int(other)):
                linked[root] = int(other)
                break
    return linked


def _lineage(parents: Sequence[int | None], start: int) -> list[int]:
    chain = [start]
    while (above := parents[chain[-1]]) is not None:
        chain.append(above)
    return chain


def _edge(family: Family, parent: int, child: int, probability: Floats) -> Edge:
    forward, backward = float(probability[parent, child]), float(probability[child, parent])
    related = float(family.related[parent, child])
    if forward < backward:
        parent, child, forward, backward = child, parent, backward, forward
    direction = forward / (forward + backward)
    decided = direction >= family.decide_probability
    one, other = family.members[parent], family.members[child]
    comparison = family.table[one, other]
    finding = classify(family.models[one], family.models[other], comparison)
    evidence = finding.evidence + _outside_evidence(family, parent, child)
    if not decided:
        one, other = sorted((one, other))
    return Edge(
        parent=one,
        child=other,
        relation=finding.relation,
        probability=min(CERTAIN, forward * related),
        direction="decided" if decided else "undecided",
        direction_probability=min(CERTAIN, direction),
        rank=finding.rank,
        evidence=evidence,
    )


def _outside_evidence(family: Family, parent: int, child: int) -> tuple[Evidence, ...]:
    one, other = family.members[parent], family.members[child]
    found = []
    if one in family.times and other in family.times and family.times[one] != family.times[other]:
        earlier = family.times[one] < family.times[other]
        text = f"the parent was registered {'earlier' if earlier else 'later'} than the child"
        found.append(Evidence(kind="time", text=text, log_odds=TIME_LOG_ODDS if earlier else -TIME_LOG_ODDS))
    if one in family.declared.get(other, ()):
        text = "the child's metadata names this parent"
        found.append(Evidence(kind="declared", text=text, log_odds=DECLARED_LOG_ODDS))
    if other in family.declared.get(one, ()):
        text = "the parent's metadata names the child as its own parent: the other way round"
        found.append(Evidence(kind="declared", text=text, log_odds=-DECLARED_LOG_ODDS))
    if family.extra_evidence:
        found += list(family.extra_evidence(family.models[one], family.models[other]))
    return tuple(found)


def _merge_edges(family: Family, child: int, merge: Merge) -> list[Edge]:
    formula = " + ".join(f"{weight:.3f} {name}" for name, weight in sorted(merge.weights.items()))
    text = f"{formula} explains all but {merge.residual:.1e} of the squared distance ({merge.values:,} values)"
    evidence = (Evidence(kind="merge", text=text, value=merge.residual),)
    return [
        Edge(
            parent=name,
            child=family.members[child],
            relation=Relation.MERGE,
            probability=0.99,
            direction_probability=0.99,
            weight=round(weight, 4),
            evidence=evidence,
        )
        for name, weight in sorted(merge.weights.items())
    ]


def _unregistered(
    family: Family, roots: Sequence[int], alone: Floats, first_ancestor: int
) -> tuple[list[Node], list[Edge]]:
    """An unregistered ancestor above each group of roots that are related but not each other's parents."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(roots)
    graph.add_edges_from((i, j) for i in roots for j in roots if i < j and family.related[i, j] >= LINKED)
    nodes: list[Node] = []
    edges: list[Edge] = []
    for group in sorted(sorted(group) for group in nx.connected_components(graph) if len(group) > 1):
        name = f"unregistered:{first_ancestor + len(nodes)}"
        nodes.append(Node(id=name, kind="unregistered", label="unregistered ancestor"))
        for child in group:
            relatives = [j for j in group if j != child]
            slopes = [
                group.slope for j in relatives if (pair := family.pair(child, j)) for group in pair.projections[:1]
            ]
            text = f"related to {len(relatives)} models without being their parent or child"
            if slopes:
                text += f" (projection {float(np.median(slopes)):.2f}; siblings give about 0.5)"
            edges.append(
                Edge(
                    parent=name,
                    child=family.members[child],
                    relation=Relation.FINETUNE,
                    probability=min(CERTAIN, float(alone[child] * family.related[child, relatives].max())),
                    evidence=(Evidence(kind="siblings", text=text),),
                )
            )
    return nodes, edges
