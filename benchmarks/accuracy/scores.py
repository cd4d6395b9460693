"""What was right, over many trees, with intervals that take whole trees for one observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.methods import Answer

DRAWS = 2000


@dataclass(frozen=True)
class Score:
    """Counts over one case.

    Attributes:
        models: Models.
        exact: Of them, those whose parents are exactly the true ones, rightly none included.
        surrogate: Of the others, those whose parent is what is left of a missing one.
        declined: Models of which the method said nothing.
        edges: True edges.
        said: Edges that the method claims.
        linked: True edges that it claims in one direction or the other.
        directed: Of those, the ones in the true direction.
        roots: Models without a parent.
        roots_found: Of them, those of which the method says so.
    """

    models: int = 0
    exact: int = 0
    surrogate: int = 0
    declined: int = 0
    edges: int = 0
    said: int = 0
    linked: int = 0
    directed: int = 0
    roots: int = 0
    roots_found: int = 0


def score(case: Case, answer: Answer) -> Score:
    """Compares an answer with the truth."""
    said = {(parent, child) for child, found in answer.items() for parent in found or ()}
    wrong = [i for i in case.models if answer[i] is not None and answer[i] != case.parents[i]]
    linked = {edge for edge in case.edges if edge in said or edge[::-1] in said}
    roots = [i for i, found in case.parents.items() if not found]
    return Score(
        models=len(case.models),
        exact=sum(answer[i] == found for i, found in case.parents.items()),
        surrogate=sum(bool(answer[i]) and (answer[i] or frozenset()) <= case.surrogates[i] for i in wrong),
        declined=sum(found is None for found in answer.values()),
        edges=len(case.edges),
        said=len(said),
        linked=len(linked),
        directed=len(linked & said),
        roots=len(roots),
        roots_found=sum(answer[i] == frozenset() for i in roots),
    )


RATES = {
    "exact parents": ("exact", "models"),
    "edge recall": ("linked", "edges"),
    "edge precision": ("linked", "said"),
    "direction": ("directed", "linked"),
    "roots": ("roots_found", "roots"),
    "declined": ("declined", "models"),
}
"""What is shown: which count of which."""


def rate(scores: Sequence[Score], what: str, seed: int = 0) -> tuple[float, float, float]:
    """A rate over some trees, and its 95 % interval from drawing trees with replacement; NaN of nothing."""
    part, whole = RATES[what]
    counts = np.array([[getattr(one, part), getattr(one, whole)] for one in scores], dtype=float)
    if not counts[:, 1].sum():
        return float("nan"), float("nan"), float("nan")
    drawn = counts[np.random.default_rng(seed).integers(len(counts), size=(DRAWS, len(counts)))].sum(axis=1)
    drawn = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], (2.5, 97.5))
    return float(counts[:, 0].sum() / counts[:, 1].sum()), float(low), float(high)
