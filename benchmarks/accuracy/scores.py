"""What was right, over many trees, with intervals that take whole trees for one observation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.engine import Answer

Floats = npt.NDArray[np.float64]
Rate = tuple[float, float, float]
"""A value, and the ends of its 95 % interval; NaN of nothing."""

DRAWS = 2000


@dataclass(frozen=True)
class Score:
    """Counts over one case. Networks that are apart are counted in ``apart`` and nowhere else.

    Attributes:
        models: Models.
        exact: Of them, those whose parents are exactly the true ones, rightly none included.
        surrogate: Of the others, those whose parent is what is left of a missing one.
        declined: Models of which the method said nothing.
        edges: True edges.
        said: Pairs that the method links, whichever way.
        linked: True edges among them.
        decided: Of those, the ones with a direction.
        directed: Of those, the ones in the true direction.
        roots: Models without a registered ancestor.
        roots_found: Of them, those of which the method says so.
        trees: True families of several models whose root is registered.
        trees_rooted: Of them, those where most of the others stand below that root, and nothing above it.
        apart: Models whose parent cannot be found from fingerprints.
        apart_exact: Of them, those whose parents were found nevertheless.
        apart_wrong: Of them, those that were given another parent.
    """

    models: int = 0
    exact: int = 0
    surrogate: int = 0
    declined: int = 0
    edges: int = 0
    said: int = 0
    linked: int = 0
    decided: int = 0
    directed: int = 0
    roots: int = 0
    roots_found: int = 0
    trees: int = 0
    trees_rooted: int = 0
    apart: int = 0
    apart_exact: int = 0
    apart_wrong: int = 0


def score(case: Case, answer: Answer, undecided: frozenset[frozenset[str]] = frozenset()) -> Score:
    """Compares an answer with the truth.

    Args:
        case: The truth.
        answer: Parents by id.
        undecided: Pairs that are linked without a direction.
    """
    apart = case.apart
    scored = [i for i in case.models if i not in apart]
    said = {(parent, child) for child in scored for parent in answer[child] or ()}
    links = {frozenset(pair) for pair in said} | {pair for pair in undecided if not pair & apart}
    wrong = [i for i in scored if answer[i] is not None and answer[i] != case.parents[i]]
    linked = {edge for edge in case.edges if frozenset(edge) in links}
    roots = [i for i in scored if not case.parents[i]]
    trees = _trees(case)
    return Score(
        models=len(scored),
        exact=sum(answer[i] == case.parents[i] for i in scored),
        surrogate=sum(bool(answer[i]) and (answer[i] or frozenset()) <= case.surrogates[i] for i in wrong),
        declined=sum(answer[i] is None for i in scored),
        edges=len(case.edges),
        said=len(links),
        linked=len(linked),
        decided=sum(edge in said or edge[::-1] in said for edge in linked),
        directed=len(linked & said),
        roots=len(roots),
        roots_found=sum(answer[i] == frozenset() for i in roots),
        trees=len(trees),
        trees_rooted=sum(_rooted(answer, root, below) for root, below in trees.items()),
        apart=len(apart),
        apart_exact=sum(answer[i] == case.parents[i] for i in apart),
        apart_wrong=sum(bool(answer[i]) and answer[i] != case.parents[i] for i in apart),
    )


def _trees(case: Case) -> dict[str, list[str]]:
    """True descendants by registered root, of roots that have any."""
    by_name = {network.name: i for i, network in case.networks.items()}
    found: dict[str, list[str]] = {}
    for i, network in case.networks.items():
        root = by_name.get(network.origin)
        if root is not None and root != i and i not in case.apart:
            found.setdefault(root, []).append(i)
    return found


def _rooted(answer: Answer, root: str, below: Sequence[str]) -> bool:
    if answer[root] != frozenset():
        return False
    return 2 * sum(root in _lineage(answer, one) for one in below) > len(below)


def _lineage(answer: Answer, start: str) -> set[str]:
    """Everything above a model; an answer may go in circles."""
    found: set[str] = set()
    fresh = {start}
    while fresh:
        fresh = {parent for one in fresh for parent in answer[one] or ()} - found
        found |= fresh
    return found


RATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "exact parents": (("exact",), ("models",)),
    "surrogate": (("surrogate",), ("models",)),
    "declined": (("declined",), ("models",)),
    "edge F1": (("linked", "linked"), ("said", "edges")),
    "edge recall": (("linked",), ("edges",)),
    "edge precision": (("linked",), ("said",)),
    "direction": (("directed",), ("linked",)),
    "decided": (("decided",), ("linked",)),
    "direction, decided": (("directed",), ("decided",)),
    "roots": (("roots_found",), ("roots",)),
    "root of the tree": (("trees_rooted",), ("trees",)),
}
"""Which counts over which others."""

_FIELDS = [one.name for one in fields(Score)]


def rates(
    scores: Sequence[tuple[str, Score]], against: Sequence[tuple[str, Score]] | None = None, seed: int = 0
) -> dict[str, Rate]:
    """All rates over some trees, with 95 % intervals from drawing trees with replacement.

    Args:
        scores: Each with its tree's name; a tree may have several.
        against: Another method's on the same cases: then the differences between both.
        seed: Of the drawing.
    """
    own = _by_tree(scores)
    trees = sorted(own)
    weights = drawn(len(trees), seed)
    tables = [own, _by_tree(against)] if against else [own]
    stacked = [np.stack([counts[tree] for tree in trees]) for counts in tables]
    found: dict[str, Rate] = {}
    for name, (part, whole) in RATES.items():
        values = [_ratio(counts.sum(axis=0), part, whole) for counts in stacked]
        spread = [_ratio(weights @ counts, part, whole) for counts in stacked]
        value, draws = (values[0] - values[1], spread[0] - spread[1]) if against else (values[0], spread[0])
        found[name] = (float(value), *interval(draws))
    return found


def rate(scores: Sequence[Score], what: str, seed: int = 0) -> Rate:
    """One rate, where every score is a tree's of its own."""
    return rates([(str(place), one) for place, one in enumerate(scores)], seed=seed)[what]


