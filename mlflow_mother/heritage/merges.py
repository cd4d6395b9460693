"""Merges: children whose weights are a weighted sum of several models' weights, or were picked from several models.

Every fingerprint keeps raw values of every tensor at fixed positions. If a child is ``sum_i w_i p_i`` with weights that
add up to 1, the same holds for these values, and a non-negative least-squares fit of them leaves only rounding. The fit
is done in differences from the child, so that the large common part of relatives does not hide the residual.

Three explanations are tried, the one with the fewest free numbers first: one weight a parent for the whole network
(soups: Wortsman et al., arXiv 2203.05482; task arithmetic: Ilharco et al., arXiv 2212.04089); single values picked from
several models (:mod:`.selection`); two weights a tensor that need not add up to 1 (SLERP, Shoemake 1985, and merges
whose weights differ from layer to layer).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import networkx as nx
import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.relation import only_weights, update_rank
from mlflow_mother.heritage.screening import OFF_THE_LINE, may_be_merges
from mlflow_mother.heritage.selection import Common, common_values, pick

Floats = npt.NDArray[np.float64]

LARGEST_RESIDUAL = 1e-3
"""Largest squared residual, relative to the squared distance to the nearest model, at which a merge is adopted. Sums in
single precision leave 1e-12, those stored in bf16 up to 1e-3, the best wrong combinations in the zoo 0.1 and more."""

LEAST_WEIGHT = 0.02
"""Smallest share of a parent; below it a merge cannot be told from its other parents."""

LEAST_HELD = 0.5
"""Least share of the child's elements that a parent must hold in tensors of the same name and shape."""

MOST_PARENTS = 4
MOST_CANDIDATES = 24

ROUNDINGS = 8.0
"""How much larger than one rounding of every value the squared residual of an exact merge may be."""

_RIDGE = 1e-10
_LEAST_FITTED = 8


@dataclass(frozen=True)
class Merge:
    """A child as a mixture.

    Attributes:
        weights: Share of each parent; they add up to 1. Where single values were picked, the share of values that
            only this parent and later ones explain; where weights differ from tensor to tensor, their mean.
        residual: Squared residual relative to the squared distance to the nearest parent; of picked values, the share
            that no parent explains.
        values: How many sampled values were fitted.
        text: The mixture in words.
        exact: Whether the residual is no more than rounding. What is left beyond shows that some of the sources only
            stand for the true ones, such as a missing parent's cast.
    """

    weights: Mapping[str, float]
    residual: float
    values: int
    text: str
    exact: bool


def find_merges(
    near: Mapping[str, Sequence[str]], models: Mapping[str, Fingerprint], derived: Mapping[str, str]
) -> dict[str, Merge]:
    """Merges among related models, by child.

    A merge of ``a`` and ``b`` lies on the line between them, so other mixtures of the two can be written with it, too.
    What is a merge itself is therefore a parent only of what cannot be explained by as few others. Likewise casts and
    the like, which lie near their parents, are looked at only where the others do not suffice.

    Args:
        near: By possible child, ids of related models, nearest first; copies of the child left out.
        models: Fingerprints of all of them.
        derived: By id, the proven parent of casts, quantised and pruned models.
    """
    found: dict[str, Merge] = {}
    among: dict[str, tuple[str, ...]] = {}
    searches = [
        (child, candidates)
        for child, names in near.items()
        for candidates in _candidates(child, names, models, derived)
        if len(candidates) > 1
    ]
    for (child, candidates), promising in zip(searches, may_be_merges(searches, models, MOST_PARENTS), strict=True):
        merge = find_merge(child, candidates, models) if promising and child not in found else None
        if merge is not None:
            found[child], among[child] = merge, candidates
    for child, merge in list(found.items()):
        if found.keys() & merge.weights.keys():
            simpler = find_merge(child, [name for name in among[child] if name not in found], models)
            if simpler is not None and len(simpler.weights) <= len(merge.weights):
                found[child] = simpler
    mutual = _mutual(found, derived)
    return {child: merge for child, merge in found.items() if child not in mutual}


def _mutual(found: Mapping[str, Merge], derived: Mapping[str, str]) -> set[str]:
    """Models that are mixtures of each other: two layer swaps give both of their parents back.

    Which of them came first, the values do not tell.
    """
    graph: nx.DiGraph[str] = nx.DiGraph((parent, child) for child, parent in derived.items())
    graph.add_edges_from((parent, child) for child, merge in found.items() for parent in merge.weights)
    return {model for circle in nx.strongly_connected_components(graph) if len(circle) > 1 for model in circle}


