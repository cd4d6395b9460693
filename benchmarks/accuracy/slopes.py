"""The projection statistic itself, where the truth is known: slopes of edges and of siblings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from benchmarks.accuracy.cases import Grown
from benchmarks.accuracy.scores import Floats
from mlflow_mother.heritage import compare

TRAINED = frozenset({"finetune", "lora"})
"""Other changes are proven by certificates, and their updates are no training's."""


@dataclass(frozen=True)
class Slopes:
    """Slopes over the matrices of pairs of networks of one tree.

    Attributes:
        architecture: Of the tree.
        edges: Read from the parent's side; read from the child's they are one minus that.
        siblings: Of pairs of trained children of one parent, read from the one that was made first.
    """

    architecture: str
    edges: Floats
    siblings: Floats


def slopes(tree: Grown) -> Slopes:
    """Measures all trained children of a tree."""
    trained = {name: tuple(fact["parents"]) for name, fact in tree.facts.items() if fact["kind"] in TRAINED}
    edges = [(parent, child) for child, parents in trained.items() for parent in parents]
    siblings = [(one, other) for one, other in combinations(trained, 2) if trained[one] == trained[other]]
    return Slopes(tree.architecture, np.array(list(_over(tree, edges))), np.array(list(_over(tree, siblings))))


def _over(tree: Grown, pairs: list[tuple[str, str]]) -> Iterator[float]:
    for one, other in pairs:
        first, second = tree.models[one], tree.models[other]
        known = tree.known.comparisons.get((min(first.digest, second.digest), max(first.digest, second.digest)))
        comparison = known or compare(first, second)
        if comparison.first != first.digest:
            comparison = comparison.swapped()
        yield from (group.slope for group in comparison.projections if group.role == "matrix")
