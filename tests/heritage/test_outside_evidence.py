"""Time, declared parents and plugins' evidence: they count a little, they are shown, and they outvote no weights."""

from __future__ import annotations

import pytest
from heritage_samples import arrows, base, only_edge, printed, recovered

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import recover
from mlflow_mother.testing.trees import Weights, finetuned, fingerprint
from mlflow_mother.types import Edge, Evidence


def pair() -> dict[str, Weights]:
    return {"root": base(), "child": finetuned(base(), 2)}


def ambiguous() -> dict[str, Weights]:
    """Two relatives of which neither is the other's parent more than the other way round."""
    return {"a": finetuned(base(), 2), "b": finetuned(base(), 3)}


def evidence(edge: Edge, kind: str) -> list[Evidence]:
    return [item for item in edge.evidence if item.kind == kind]


def test_registration_in_the_right_order_is_named():
    (item,) = evidence(only_edge(pair(), times={"root": 1.0, "child": 2.0}, weigh_times=True), "time")
    assert "earlier" in item.text and item.log_odds is not None and item.log_odds > 0


def test_registration_in_the_wrong_order_does_not_outvote_the_weights_and_is_named():
    edge = only_edge(pair(), times={"root": 2.0, "child": 1.0}, weigh_times=True)
    assert (edge.parent, edge.child, edge.direction) == ("root", "child", "decided")
    (item,) = evidence(edge, "time")
    assert "later" in item.text and item.log_odds is not None and item.log_odds < 0


def test_times_do_not_count_unless_they_shall():
    edge = only_edge(pair(), times={"root": 2.0, "child": 1.0})
    assert evidence(edge, "time") == []
    assert edge == only_edge(pair())


@pytest.mark.parametrize("times", [{}, {"root": 1.0}, {"root": 1.0, "child": 1.0}])
def test_times_that_say_nothing_are_not_named(times):
    assert evidence(only_edge(pair(), times=times, weigh_times=True), "time") == []


def test_a_right_declaration_is_named():
    (item,) = evidence(only_edge(pair(), declared={"child": ["root"]}), "declared")
    assert item.text == "the child's metadata names this parent"


def test_a_wrong_declaration_does_not_turn_an_edge_round():
    edge = only_edge(pair(), declared={"root": ["child"]})
    assert (edge.parent, edge.child) == ("root", "child")
    assert (edge.direction, edge.direction_probability > 0.8) == ("decided", True)


def test_a_contradicted_declaration_is_named():
    (item,) = evidence(only_edge(pair(), declared={"root": ["child"]}), "declared")
    assert "other way" in item.text and item.log_odds is not None and item.log_odds < 0


def test_a_wrong_declaration_and_the_wrong_time_together_do_not_turn_an_edge_round_silently():
    edge = only_edge(pair(), declared={"root": ["child"]}, times={"root": 2.0, "child": 1.0}, weigh_times=True)
    assert edge.direction == "undecided" or (edge.parent, edge.child) == ("root", "child")


def test_declaring_a_stranger_makes_no_edge():
    tree = recovered({"a": base(), "b": base(9)}, declared={"b": ["a"]})
    assert tree.edges == ()


def test_declared_ids_that_are_no_models_are_ignored():
    assert only_edge(pair(), declared={"child": ["nobody", "root"], "nobody": ["root"]}).parent == "root"


def test_declaring_an_unrelated_parent_leaves_the_true_one():
    tree = recovered({**pair(), "stranger": base(9)}, declared={"child": ["stranger"]})
    assert arrows(tree.edges) == {("root", "child")}


def test_times_settle_copies():
    models = {"a": base(), "b": dict(base())}
    edge = only_edge(models, times={"a": 5.0, "b": 2.0})
    assert (edge.parent, edge.child, edge.direction) == ("b", "a", "decided")
    assert evidence(edge, "time")


@pytest.mark.parametrize("times", [{}, {"a": 1.0, "b": 1.0}])
def test_copies_without_times_are_undecided_and_sorted(times):
    edge = only_edge({"b": base(), "a": dict(base())}, times=times)
    assert (edge.parent, edge.child, edge.direction) == ("a", "b", "undecided")


def says(log_odds: float, parent: Fingerprint) -> object:
    def extra(before: Fingerprint, after: Fingerprint) -> list[Evidence]:
        if before.digest != parent.digest:
            return []
        return [Evidence(kind="test", text="the test says so", log_odds=log_odds)]

    return extra


def test_extra_evidence_counts_and_is_named():
    models = {name: fingerprint(weights) for name, weights in ambiguous().items()}
    for parent, child in (("a", "b"), ("b", "a")):
        (edge,) = recover(models, extra_evidence=says(30.0, models[parent])).edges
        assert (edge.parent, edge.child, edge.direction) == (parent, child, "decided")
        assert [item.text for item in evidence(edge, "test")] == ["the test says so"]


def test_extra_evidence_cannot_relate_strangers():
    models = {"a": printed(base()), "b": printed(base(9))}
    assert recover(models, extra_evidence=says(100.0, models["a"])).edges == ()


def test_extra_evidence_without_weight_is_shown_only():
    models = {name: fingerprint(weights) for name, weights in pair().items()}

    def remark(before: Fingerprint, after: Fingerprint) -> list[Evidence]:
        return [Evidence(kind="remark", text="both are small")]

    (plain,), (edge,) = recover(models).edges, recover(models, extra_evidence=remark).edges
    assert edge.probability == plain.probability
    assert edge.evidence[-1].text == "both are small"


def test_a_veto_removes_the_edge_and_asks_about_every_one():
    models = {"root": base(), "x": finetuned(base(), 2), "y": finetuned(base(), 3), "copy": dict(base())}
    asked: list[tuple[str, str]] = []

    def veto(edge: Edge) -> list[str]:
        asked.append((edge.parent, edge.child))
        return ["not this one"] if edge.child == "x" else []

    plain = recovered(models, times={"root": 1.0, "copy": 2.0})
    found = recovered(models, times={"root": 1.0, "copy": 2.0}, veto=veto)
    assert set(asked) == {(edge.parent, edge.child) for edge in plain.edges}
    assert found.edges == tuple(edge for edge in plain.edges if edge.child != "x")
    assert "x" in found.roots
