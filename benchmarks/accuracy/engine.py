"""Mother's engine on a case, from weights alone or with more, and its trees read as answers and claims."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks.accuracy.cases import Case
from mlflow_mother.heritage import recover
from mlflow_mother.heritage.parentage import Parentage
from mlflow_mother.settings import Settings
from mlflow_mother.types import Edge, ModelTree

Answer = Mapping[str, frozenset[str] | None]
"""Parents by id; empty for none; None where the method declines to say."""

MOTHER, TIMED = "mother", "mother, with time"

DECIDE: float = Settings.model_fields["decide_probability"].default
"""The probability at which users get a decision, unless they set another."""


@dataclass(frozen=True)
class Claim:
    """An edge that the engine claims between two registered models.

    Attributes:
        parent: Id; of an undecided claim one end.
        child: Id; the other.
        probability: Of this directed edge; over an unregistered ancestor, of all edges on the way.
        direction_probability: Of this direction, given that the two are parent and child.
        decided: Whether the direction is.
        relation: What the engine calls it.
        rank: Of the update, where it was found to be low.
        weight: Share of this parent in the child.
    """

    parent: str
    child: str
    probability: float
    direction_probability: float
    decided: bool
    relation: str
    rank: int | None
    weight: float


FOLDS = Path(__file__).with_name("folds.json")
"""Coefficients that were fitted without one architecture, by its name (``python -m benchmarks.accuracy.fitting``)."""


@cache
def unseen(architecture: str) -> Parentage:
    """The coefficients with which an architecture is judged: those fitted on all the others."""
    return Parentage.model_validate(json.loads(FOLDS.read_text())[architecture])


def recovered(case: Case, **how: Any) -> ModelTree:
    """The engine's tree; ``how`` goes to :func:`~mlflow_mother.heritage.recover`."""
    usual = {"decide_probability": DECIDE, "parentage": unseen(case.architecture)}
    return recover(case.models, comparisons=case.known.comparisons, **{**usual, **how})


def forced(case: Case) -> ModelTree:
    """The same with nothing left undecided."""
    return recovered(case, decide_probability=0.5)


def with_time(case: Case) -> ModelTree:
    """The same, with the order of registration for evidence."""
    times = {name: float(place) for place, name in enumerate(case.order)}
    return recovered(case, times=times, weigh_times=True)


def with_declared(case: Case) -> ModelTree:
    """The same, with declared parents for evidence, some of them wrong."""
    return recovered(case, declared=case.declared)


VARIANTS: dict[str, Callable[[Case], ModelTree]] = {
    MOTHER: recovered,
    TIMED: with_time,
    "mother, with declared": with_declared,
}


def claims(tree: ModelTree) -> tuple[Claim, ...]:
    """All edges between registered models; those over unregistered ancestors are drawn together."""
    unregistered = {node.id for node in tree.nodes if node.kind == "unregistered"}
    above: dict[str, list[Edge]] = {}
    for edge in tree.edges:
        if edge.direction == "decided":
            above.setdefault(edge.child, []).append(edge)

    def climb(edge: Edge) -> list[tuple[str, float, float]]:
        if edge.parent not in unregistered:
            return [(edge.parent, edge.probability, edge.direction_probability)]
        return [
            (end, edge.probability * probability, edge.direction_probability * direction)
            for further in above.get(edge.parent, ())
            for end, probability, direction in climb(further)
        ]

    found: dict[tuple[str, str], Claim] = {}
    for edge in tree.edges:
        decided = edge.direction == "decided"
        if edge.child in unregistered or (edge.parent in unregistered and not decided):
            continue
        ends = climb(edge) if decided else [(edge.parent, edge.probability, edge.direction_probability)]
        for parent, probability, direction in ends:
            claim = Claim(
                parent, edge.child, probability, direction, decided, edge.relation.value, edge.rank, edge.weight
            )
            known = found.setdefault((parent, edge.child), claim)
            if known.probability < probability:
                found[parent, edge.child] = claim
    return tuple(found.values())


def answer_of(found: Sequence[Claim], ids: Sequence[str]) -> Answer:
    """Parents of every model; None for ends of undecided claims without a decided parent."""
    parents: dict[str, set[str]] = {i: set() for i in ids}
    open_ends: set[str] = set()
    for claim in found:
        if claim.decided:
            parents[claim.child].add(claim.parent)
        else:
            open_ends |= {claim.parent, claim.child}
    return {i: frozenset(above) if above or i not in open_ends else None for i, above in parents.items()}


def undecided(found: Sequence[Claim]) -> frozenset[frozenset[str]]:
    """Pairs that are linked without a direction."""
    return frozenset(frozenset({claim.parent, claim.child}) for claim in found if not claim.decided)


def answered(variant: Callable[[Case], ModelTree], case: Case) -> Answer:
    """A variant as a method like any other."""
    return answer_of(claims(variant(case)), list(case.models))


METHODS: dict[str, Callable[[Case], Answer]] = {name: partial(answered, variant) for name, variant in VARIANTS.items()}