def _candidates(
    child: str, names: Sequence[str], models: Mapping[str, Fingerprint], derived: Mapping[str, str]
) -> Iterator[tuple[str, ...]]:
    """Sets of candidates, the best first: originals before others, then those that hold all of the child's tensors."""
    held = {name: _held(models[child], models[name]) for name in names if derived.get(name) != child}
    sets = (
        tuple(name for name, share in held.items() if share >= least and (others or name not in derived))
        for others in (False, True)
        for least in (1.0, LEAST_HELD)
    )
    yield from (some[:MOST_CANDIDATES] for some in dict.fromkeys(sets))


def _held(child: Fingerprint, model: Fingerprint) -> float:
    """Share of the child's elements in tensors that the model holds, too, by name and shape."""
    if child.names == model.names and child.shapes == model.shapes:
        return 1.0
    known = set(zip(model.names, model.shapes, strict=True))
    same = np.array([pair in known for pair in zip(child.names, child.shapes, strict=True)], bool)
    return float(child.stats["count"][same].sum() / max(int(child.stats["count"].sum()), 1))


def find_merge(child: str, candidates: Sequence[str], models: Mapping[str, Fingerprint]) -> Merge | None:
    """Looks for candidates whose mixture is the child.

    Args:
        child: Id of the child.
        candidates: Ids of related models, nearest first; copies of the child left out.
        models: Fingerprints of all of them.

    Returns:
        The merge with the smallest residual among those with the fewest parents, or None.
    """
    common = common_values(child, candidates, models) if len(candidates) > 1 else None
    if common is None:
        return None
    offsets = np.split(common.sources - common.child, common.starts[1:], axis=1)
    products = np.stack([part @ part.T for part in offsets])
    if not np.diagonal(products.sum(axis=0)).all():
        return None  # One of them holds all that is compared of the child.
    rounding = _rounding(models[child]) * float((common.child**2).sum())
    return (
        _whole(common, products.sum(axis=0), candidates, rounding)
        or _picked(common, child, candidates, models)
        or _tensorwise(common, products, candidates, rounding)
    )


def _rounding(model: Fingerprint) -> float:
    """Largest squared error, relative to the square, that storing values makes in an exact merge."""
    bits = 1 + int(model.stats["mantissa"].max(initial=0))
    return float(ROUNDINGS * 4.0**-bits)


def _whole(common: Common, products: Floats, names: Sequence[str], rounding: float) -> Merge | None:
    """One weight a parent for all tensors."""
    everyone = tuple(range(len(names)))
    if not _promising(products, [everyone]):
        return None
    for parents in range(2, min(MOST_PARENTS, len(names)) + 1):
        fits = [
            fit
            for chosen in _promising(products, list(combinations(everyone, parents)))
            if (fit := _fit(common.child, common.sources, chosen)) is not None
        ]
        if fits:
            residual, chosen, shares = min(fits)
            weights = {names[i]: float(w) for i, w in zip(chosen, shares, strict=True)}
            text = _explained(_sum(weights), residual, len(common.child))
            exact = residual * _nearest(common, chosen) <= rounding
            return Merge(weights, residual, len(common.child), text, exact)
    return None


