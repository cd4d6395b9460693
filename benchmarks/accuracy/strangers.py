"""Pairs of networks that do not descend from each other, by what makes them look as if they did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import beta

from benchmarks.accuracy.cases import APART, Case, Grown, Network
from benchmarks.accuracy.engine import DECIDE, Claim, claims, unseen
from benchmarks.accuracy.scores import Floats, Rate, drawn, interval, ratio
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import compare, recover

RELATIVES = "relatives"
ACROSS = "another tree's"
ROOTS = "another root's"
NEGATIVES = ("other-seed", "same-start", "same-table", "student")
KINDS = (*NEGATIVES, ROOTS, ACROSS)

CONFIDENCE = 0.95
_SAMPLED = 10


@dataclass(frozen=True)
class Pairs:
    """Pairs of one kind within a tree or across two.

    Attributes:
        kind: One of :data:`KINDS`, or :data:`RELATIVES`.
        trees: The two trees; one of them twice within a tree.
        pairs: How many.
        parents: How many of them the engine calls parent and child.
        undecided: How many more it links without a direction.
        related: The engine's probability that they are related, of all or a sample of them.
    """

    kind: str
    trees: tuple[str, str]
    pairs: int
    parents: int
    undecided: int
    related: Floats


def kind_of(one: Network, other: Network) -> str:
    """What kind of strangers two networks of a tree are, or relatives."""
    if one.origin == other.origin:
        return RELATIVES
    kinds = {network.kind for network in (one, other) if network.kind in NEGATIVES}
    if not kinds:
        return ROOTS
    return kinds.pop() if len(kinds) == 1 else "other-seed"


def within(case: Case, found: Sequence[Claim]) -> list[Pairs]:
    """All pairs of a complete tree, by kind."""
    edges, links = _claimed(found)
    pairs: dict[str, list[tuple[str, str]]] = {}
    for one, other in combinations(sorted(set(case.models) - case.apart), 2):
        pairs.setdefault(kind_of(case.networks[one], case.networks[other]), []).append((one, other))
    return [
        Pairs(
            kind=kind,
            trees=(case.tree, case.tree),
            pairs=len(chosen),
            parents=sum(frozenset(pair) in edges for pair in chosen),
            undecided=sum(frozenset(pair) in links - edges for pair in chosen),
            related=np.array([_related(case, *pair) for pair in chosen]),
        )
        for kind, chosen in sorted(pairs.items())
    ]


def across(trees: Sequence[Grown], seed: int = 0) -> list[Pairs]:
    """One registry of all trees of an architecture: the pairs across trees, none of which is related."""
    rng = np.random.default_rng(seed)
    names = [(tree, name) for tree in trees for name, fact in tree.facts.items() if fact["kind"] not in APART]
    ids = {f"model-{place}": at for place, at in zip(rng.permutation(len(names)), names, strict=True)}
    models = {i: tree.models[name] for i, (tree, name) in ids.items()}
    judged = unseen(trees[0].architecture)
    edges, links = _claimed(claims(recover(models, decide_probability=DECIDE, parentage=judged)))
    by_tree: dict[str, list[str]] = {}
    for i, (tree, _) in ids.items():
        by_tree.setdefault(tree.name, []).append(i)
    found = []
    for (one, first), (other, second) in combinations(sorted(by_tree.items()), 2):
        pairs = [(a, b) for a in first for b in second if _root(*ids[a]) != _root(*ids[b])]
        if not pairs:
            continue
        chosen = rng.choice(len(pairs), size=min(_SAMPLED, len(pairs)), replace=False)
        found.append(
            Pairs(
                kind=ACROSS,
                trees=(one, other),
                pairs=len(pairs),
                parents=sum(frozenset(pair) in edges for pair in pairs),
                undecided=sum(frozenset(pair) in links - edges for pair in pairs),
                related=np.array([compare(models[pairs[n][0]], models[pairs[n][1]]).related for n in chosen]),
            )
        )
    return found


def _claimed(found: Sequence[Claim]) -> tuple[set[frozenset[str]], set[frozenset[str]]]:
    edges = {frozenset({claim.parent, claim.child}) for claim in found if claim.decided}
    return edges, {frozenset({claim.parent, claim.child}) for claim in found}


def _root(tree: Grown, name: str) -> str:
    """Digest of the root: trees that start from one downloaded network are one family."""
    return tree.models[tree.origin(name)].digest


def _related(case: Case, one: str, other: str) -> float:
    first, second = sorted((case.models[one], case.models[other]), key=_digest)
    known = case.known.comparisons.get((first.digest, second.digest))
    return (known or compare(first, second)).related


def _digest(model: Fingerprint) -> str:
    return model.digest


@dataclass(frozen=True)
class FalseEdges:
    """False parent edges among unrelated pairs of one kind.

    Attributes:
        pairs: How many pairs.
        edges: How many of them are called parent and child.
        undecided: How many more are linked without a direction.
        rate: Share of the pairs; interval from drawing trees.
        independent: Upper 95 % bound of that share if pairs were independent (Clopper and Pearson 1934).
        clusters: How many trees the pairs are from.
        touched: How many of them have a false edge.
        touched_bound: Upper 95 % bound of that share.
        auc: Area under the curve that tells relatives from these pairs by the probability of being related.
    """

    pairs: int
    edges: int
    undecided: int
    rate: Rate
    independent: float
    clusters: int
    touched: int
    touched_bound: float
    auc: Rate


def false_edges(measured: Sequence[Pairs], kind: str, seed: int = 0) -> FalseEdges | None:
    """Pools the pairs of a kind; None where there are none."""
    chosen = [some for some in measured if some.kind == kind]
    if not chosen:
        return None
    names = sorted({tree for some in measured for tree in some.trees})
    weights = drawn(len(names), seed)
    sums = np.array([(some.parents, some.pairs) for some in chosen], dtype=float)
    spread = np.stack([_times(weights, some, names) for some in chosen], axis=1) @ sums
    edges, pairs = (int(total) for total in sums.sum(axis=0))
    clusters = {tree for some in chosen for tree in some.trees}
    touched = {tree for some in chosen for tree in some.trees if some.parents > 0}
    return FalseEdges(
        pairs=pairs,
        edges=edges,
        undecided=sum(some.undecided for some in chosen),
        rate=(edges / pairs, *interval(ratio(spread[:, 0], spread[:, 1]))),
        independent=upper_bound(edges, pairs),
        clusters=len(clusters),
        touched=len(touched),
        touched_bound=upper_bound(len(touched), len(clusters)),
        auc=_separated(measured, chosen, names, weights[:300]),
    )


def _times(weights: Floats, some: Pairs, names: Sequence[str]) -> Floats:
    """How often pairs are drawn when trees are: across two trees, once for every draw of both (Owen 2007)."""
    one, other = (weights[:, names.index(tree)] for tree in some.trees)
    return one if some.trees[0] == some.trees[1] else one * other


def upper_bound(seen: int, of: int, confidence: float = CONFIDENCE) -> float:
    """Upper bound of a share (Clopper and Pearson 1934); near 3 / n when none was seen."""
    return float(beta.ppf(confidence, seen + 1, of - seen)) if seen < of else 1.0


def _separated(measured: Sequence[Pairs], chosen: Sequence[Pairs], names: Sequence[str], weights: Floats) -> Rate:
    kin = [some for some in measured if some.kind == RELATIVES]
    if not kin:
        return float("nan"), float("nan"), float("nan")
    values = [np.concatenate([some.related for some in group]) for group in (kin, chosen)]
    counts = [[len(some.related) for some in group] for group in (kin, chosen)]
    times = [np.stack([_times(weights, some, names) for some in group], axis=1) for group in (kin, chosen)]
    spread = [
        auc(*values, np.repeat(first, counts[0]), np.repeat(second, counts[1]))
        for first, second in zip(*times, strict=True)
    ]
    return (auc(*values, np.ones(len(values[0])), np.ones(len(values[1]))), *interval(np.array(spread)))


def auc(positive: Floats, negative: Floats, positive_weight: Floats, negative_weight: Floats) -> float:
    """Probability that a positive's value is above a negative's; equal ones count one half."""
    order = np.argsort(negative, kind="stable")
    heights = np.concatenate([[0.0], np.cumsum(negative_weight[order])])
    ordered = negative[order]
    below, upto = (heights[np.searchsorted(ordered, positive, side=side)] for side in ("left", "right"))
    whole = positive_weight.sum() * heights[-1]
    return float((positive_weight * (below + upto) / 2).sum() / whole) if whole else float("nan")
