"""What people say: the last word, what makes no sense, and what audits make of it."""

from __future__ import annotations

import pytest

from mlflow_mother.service.auditing import audit_rows
from mlflow_mother.service.decisions import DecisionError, check, standing
from mlflow_mother.service.families import tree_of
from mlflow_mother.store import Decision, DecisionKind
from mlflow_mother.types import Edge, ModelVersionRef, Node, Relation, Status, Verdict

A, B, C = "models:/a/1", "models:/b/1", "models:/c/1"
Said = tuple[DecisionKind, str | None]


def said(*words: Said) -> list[Decision]:
    ref = ModelVersionRef(registry="own", name="c", version="1")
    return [Decision(ref, kind, parent, "ada", float(at), "") for at, (kind, parent) in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "parents", "root", "rejected"),
    [
        ([("confirmed", A)], {A}, False, set()),
        ([("confirmed", A), ("confirmed", B)], {A, B}, False, set()),
        ([("confirmed", A), ("rejected", A)], set(), False, {A}),
        ([("rejected", A), ("confirmed", A)], {A}, False, set()),
        ([("rejected", A), ("confirmed", B)], {B}, False, {A}),
        ([("confirmed", A), ("rejected", B), ("corrected", C)], {C}, False, set()),
        ([("confirmed", A), ("corrected", None)], set(), True, set()),
        ([("corrected", None), ("confirmed", A)], {A}, False, set()),
        ([("corrected", None), ("rejected", A)], set(), True, {A}),
    ],
)
def test_the_last_word_on_each_parent_counts(
    words: list[Said], parents: set[str], root: bool, rejected: set[str]
) -> None:
    found = standing(said(*words))
    assert (found.parents, found.root, found.rejected) == (parents, root, rejected)


def test_a_version_cannot_descend_from_its_own_descendants() -> None:
    decided = {B: {A}, C: {B}}
    for kind in ("confirmed", "corrected"):
        with pytest.raises(DecisionError, match="cannot descend"):
            check(A, kind, C, True, decided)
    check(A, "rejected", C, True, decided)
    check(C, "confirmed", A, True, decided)
    check(A, "corrected", None, False, decided)
    with pytest.raises(DecisionError, match="its own parent"):
        check(A, "confirmed", A, True, {})
    with pytest.raises(DecisionError, match="may read"):
        check(A, "rejected", C, False, {})


def test_decisions_in_a_circle_that_two_people_made_at_once_end() -> None:
    check(C, "confirmed", A, True, {A: {B}, B: {A}})


@pytest.mark.parametrize(
    ("words", "declared", "status", "verdict", "note"),
    [
        ([("confirmed", A)], (), Status.DONE, Verdict.CONFIRMED, "confirmed by ada: models:/a/1"),
        ([("confirmed", B)], (B,), Status.DONE, Verdict.CONFIRMED, "the weights show models:/a/1"),
        ([("corrected", B)], (A,), Status.FAILED, Verdict.CONFIRMED, "corrected by ada: models:/b/1"),
        ([("corrected", None)], (A,), Status.DONE, Verdict.UNRELATED, "said by ada to have no parent"),
        ([("rejected", A)], (), Status.DONE, Verdict.UNRELATED, "rejected: models:/a/1"),
        ([("rejected", A)], (A,), Status.DONE, Verdict.UNRELATED, "rejected: models:/a/1"),
        ([("rejected", A)], (B,), Status.DONE, Verdict.CONFLICT, "rejected: models:/a/1"),
        ([("rejected", B)], (), Status.DONE, Verdict.UNDOCUMENTED, "rejected: models:/b/1"),
        ([("rejected", A)], (), Status.FAILED, Verdict.UNDECIDED, "the version is failed"),
    ],
)
def test_an_audit_takes_people_at_their_word(
    words: list[Said], declared: tuple[str, ...], status: Status, verdict: Verdict, note: str
) -> None:
    nodes = {uri: Node(id=uri, status=Status.DONE) for uri in (A, B)}
    nodes[C] = Node(id=C, status=status, declared_parents=declared)
    tree = tree_of([Edge(parent=A, child=C, relation=Relation.FINETUNE, probability=0.9)], nodes)
    row = {row.uri: row for row in audit_rows(tree, {}, {C: standing(said(*words))})}[C]
    assert row.verdict is verdict and note in row.note
    assert row.inferred == (A,)