def drawn(units: int, seed: int, draws: int = DRAWS) -> Floats:
    """How often each of some units is drawn, shape ``(draws, units)``; a single one is not, and has no interval."""
    draws = draws if units > 1 else 0
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=draws).astype(float)


def interval(values: Floats) -> tuple[float, float]:
    """The middle 95 % of what is no NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)


def share(pairs: Sequence[tuple[str, bool]], seed: int = 0) -> Rate:
    """Share of what is true, each with its tree's name; interval as in :func:`rates`."""
    counts: Mapping[str, Counter[bool]] = {tree: Counter() for tree, _ in pairs}
    for tree, right in pairs:
        counts[tree][right] += 1
    return pooled([(c[True], c.total()) for c in counts.values()], lambda sums: ratio(sums[..., 0], sums[..., 1]), seed)


def pooled(counts: Sequence[Sequence[float]], statistic: Callable[[Floats], Floats], seed: int = 0) -> Rate:
    """A statistic of summed counts, one row a tree, and its interval from drawing trees with replacement."""
    if not counts:
        return float("nan"), float("nan"), float("nan")
    table = np.array(counts, dtype=float)
    return (float(statistic(table.sum(axis=0))), *interval(statistic(drawn(len(table), seed) @ table)))


def _by_tree(scores: Sequence[tuple[str, Score]]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for tree, one in scores:
        counts = np.array([getattr(one, name) for name in _FIELDS], dtype=float)
        found[tree] = found.get(tree, 0.0) + counts
    return found


def _ratio(counts: Floats, part: Sequence[str], whole: Sequence[str]) -> Floats:
    upper, lower = (sum(counts[..., _FIELDS.index(name)] for name in names) for names in (part, whole))
    return ratio(np.asarray(upper), np.asarray(lower))


def ratio(upper: Floats, lower: Floats) -> Floats:
    """The quotient; NaN over nothing."""
    return np.divide(upper, lower, out=np.full(np.shape(upper), np.nan), where=np.asarray(lower) > 0)
