"""Methods that say who descends from whom. Each takes a case and answers with the parents of every model.

Those from the literature are written from their formulas. They need to be told how many families there are, and tell
neither merges nor what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import networkx as nx
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from benchmarks.accuracy import engine
from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.distances import Distances, Floats, distances
from benchmarks.accuracy.engine import Answer

Method = Callable[[Case], Answer]

LAMBDA = 0.3
"""The paper's weight of the direction against the distance."""

mother: Method = engine.METHODS[engine.MOTHER]
"""Mother's engine, from weights alone."""


def by_distance(case: Case, grow: Callable[[Distances, list[int]], dict[int, int]]) -> Answer:
    """Clusters into the true number of families, and grows a tree in each."""
    ids = sorted(case.models)
    measured = distances(case.models, ids, case.known.distances)
    found: dict[str, frozenset[str]] = dict.fromkeys(ids, frozenset())
    for members in ward(measured.full, case.families):
        if len(members) > 1:
            found |= {ids[child]: frozenset({ids[parent]}) for child, parent in grow(measured, members).items()}
    return found


def oldest_first(case: Case) -> Answer:
    """The nearest of those registered before; knows the order."""
    ids = list(case.order)
    measured = distances(case.models, ids, case.known.distances)
    clusters = {i: n for n, members in enumerate(ward(measured.full, case.families)) for i in members}
    found: dict[str, frozenset[str]] = {}
    for child, name in enumerate(ids):
        before = [i for i in range(child) if clusters[i] == clusters[child]]
        found[name] = frozenset({ids[min(before, key=lambda i: measured.full[i, child])]}) if before else frozenset()
    return found


def ward(apart: Floats, families: int) -> list[list[int]]:
    """Clusters by Ward's criterion into a number that has to be told, as MoTHer's authors do."""
    if len(apart) < 2:
        return [list(range(len(apart)))]
    labels = fcluster(linkage(squareform(apart, checks=False), "ward"), families, "maxclust")
    return [np.flatnonzero(labels == label).tolist() for label in sorted(set(labels.tolist()))]


def _arborescence(measured: Distances, members: list[int], *, sign: int, of: str) -> dict[int, int]:
    """Minimum directed spanning tree of distance plus a fine for the wrong direction (arXiv 2405.18432)."""
    apart = getattr(measured, of)[np.ix_(members, members)]
    kurtosis = sign * measured.kurtosis[members]
    fine = LAMBDA * apart.mean()
    graph: nx.DiGraph[int] = nx.DiGraph()
    for a in range(len(members)):
        for b in range(len(members)):
            if a != b:
                graph.add_edge(members[a], members[b], weight=apart[a, b] + fine * (kurtosis[a] > kurtosis[b]))
    return {child: parent for parent, child in nx.minimum_spanning_arborescence(graph).edges}


def _spanning(measured: Distances, members: list[int], *, root: str) -> dict[int, int]:
    """Minimum spanning tree, hung up at its centre or anywhere."""
    graph: nx.Graph[int] = nx.Graph()
    for n, a in enumerate(members):
        graph.add_weighted_edges_from((a, b, measured.full[a, b]) for b in members[:n])
    tree = nx.minimum_spanning_tree(graph)
    top = min(nx.center(tree)) if root == "centre" else int(np.random.default_rng(0).choice(members))
    return {child: parent for parent, child in nx.bfs_edges(tree, top)}


def _nearest(measured: Distances, members: list[int]) -> dict[int, int]:
    """Everybody's nearest neighbour is its parent, but for whoever is nearest to all."""
    apart = measured.full[np.ix_(members, members)] + np.diag([np.inf] * len(members))
    top = int(np.argmin(np.where(np.isinf(apart), 0, apart).sum(axis=0)))
    return {members[i]: members[int(np.argmin(apart[:, i]))] for i in range(len(members)) if i != top}


BASELINES: dict[str, Method] = {
    **{
        f"MoTHer {name}, kurtosis {word}": partial(by_distance, grow=partial(_arborescence, sign=sign, of=of))
        for of, name in (("full", "FT"), ("rank", "LoRA"))
        for word, sign in (("grows", 1), ("falls", -1))
    },
    "nearest neighbour": partial(by_distance, grow=_nearest),
    "MST, root at random": partial(by_distance, grow=partial(_spanning, root="random")),
    "MST, root at its centre": partial(by_distance, grow=partial(_spanning, root="centre")),
    "oldest first (knows order)": oldest_first,
}

KNOW_ORDER = frozenset({"oldest first (knows order)"})
"""Baselines that do not go by weights alone."""

METHODS: dict[str, Method] = {**engine.METHODS, **BASELINES}
