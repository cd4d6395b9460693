"""What people say of a version's parents: the standing word, and which new word makes sense.

Decisions are kept beside the inference and neither changes the other. ``docs/audit.md`` says how verdicts take them
into account.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mlflow_mother.errors import MotherError
from mlflow_mother.store import Decision, DecisionKind

MAX_NOTE = 2000
"""Longest remark, in characters."""


class DecisionError(MotherError):
    """A decision that makes no sense."""


@dataclass(frozen=True)
class Standing:
    """What all decisions on one version come to.

    Attributes:
        last: The latest decision.
        parents: The parents that people say it has.
        root: Whether people say that it has none.
        rejected: The parents that people say it does not have.
    """

    last: Decision
    parents: frozenset[str]
    root: bool
    rejected: frozenset[str]


def standing(decisions: Sequence[Decision]) -> Standing:
    """What decisions come to: the last word on each parent counts, and a correction replaces all words before it.

    Args:
        decisions: All decisions on one version, oldest first; at least one.
    """
    parents: set[str] = set()
    rejected: set[str] = set()
    root = False
    for decision in decisions:
        if decision.kind == "corrected":
            parents = {decision.parent} if decision.parent else set()
            rejected, root = set(), decision.parent is None
        elif decision.kind == "confirmed" and decision.parent:
            parents.add(decision.parent)
            rejected.discard(decision.parent)
            root = False
        elif decision.parent:
            rejected.add(decision.parent)
            parents.discard(decision.parent)
    return Standing(decisions[-1], frozenset(parents), root, frozenset(rejected))


def check(
    subject: str,
    kind: DecisionKind,
    parent: str | None,
    is_known: bool,
    decided: Mapping[str, Collection[str]],
) -> None:
    """Makes sure that a decision makes sense.

    Args:
        subject: Node id of the version it is about.
        kind: What is said.
        parent: Of which parent.
        is_known: Whether that is a version that may be named.
        decided: The parents that people said each version has, by node id.

    Raises:
        DecisionError: It does not; the message says why.
    """
    if parent is None:
        if kind != "corrected":
            raise DecisionError(f"A parent cannot be {kind} without being named.", "Name it.")
        return
    if not is_known:
        raise DecisionError(
            "The parent is not a version that you may read and that Mother knows.",
            "Name it as models:/name/version; register it first when it is missing.",
        )
    if parent == subject:
        raise DecisionError(f"{subject} cannot be its own parent.", "Name another version.")
    if kind != "rejected" and subject in _ancestors(parent, decided):
        raise DecisionError(
            f"{subject} cannot descend from {parent}, which was said to descend from it.",
            "Correct that decision first.",
        )


def _ancestors(start: str, decided: Mapping[str, Collection[str]]) -> set[str]:
    found: set[str] = set()
    level = [start]
    while level:
        level = sorted({parent for child in level for parent in decided.get(child, ())} - found)
        found.update(level)
    return found
