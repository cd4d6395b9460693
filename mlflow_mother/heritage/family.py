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
from mlflow_mother.heritage.increments import LEAST_WHITENED, whitened_distances
from mlflow_mother.heritage.merges import Merge, find_merges
from mlflow_mother.heritage.parentage import EVIDENCE, Parentage, evidence, log_weights
from mlflow_mother.heritage.projection import believed
from mlflow_mother.heritage.relation import classify
from mlflow_mother.heritage.topology import best_forest, edge_probabilities
from mlflow_mother.types import Edge, Evidence, Node, Relation

Floats = npt.NDArray[np.float64]

TIME_LOG_ODDS, DECLARED_LOG_ODDS = 0.5, 3.0
"""Log-odds of "registered earlier" and of "declared as parent", where these count at all."""

LINKED = 0.5
"""Least probability, both directions together, at which two models are linked."""

CERTAIN = 0.999

MERGE_PROBABILITY, INEXACT_PROBABILITY = 0.99, 0.5
"""Of each parent of a merge, and of each one when the weighted sum leaves more than rounding."""

_LEAST_DISTANCE = 1e-14
_UNRELATED_DISTANCE = 2.0


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
        parentage: Coefficients of the evidence on candidate edges.
    """

    members: Sequence[str]
    models: Mapping[str, Fingerprint]
    table: ComparisonTable
    times: Mapping[str, float]
    declared: Mapping[str, Sequence[str]]
    extra_evidence: Callable[[Fingerprint, Fingerprint], Iterable[Evidence]] | None
    decide_probability: float
    parentage: Parentage

    def pair(self, first: int, second: int) -> Comparison | None:
        """The comparison of two members by position, from the first one's side."""
        return self.table.get((self.members[first], self.members[second]))

    def either(self, first: int, second: int) -> Comparison | None:
        """The same from whichever side it was made."""
        return self.table.either(self.members[first], self.members[second])

    @cached_property
    def _compared(self) -> list[tuple[int, int, Comparison]]:
        """All comparisons, each with the positions of its first and its second model."""
        found = []
        for i, j in combinations(range(len(self.members)), 2):
            pair = self.either(i, j)
            if pair is not None:
                found.append((i, j, pair) if pair.first == self.models[self.members[i]].digest else (j, i, pair))
        return found

    def _of_pairs(self, value: Callable[[Comparison], float], *, alone: float) -> Floats:
        """A symmetric value of all pairs, shape ``(n, n)``; ``alone`` on the diagonal and where none was compared."""
        found = np.full((len(self.members), len(self.members)), alone)
        for i, j, pair in self._compared:
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
        for i, j, pair in self._compared:
            ancestor, descendant, siblings = pair.hypotheses.shifted(self._outside(i, j)).posterior()
            found[i, j] = ancestor, descendant, siblings
            found[j, i] = descendant, ancestor, siblings
        return found

    @cached_property
    def related(self) -> Floats:
        """Probability that each pair is related at all, shape ``(n, n)``."""
        return self._of_pairs(lambda pair: pair.related, alone=0.0)

    @cached_property
    def log_related(self) -> Floats:
        """Logarithm of the probability that each pair is related, ``-inf`` where none was compared."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(np.isfinite(self.distance), np.log(self.related), -np.inf))

    @cached_property
    def originals(self) -> list[int]:
        """Members that are not proven to be copies or merges of others."""
        return [i for i in range(len(self.members)) if i not in self.proven and i not in self.merged]

    @cached_property
    def evidence(self) -> Floats:
        """Evidence on all candidate edges between originals, shape ``(o, o, len(EVIDENCE))``."""
        if len(self.originals) < 2:
            return np.zeros((len(self.originals), len(self.originals), len(EVIDENCE)))
        chosen = np.ix_(self.originals, self.originals)
        plain = np.where(np.isfinite(self.distance), self.distance, _UNRELATED_DISTANCE)[chosen]
        np.fill_diagonal(plain, 0.0)
        many = len(self.originals) >= LEAST_WHITENED
        whitened = whitened_distances([self.models[self.members[i]] for i in self.originals]) if many else None
        return evidence(
            ancestor=self.posterior[chosen][..., 0],
            projection=self._projection[chosen],
            distance=self.distance[chosen],
            whitened=plain if whitened is None else whitened,
            identical=self._of_pairs(lambda pair: pair.identical / max(pair.tensors, 1), alone=0.0)[chosen],
            older=self._older[chosen],
        )

    @cached_property
    def _older(self) -> npt.NDArray[np.bool_]:
        """Whether a clock tells that the first of two is the older one, shape ``(n, n)``."""
        found = np.zeros((len(self.members), len(self.members)), bool)
        for i, j, pair in self._compared:
            clocks = [certificate.forward for certificate in pair.certificates if certificate.clock]
            found[i, j], found[j, i] = True in clocks, False in clocks
        return found

    @cached_property
    def _projection(self) -> Floats:
        """Median projections over matrices, as far as they are to be believed, shape ``(n, n)``; 1/2 where unknown."""
        found = np.full((len(self.members), len(self.members)), 0.5)
        for i, j, pair in self._compared:
            for group in pair.projections:
                if group.role == "matrix":
                    found[i, j] = 0.5 + (np.clip(group.median, -0.5, 1.5) - 0.5) * believed(group.overshoot)
                    found[j, i] = 1.0 - found[i, j]
        return found

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
        derived = {self.members[child]: self.members[parent] for child, parent in self.proven.items()}
        near = {
            name: [self.members[i] for i in np.argsort(column, kind="stable") if np.isfinite(column[i])]
            for name, column in zip(self.members, self.distance.T, strict=True)
            if name not in derived
        }
        found = find_merges(near, self.models, derived)
        return {self.members.index(name): merge for name, merge in found.items()}

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
    """Log-weights of edges and of roots (see :func:`.topology.edge_probabilities`).

    Models whose parents are proven have these; what descends from such a copy is taken to descend from its original.
    """
    count = len(family.members)
    weights = np.full((count, count), -np.inf)
    roots = np.full(count, family.parentage.alone)
    originals = np.ix_(family.originals, family.originals)
    weights[originals] = family.log_related[originals] + log_weights(family.evidence, family.parentage)
    fixed = dict(family.proven)
    for child, merge in family.merged.items():
        fixed[child] = family.members.index(max(merge.weights, key=lambda name: merge.weights[name]))
    for child, parent in fixed.items():
        weights[parent, child] = 0.0
        roots[child] = math.log(1 - CERTAIN)
    return weights, roots


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
        probability=min(CERTAIN, forward),
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
    probability = MERGE_PROBABILITY if merge.exact else INEXACT_PROBABILITY
    text = merge.text if merge.exact else f"{merge.text}; that is not exact: a parent may be missing"
    evidence = (Evidence(kind="merge", text=text, value=merge.residual),)
    return [
        Edge(
            parent=name,
            child=family.members[child],
            relation=Relation.MERGE,
            probability=probability,
            direction_probability=MERGE_PROBABILITY,
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
