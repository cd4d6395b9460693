"""Whole families: chains, stars, missing parents, undecided pairs."""

from __future__ import annotations

import pytest
import torch
from heritage_samples import arrows, base, printed, recovered

from mlflow_mother.heritage import recover
from mlflow_mother.testing.trees import cast, extended, finetuned, fingerprint, lora_merged, pruned, tree
from mlflow_mother.types import Relation

SHAPES = {
    "chain": {"a": None, "b": "a", "c": "b", "d": "c"},
    "star": {"a": None, "b": "a", "c": "a", "d": "a", "e": "a"},
    "two levels": {"a": None, "b": "a", "c": "a", "d": "b", "e": "b", "f": "c"},
    "two trees": {"a": None, "b": "a", "c": "a", "x": None, "y": "x", "z": "y"},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_tree_of_finetunes_is_recovered(shape):
    members = tree(3, shape)
    found = recovered({name: member.weights for name, member in members.items()})
    truth = {(parent, name) for name, parent in shape.items() if parent}
    assert arrows(found.edges) == truth
    assert found.roots == tuple(sorted(name for name, parent in shape.items() if parent is None))
    assert all(edge.relation is Relation.FINETUNE and edge.probability > 0.5 for edge in found.edges)


def test_mixed_relations_are_recovered_together():
    tuned = finetuned(base(), 2)
    models = {
        "root": base(),
        "tuned": tuned,
        "lora": lora_merged(base(), 3, rank=4),
        "half": cast(tuned, torch.bfloat16),
        "sparse": pruned(tuned),
    }
    assert arrows(recovered(models).edges) == {
        ("root", "tuned"),
        ("root", "lora"),
        ("tuned", "half"),
        ("tuned", "sparse"),
    }


@pytest.mark.parametrize("change", ["lora", "partial", "extended"])
@pytest.mark.parametrize("brother", [True, False])
def test_a_child_that_shares_untouched_tensors_does_not_take_its_parent_s_place(change, brother):
    """The middle model has no tensor in common with its parent, and many with its child."""
    middle = finetuned(base(), 3)
    last = {
        "lora": lambda: lora_merged(middle, 5, rank=4),
        "partial": lambda: finetuned(middle, 5, frozen=lambda name: name.startswith("blocks.0")),
        "extended": lambda: extended(middle, 5),
    }[change]()
    models = {"root": base(), "middle": middle, "last": last}
    truth = {("root", "middle"), ("middle", "last")}
    if brother:
        models["brother"] = finetuned(base(), 2)
        truth.add(("root", "brother"))
    assert arrows(recovered(models).edges) == truth


def test_untouched_tensors_tell_a_parent_from_its_siblings():
    """Equally far from both; only the parent shares the frozen tensors."""
    one, other = finetuned(base(), 2, size=0.02), finetuned(base(), 3, size=0.02)
    child = finetuned(one, 4, size=0.3, frozen=lambda name: name.startswith("blocks.0"))
    models = {"root": base(), "one": one, "other": other, "child": child}
    assert ("one", "child") in arrows(recovered(models).edges)


@pytest.mark.parametrize("shrink", [0.01, 0.05])
def test_weight_decay_does_not_flip_a_family(shrink):
    first = finetuned(base(), 2, size=0.1, shrink=shrink)
    models = {"root": base(), "first": first, "second": finetuned(first, 3, size=0.1, shrink=shrink)}
    assert arrows(recovered(models).edges) == {("root", "first"), ("first", "second")}


@pytest.mark.parametrize("count", [3, 4, 6])
def test_siblings_whose_parent_is_missing_get_an_unregistered_ancestor(count):
    siblings = {f"s{n}": finetuned(base(), 60 + n) for n in range(count)}
    found = recovered(siblings)
    assert arrows(found.edges) == {("unregistered:1", name) for name in siblings}
    ancestor = found.node("unregistered:1")
    assert ancestor.kind == "unregistered" and found.nodes[-1] == ancestor
    assert found.roots == ("unregistered:1",)


def test_two_stars_get_an_ancestor_each():
    models = {
        f"{kind}{n}": finetuned(base(seed), 70 + 10 * seed + n) for kind, seed in (("s", 1), ("t", 2)) for n in range(3)
    }
    found = recovered(models)
    above = {edge.child: edge.parent for edge in found.edges}
    assert {above[f"s{n}"] for n in range(3)} == {"unregistered:1"}
    assert {above[f"t{n}"] for n in range(3)} == {"unregistered:2"}


def test_a_parent_that_turns_up_later_replaces_the_unregistered_ancestor():
    siblings = {f"s{n}": finetuned(base(), 60 + n) for n in range(3)}
    assert recovered(siblings).roots == ("unregistered:1",)
    found = recovered({**siblings, "late": base()})
    assert arrows(found.edges) == {("late", name) for name in siblings}
    assert not [node for node in found.nodes if node.kind == "unregistered"]


def test_an_undecided_pair_is_listed_once_and_sorted():
    """One value of one tensor moved: nothing tells the two apart."""
    other = {name: value.clone() for name, value in base().items()}
    other["head.bias"][0] += 0.01
    for names in (("a", "b"), ("b", "a")):
        found = recover({names[0]: printed(base()), names[1]: fingerprint(other)}, decide_probability=0.99)
        (edge,) = found.edges
        assert (edge.parent, edge.child, edge.direction) == ("a", "b", "undecided")
        assert 0.5 <= edge.direction_probability < 0.99
        assert found.roots == ("a", "b")
        assert found.parents("b") == () and found.children("a") == ()


@pytest.mark.parametrize("bound", [0.5, 0.8, 0.95])
def test_directions_are_decided_from_the_given_probability_on(bound):
    models = {"root": base(), "child": finetuned(base(), 2)}
    (edge,) = recovered(models, decide_probability=bound).edges
    assert (edge.direction == "decided") == (edge.direction_probability >= bound)
    assert {edge.parent, edge.child} == {"root", "child"}


def test_probabilities_of_the_edges_into_a_model_do_not_exceed_one():
    members = tree(5, SHAPES["two levels"])
    found = recovered({name: member.weights for name, member in members.items()})
    for node in found.nodes:
        edges = [edge for edge in found.parents(node.id) if edge.relation is not Relation.MERGE]
        assert sum(edge.probability for edge in edges) <= 1


def test_every_model_is_a_node_whether_related_or_not():
    found = recovered({"b": finetuned(base(), 2), "a": base(), "c": base(2)})
    assert [node.id for node in found.nodes] == ["a", "b", "c"]
    assert found.node("a").parameters == sum(value.numel() for value in base().values())
    assert found.roots == ("a", "c")