def _promising(products: Floats, choices: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The choices of sources whose weighted sum may be near enough to the target; few are, so that few are fitted.

    Among weights of any sign that add up to 1, the squared residual is least at ``1 / (1' M^-1 1)``, where ``M`` holds
    the products of the sources' offsets from the target. A ridge keeps ``M`` invertible; for weights between 0 and 1 it
    adds at most its size times the largest squared offset. So nothing is left out that :func:`_fit` would adopt.

    Args:
        products: Inner products of all sources' offsets from the target.
        choices: Indices of sources, equally many in each.
    """
    chosen = np.array(choices)
    among = products[chosen[:, :, None], chosen[:, None, :]]
    squared = np.diagonal(among, axis1=1, axis2=2)
    largest = np.maximum(squared.max(axis=1), np.finfo(np.float64).tiny)
    ridge = _RIDGE * largest
    inverse = np.linalg.inv((among + ridge[:, None, None] * np.eye(chosen.shape[1])) / largest[:, None, None])
    least = largest / inverse.sum(axis=(1, 2)) - ridge
    # A larger choice is adopted for a smaller one in it, whose nearest source is at most its farthest.
    nearest = squared.min(axis=1) if chosen.shape[1] <= MOST_PARENTS else squared.max(axis=1)
    promising = least <= 2 * LARGEST_RESIDUAL * nearest
    return [choice for choice, kept in zip(choices, promising.tolist(), strict=True) if kept]


def _fit(
    target: Floats, sources: Floats, chosen: tuple[int, ...]
) -> tuple[float, tuple[int, ...], tuple[float, ...]] | None:
    """Non-negative weights of the chosen sources that add up to 1, when they explain the target."""
    first = sources[chosen[0]]
    directions = np.stack([sources[i] - first for i in chosen[1:]], axis=1)
    wanted = target - first
    rest, _ = nnls(directions, wanted)
    weights = (1.0 - float(rest.sum()), *rest.tolist())
    if min(weights) < LEAST_WEIGHT:
        return None
    nearest = min(float(((target - sources[i]) ** 2).sum()) for i in chosen)
    residual = float(((wanted - directions @ rest) ** 2).sum()) / max(nearest, 1e-300)
    return (residual, chosen, weights) if residual < LARGEST_RESIDUAL else None


def _picked(common: Common, child: str, names: Sequence[str], models: Mapping[str, Fingerprint]) -> Merge | None:
    """Values picked from several models.

    Two children of a model that leave different parts of it untouched cover it, too. Those are most often a merged LoRA
    and a new head, so a low-rank change is taken for what it is.
    """
    picked = pick(common)
    if picked is None:
        return None
    weights = {names[i]: share for i, share in picked.shares}
    own = models[child]
    if any(update_rank(own, models[name]) is not None or only_weights(own, models[name]) for name in weights):
        return None
    shares = " + ".join(f"{share:.0%} {name}" for name, share in sorted(weights.items()))
    text = (
        f"{picked.covered:.1%} of {picked.values:,} values that differ are one of these models' or their mean: {shares}"
    )
    return Merge(weights, 1 - picked.covered, picked.values, text, exact=True)


def _tensorwise(common: Common, products: Floats, names: Sequence[str], rounding: float) -> Merge | None:
    """Two weights a tensor, which need not add up to 1."""
    fits = [fit for pair in _lying_between(products) if (fit := _fit_tensors(common, pair)) is not None]
    if not fits:
        return None
    residual, (i, j), share = min(fits)
    weights = {names[i]: 1 - share, names[j]: share}
    how = f"{_sum(weights)} on average, with weights that differ from tensor to tensor,"
    exact = residual * _nearest(common, (i, j)) <= rounding
    return Merge(weights, residual, len(common.child), _explained(how, residual, len(common.child)), exact)


def _nearest(common: Common, chosen: Sequence[int]) -> float:
    """Squared distance of the child to the nearest of its parents."""
    return min(float(((common.child - common.sources[i]) ** 2).sum()) for i in chosen)


def _lying_between(products: Floats) -> Iterator[tuple[int, int]]:
    """Pairs of sources that come near the child when each tensor has weights of its own that add up to 1.

    Args:
        products: Inner products of the sources' offsets from the child in every tensor, shape ``(L, n, n)``.
    """
    i, j = np.triu_indices(products.shape[1], 1)
    one, other, both = products[:, i, i], products[:, j, j], products[:, i, j]
    apart = one + other - 2 * both
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.where(apart > 0, (one * other - both**2) / apart, one)
    nearest = np.minimum(one.sum(axis=0), other.sum(axis=0))
    for place in np.flatnonzero(np.maximum(least, 0.0).sum(axis=0) <= OFF_THE_LINE * nearest):
        yield int(i[place]), int(j[place])


def _fit_tensors(common: Common, pair: tuple[int, int]) -> tuple[float, tuple[int, int], float] | None:
    """Residual and mean share of the second of a pair, when non-negative weights a tensor explain the child.

    Most tensors must lie between the two: what equals now one, now the other is no matter of weights.
    """
    left, between = 0.0, []
    nearest, shares = np.zeros(2), np.zeros(2)
    for target, sources in common.tensors():
        chosen = sources[list(pair)]
        squared = ((chosen - target) ** 2).sum(axis=1)
        if not squared.any():
            continue
        nearest += squared
        if len(target) < _LEAST_FITTED:
            left += float(squared.min())
            continue
        weights, rest = nnls(chosen.T, target)
        left += rest**2
        relative = weights / max(float(weights.sum()), 1e-300)
        shares += squared.sum() * relative
        between.append(float(relative.min()) >= LEAST_WEIGHT)
    residual = left / max(float(nearest.min()), 1e-300)
    share = float(shares[1] / max(float(shares.sum()), 1e-300))
    mixed = bool(between) and 2 * sum(between) >= len(between)
    return (residual, pair, share) if residual < LARGEST_RESIDUAL and mixed else None


def _sum(weights: Mapping[str, float]) -> str:
    return " + ".join(f"{weight:.3f} {name}" for name, weight in sorted(weights.items()))


def _explained(what: str, residual: float, values: int) -> str:
    return f"{what} explains all but {residual:.1e} of the squared distance ({values:,} values)"
