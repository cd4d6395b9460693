"""Whether a probability of 0.9 is right nine times in ten, and how much is answered at which precision.

Every claim is judged by itself; a case of several draws weighs as much as one of a single draw. Only decided claims
have a direction to be right or wrong about, so the engine is run a second time with nothing left undecided: *forced*.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.engine import Claim
from benchmarks.accuracy.scores import Floats, Rate, drawn, interval, ratio

BINS = 10
PRECISION = 0.95


@dataclass(frozen=True)
class Judged:
    """The claims of one case against its truth.

    Attributes:
        tree: Its tree.
        withheld: Share of the networks that were missing.
        weight: Of each of its claims: one over the number of draws.
        probability: Of each decided claim on a child that is not apart.
        right: Whether it is a true edge.
        direction: Direction probabilities of those that link a true edge, whichever way.
        directed: Whether these point the true way.
        forced: Probabilities of all claims, nothing left undecided.
        forced_right: Whether they are true edges.
        answers: For each true edge, how sure the engine is of its child's parent: its largest forced probability.
        answered: Whether it decides on a parent of that child, by default.
    """

    tree: str
    withheld: float
    weight: float
    probability: Floats
    right: Floats
    direction: Floats
    directed: Floats
    forced: Floats
    forced_right: Floats
    answers: Floats
    answered: Floats


def judge(case: Case, claims: Sequence[Claim], forced: Sequence[Claim], draws: int) -> Judged:
    """Compares the claims by default and those with nothing left undecided with the truth."""
    edges, apart = case.edges, case.apart
    decided = [claim for claim in claims if claim.decided and claim.child not in apart]
    ways = [claim for claim in decided if _pair(claim) in edges or _pair(claim)[::-1] in edges]
    every = [claim for claim in forced if claim.decided and claim.child not in apart]
    surest: dict[str, float] = {}
    for claim in every:
        surest[claim.child] = max(surest.get(claim.child, 0.0), claim.probability)
    answered = {claim.child for claim in decided}
    true = sorted(edges)
    return Judged(
        tree=case.tree,
        withheld=case.withheld,
        weight=1 / draws,
        probability=_floats(claim.probability for claim in decided),
        right=_floats(_pair(claim) in edges for claim in decided),
        direction=_floats(claim.direction_probability for claim in ways),
        directed=_floats(_pair(claim) in edges for claim in ways),
        forced=_floats(claim.probability for claim in every),
        forced_right=_floats(_pair(claim) in edges for claim in every),
        answers=_floats(surest.get(child, 0.0) for _, child in true),
        answered=_floats(child in answered for _, child in true),
    )


def _pair(claim: Claim) -> tuple[str, str]:
    return claim.parent, claim.child


def _floats(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=float)


@dataclass(frozen=True)
class Bin:
    """Claims of neighbouring probabilities.

    Attributes:
        said: Their mean probability.
        right: Share of them that is right, with its interval.
        weight: How many claims; those of several draws count in part.
    """

    said: float
    right: Rate
    weight: float


@dataclass(frozen=True)
class Calibration:
    """How far probabilities can be believed.

    Attributes:
        claims: How many, in cases.
        brier: Mean squared difference between probability and what is so.
        error: Expected calibration error (Naeini, Cooper, Hauskrecht 2015) over bins of equal mass.
        bins: The reliability table.
    """

    claims: int
    brier: Rate
    error: Rate
    bins: tuple[Bin, ...]


def calibration(cases: Sequence[Judged], what: str, seed: int = 0) -> Calibration:
    """Calibration of edges' probabilities, or of directions'.

    Args:
        cases: Judged claims.
        what: ``probability`` or ``direction``.
        seed: Of the drawing of trees.
    """
    outcome = {"probability": "right", "direction": "directed"}[what]
    said, right, weight, tree = _columns(cases, what, outcome)
    if not len(said):
        nothing = (float("nan"),) * 3
        return Calibration(0, nothing, nothing, ())
    places = _bins(said, weight)
    sums = np.zeros((tree.max() + 1, BINS, 4))
    for column, values in enumerate((np.ones_like(said), said, right, (said - right) ** 2)):
        np.add.at(sums[:, :, column], (tree, places), weight * values)
    spread = np.tensordot(drawn(len(sums), seed), sums, 1)
    total = sums.sum(axis=0)
    bins = [
        Bin(
            said=float(row[1] / row[0]),
            right=(float(row[2] / row[0]), *interval(ratio(spread[:, n, 2], spread[:, n, 0]))),
            weight=float(row[0]),
        )
        for n, row in enumerate(total)
        if row[0] > 0
    ]
    return Calibration(
        claims=len(said),
        brier=(float(_brier(total)), *interval(_brier(spread))),
        error=(float(_error(total)), *interval(_error(spread))),
        bins=tuple(bins),
    )


def _bins(said: Floats, weight: Floats) -> np.ndarray:
    """Which of ten bins of equal mass each claim is in; equal probabilities are not torn apart."""
    values, places = np.unique(said, return_inverse=True)
    mass = np.bincount(places, weights=weight, minlength=len(values))
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    return np.minimum((middle * BINS).astype(int), BINS - 1)[places]


def _brier(sums: Floats) -> Floats:
    return ratio(sums[..., 3].sum(axis=-1), sums[..., 0].sum(axis=-1))


def _error(sums: Floats) -> Floats:
    return ratio(np.abs(sums[..., 1] - sums[..., 2]).sum(axis=-1), sums[..., 0].sum(axis=-1))


def _columns(cases: Sequence[Judged], *names: str) -> tuple[Floats, Floats, Floats, np.ndarray]:
    """Two columns over all cases, with weights and the trees' numbers."""
    trees = {name: number for number, name in enumerate(sorted({one.tree for one in cases}))}
    lengths = [len(getattr(one, names[0])) for one in cases]
    first, second = (np.concatenate([getattr(one, name) for one in cases] or [np.zeros(0)]) for name in names)
    weight = np.repeat([one.weight for one in cases], lengths)
    return first, second, weight, np.repeat([trees[one.tree] for one in cases], lengths).astype(int)


