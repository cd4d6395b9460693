"""The whole way from fingerprints to a model tree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

import networkx as nx
import numpy as np

from mlflow_mother.fingerprint.coarse import coarse_vector
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.adapters import adapter_edges
from mlflow_mother.heritage.answer import family_edges
from mlflow_mother.heritage.comparison import ENGINE, Comparison, ComparisonTable, compare
from mlflow_mother.heritage.family import Family
from mlflow_mother.heritage.parentage import Parentage, fitted
from mlflow_mother.heritage.relation import Finding, classify
from mlflow_mother.types import Edge, Evidence, ModelTree, Node, Relation

ExtraEvidence = Callable[[Fingerprint, Fingerprint], Iterable[Evidence]]
Veto = Callable[[Edge], Sequence[str]]
Cache = MutableMapping[tuple[str, str], Comparison]

LEAST_RELATED = 0.1
"""Least probability of being related at which a pair joins two models into one family."""

_COARSE_CHANCE = 0.1
_ALL_PAIRS = 80


def explain(parent: Fingerprint, child: Fingerprint) -> tuple[Comparison, Finding]:
    """All evidence on one pair, the second read as the first one's child."""
    comparison = compare(parent, child)
    return comparison, classify(parent, child, comparison)


def recover(
    models: Mapping[str, Fingerprint],
    *,
    comparisons: Cache | None = None,
    times: Mapping[str, float] | None = None,
    weigh_times: bool = False,
    declared: Mapping[str, Sequence[str]] | None = None,
    extra_evidence: ExtraEvidence | None = None,
    veto: Veto | None = None,
    decide_probability: float = 0.8,
    parentage: Parentage | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ModelTree:
    """Recovers the model tree (a forest where models are unrelated, a DAG where they were merged).

    The result does not depend on the order of ``models``.

    Args:
        models: Fingerprints by id.
        comparisons: Cache of comparisons by ``(digest, digest)``, smaller digest first; read and filled.
        times: Registration times in seconds, by id; they order identical copies, which weights cannot.
        weigh_times: Whether times weigh a little for all other directions too.
        declared: Ids of declared parents among ``models``, by id, when they shall count as evidence.
        extra_evidence: More evidence on a directed pair, with ``log_odds``.
        veto: Reasons to forbid an edge; it is asked about every edge of the result.
        decide_probability: Least probability at which an edge's direction is called decided.
        parentage: Other coefficients of the evidence than those that are shipped.
        progress: Called with (pairs compared, pairs to compare).

    Returns:
        The tree with probabilities and evidence on every edge.
    """
    times = times or {}
    ids = sorted(models)
    leaders = _copies(ids, models, times)
    edges: list[Edge] = [_copy_edge(i, leaders[i], models, times) for i in ids if leaders[i] != i]
    distinct = {i: models[i] for i in ids if leaders[i] == i}
    edges += adapter_edges([i for i in distinct if models[i].adapter], models, declared or {})
    ancestors: list[Node] = []
    for family in families(
        distinct,
        comparisons=comparisons,
        times=times if weigh_times else {},
        declared=declared or {},
        extra_evidence=extra_evidence,
        decide_probability=decide_probability,
        parentage=parentage or fitted(),
        progress=progress,
    ):
        found, unregistered = family_edges(family, first_ancestor=len(ancestors) + 1)
        edges += found
        ancestors += unregistered
    kept = [edge for edge in edges if not (veto and veto(edge))]
    children = {edge.child for edge in kept if edge.direction == "decided"}
    nodes = [_node(i, models[i]) for i in ids] + ancestors
    return ModelTree(
        nodes=tuple(nodes),
        roots=tuple(sorted(node.id for node in nodes if node.id not in children)),
        edges=tuple(sorted(kept, key=lambda edge: (edge.child, edge.parent))),
    )


def families(
    models: Mapping[str, Fingerprint],
    *,
    parentage: Parentage,
    comparisons: Cache | None = None,
    times: Mapping[str, float] | None = None,
    declared: Mapping[str, Sequence[str]] | None = None,
    extra_evidence: ExtraEvidence | None = None,
    decide_probability: float = 0.8,
    progress: Callable[[int, int], None] | None = None,
) -> list[Family]:
    """Compares distinct models and groups them; models without any relative are left out (see :func:`recover`)."""
    adapters = [i for i in sorted(models) if models[i].adapter]
    whole = [i for i in sorted(models) if not models[i].adapter]
    table = _compare_all([whole, adapters], models, {} if comparisons is None else comparisons, progress)
    return [
        Family(members, models, table, times or {}, declared or {}, extra_evidence, decide_probability, parentage)
        for members in _families(whole + adapters, table)
    ]


def _copies(ids: Sequence[str], models: Mapping[str, Fingerprint], times: Mapping[str, float]) -> dict[str, str]:
    """Maps each model to the first registered one (or the first by id) with the same weights."""
    first: dict[str, str] = {}
    for i in sorted(ids, key=lambda i: (times.get(i, math.inf), i)):
        first.setdefault(models[i].digest, i)
    return {i: first[models[i].digest] for i in ids}


def _copy_edge(child: str, parent: str, models: Mapping[str, Fingerprint], times: Mapping[str, float]) -> Edge:
    finding = classify(models[parent], models[child], compare(models[parent], models[child]))
    dated = parent in times and child in times and times[parent] != times[child]
    evidence = finding.evidence
    if dated:
        evidence += (Evidence(kind="time", text="registered later than the model it equals"),)
        return Edge(parent=parent, child=child, relation=Relation.COPY, probability=0.99, evidence=evidence)
    parent, child = sorted((parent, child))
    return Edge(
        parent=parent,
        child=child,
        relation=Relation.COPY,
        probability=0.5,
        direction="undecided",
        direction_probability=0.5,
        evidence=evidence,
    )


def _compare_all(
    groups: Sequence[Sequence[str]],
    models: Mapping[str, Fingerprint],
    cache: Cache,
    progress: Callable[[int, int], None] | None,
) -> ComparisonTable:
    """Comparisons of all pairs worth it, by ids."""
    pairs = [pair for group in groups for pair in _pairs(group, models)]
    table = ComparisonTable()
    for done, (i, j) in enumerate(pairs):
        one, other = sorted((i, j), key=lambda m: models[m].digest)
        key = models[one].digest, models[other].digest
        known = cache.get(key)
        if known is None or known.engine != ENGINE:
            known = cache[key] = compare(models[one], models[other])
        table.keep(one, other, known)
        if progress:
            progress(done + 1, len(pairs))
    return table


def _pairs(ids: Sequence[str], models: Mapping[str, Fingerprint]) -> list[tuple[str, str]]:
    """All pairs of a small set; of a large one those whose coarse vectors agree beyond chance."""
    if len(ids) <= _ALL_PAIRS:
        return [(i, j) for n, i in enumerate(ids) for j in ids[n + 1 :]]
    coarse = np.stack([coarse_vector(models[i]) for i in ids])
    close = np.argwhere(np.triu(np.abs(coarse @ coarse.T) > _COARSE_CHANCE, 1))
    return [(ids[i], ids[j]) for i, j in close.tolist()]


def _families(ids: Sequence[str], table: ComparisonTable) -> list[list[str]]:
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(ids)
    for one, other in table:
        comparison = table.either(one, other)
        if comparison is not None and comparison.related >= LEAST_RELATED:
            graph.add_edge(one, other)
    return sorted(sorted(members) for members in nx.connected_components(graph) if len(members) > 1)


def _node(node_id: str, model: Fingerprint) -> Node:
    return Node(id=node_id, parameters=model.parameters, format=model.format or None)
