"""What is said of one family: its edges, with their probabilities and reasons, and its unregistered ancestors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import networkx as nx
import numpy as np
import numpy.typing as npt

from mlflow_mother.heritage.family import DECLARED_LOG_ODDS, TIME_LOG_ODDS, Family
from mlflow_mother.heritage.merges import Merge
from mlflow_mother.heritage.parentage import log_weights
from mlflow_mother.heritage.relation import classify
from mlflow_mother.heritage.topology import best_forest, edge_probabilities
from mlflow_mother.types import Edge, Evidence, Node, Relation

Floats = npt.NDArray[np.float64]

LINKED = 0.5
"""Least probability, both directions together, at which two models are linked."""

CERTAIN = 0.999

MERGE_PROBABILITY, INEXACT_PROBABILITY = 0.99, 0.5
"""Of each parent of a merge, and of each one when the weighted sum leaves more than rounding."""


def family_edges(family: Family, *, first_ancestor: int) -> tuple[list[Edge], list[Node]]:
    """The edges of one family and its unregistered ancestors.

    Args:
        family: The related models.
        first_ancestor: Number of the next unregistered ancestor.
    """
    probability, alone, parents = _forest(family)
    parents = _link_loose_roots(family, probability, parents)
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


def _forest(family: Family) -> tuple[Floats, Floats, list[int | None]]:
    """Probabilities of all edges and roots, and each model's most probable parent.

    What descends from a merge is no ancestor of any of its parents: while it would be, the least probable edge that
    makes it one is forbidden.
    """
    weights, roots = _weights(family)
    while True:
        probability, alone = edge_probabilities(weights, roots)
        parents = best_forest(probability, alone)
        circle = [
            (float(probability[parent, child]), parent, child)
            for child, parent in enumerate(parents)
            if parent is not None and child not in family.merged and child in _lineage(family, parents, parent)
        ]
        if not circle:
            return probability, alone, parents
        _, parent, child = min(circle)
        weights[parent, child] = -np.inf


def _weights(family: Family) -> tuple[Floats, Floats]:
    """Log-weights of edges and of roots (see :func:`.topology.edge_probabilities`).

    Models whose parents are proven have these; what descends from such a copy is taken to descend from its original.
    A merge may be the parent of an original that is nearer to it than to any of its own parents, since a child's change
    comes on top of the merge's, and that does not rather look like the merge's ancestor.
    """
    count = len(family.members)
    weights = np.full((count, count), -np.inf)
    roots = np.full(count, family.parentage.alone)
    originals = np.ix_(family.originals, family.originals)
    weights[originals] = family.log_related[originals] + log_weights(family.evidence, family.parentage)
    if family.merged:
        heirs = np.ix_(list(family.merged), family.originals)
        weights[heirs] = family.log_related[heirs] + log_weights(family.evidence_of_merges, family.parentage)
    fixed = dict(family.proven)
    for child, merge in family.merged.items():
        sources = [family.members.index(name) for name in merge.weights]
        possible = family.distance[child] < family.distance[sources].min(axis=0)
        possible &= family.posterior[child, :, 0] >= family.posterior[child, :, 1]
        possible[sources] = False
        weights[child, ~possible] = -np.inf
        fixed[child] = family.members.index(max(merge.weights, key=lambda name: merge.weights[name]))
    for child, parent in fixed.items():
        weights[parent, child] = 0.0
        roots[child] = math.log(1 - CERTAIN)
    return weights, roots


def _link_loose_roots(family: Family, probability: Floats, parents: list[int | None]) -> list[int | None]:
    """Links a root to another tree when the two are probably parent and child, whichever way.

    Not to a model that has a parent already and would have the root for a second one.
    """
    linked = list(parents)
    either = probability + probability.T
    for root in [child for child, parent in enumerate(parents) if parent is None]:
        for other in np.argsort(-either[root], kind="stable"):
            if either[root, other] < LINKED:
                break
            above = probability[root, other] >= family.decide_probability * either[root, other]
            if root not in _lineage(family, linked, int(other)) and not (above and linked[other] is not None):
                linked[root] = int(other)
                break
    return linked


def _lineage(family: Family, parents: Sequence[int | None], start: int) -> set[int]:
    """A model and all its ancestors, those through any parent of a merge among them."""
    met, left = {start}, [start]
    while left:
        node = left.pop()
        merge, above = family.merged.get(node), parents[node]
        if merge:
            new = {family.members.index(name) for name in merge.weights} - met
        else:
            new = set() if above is None else {above} - met
        met |= new
        left += new
    return met


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