def curve(cases: Sequence[Judged]) -> tuple[Floats, Floats, Floats]:
    """Thresholds on the forced probability from high to low, with precision and coverage at each.

    Precision is the share of claims at or above the threshold that are true edges, coverage the share of true edges
    whose child is given a parent at that threshold, right or wrong.
    """
    said, right, weight, _ = _columns(cases, "forced", "forced_right")
    answers, _, answer_weight, _ = _columns(cases, "answers", "answered")
    order = np.argsort(-said, kind="stable")
    said, right, weight = said[order], right[order], weight[order]
    last = np.append(said[1:] != said[:-1], True) if len(said) else np.zeros(0, bool)
    precision = (np.cumsum(weight * right) / np.cumsum(weight))[last]
    thresholds = said[last]
    ordered = np.argsort(answers, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(answer_weight[ordered])])
    known = np.searchsorted(answers[ordered], thresholds, side="left")
    return thresholds, precision, 1 - below[known] / max(below[-1], 1e-30)


def coverage_at(cases: Sequence[Judged], precision: float = PRECISION, seed: int = 0, draws: int = 300) -> Rate:
    """Largest coverage at which precision is still that high; 0 where it never is."""

    def best(some: Sequence[Judged]) -> float:
        _, precise, covered = curve(some)
        return float(covered[precise >= precision].max(initial=0.0))

    by_tree: dict[str, list[Judged]] = {}
    for one in cases:
        by_tree.setdefault(one.tree, []).append(one)
    trees = list(by_tree.values())
    times = drawn(len(trees), seed, draws).astype(int)
    spread = [best([one for n, some in enumerate(trees) for one in some * row[n]]) for row in times]
    return (best(cases), *interval(np.array(spread)))


def by_default(cases: Sequence[Judged], seed: int = 0) -> tuple[Rate, Rate]:
    """Precision and coverage of what is decided by default."""
    trees = {name: number for number, name in enumerate(sorted({one.tree for one in cases}))}
    sums = np.zeros((len(trees), 4))
    for one in cases:
        counts = (one.right.sum(), len(one.right), one.answered.sum(), len(one.answered))
        sums[trees[one.tree]] += one.weight * np.array(counts)
    spread, total = drawn(len(trees), seed) @ sums, sums.sum(axis=0)
    precision = (float(ratio(total[0], total[1])), *interval(ratio(spread[:, 0], spread[:, 1])))
    return precision, (float(ratio(total[2], total[3])), *interval(ratio(spread[:, 2], spread[:, 3])))
