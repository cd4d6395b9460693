"""What was done to a parent: full, partial and low-rank fine-tunes, with the update's exact rank."""

from __future__ import annotations

import pytest
import torch
from heritage_samples import base, only_edge, printed

from mlflow_mother.heritage import explain
from mlflow_mother.heritage.relation import update_rank
from mlflow_mother.testing.trees import cast, extended, finetuned, fingerprint, lora_merged, pruned, quantised
from mlflow_mother.types import Relation


@pytest.mark.parametrize("rank", range(1, 17))
def test_a_merged_lora_has_exactly_its_rank(rank):
    edge = only_edge({"child": lora_merged(base(), 2, rank=rank), "root": base()})
    assert (edge.parent, edge.child, edge.relation, edge.rank) == ("root", "child", Relation.LORA_MERGED, rank)


@pytest.mark.parametrize("size", [1e-3, 0.02, 1.0])
def test_the_rank_does_not_depend_on_the_size_of_the_update(size):
    assert update_rank(printed(base()), fingerprint(lora_merged(base(), 2, rank=4, size=size))) == 4


@pytest.mark.parametrize("target", ["mix", "up", "down"])
def test_one_adapted_kind_of_layer_is_enough(target):
    assert update_rank(printed(base()), fingerprint(lora_merged(base(), 2, rank=3, targets=[target]))) == 3


def test_the_rank_is_the_same_from_both_sides():
    one, other = printed(base()), fingerprint(lora_merged(base(), 2, rank=5))
    assert update_rank(one, other) == update_rank(other, one) == 5


def test_two_merged_loras_on_top_of_each_other_add_their_ranks():
    twice = lora_merged(lora_merged(base(), 2, rank=3), 3, rank=4)
    assert update_rank(printed(base()), fingerprint(twice)) == 7


def test_siblings_by_lora_differ_by_a_low_rank_but_are_not_decided_by_it():
    one, other = lora_merged(base(), 2, rank=3), lora_merged(base(), 3, rank=3)
    assert update_rank(fingerprint(one), fingerprint(other)) == 6


@pytest.mark.parametrize("size", [0.001, 0.1, 0.5])
def test_a_full_finetune_has_no_rank(size):
    assert update_rank(printed(base()), fingerprint(finetuned(base(), 2, size=size))) is None


def test_a_lora_merged_into_half_precision_loses_its_exact_rank():
    half = cast(base(), torch.bfloat16)
    assert update_rank(fingerprint(half), fingerprint(lora_merged(half, 2, rank=2, size=0.01))) is None


def test_a_copy_has_no_update():
    assert update_rank(printed(base()), printed(base())) is None


def test_matrices_too_small_to_have_a_rank_claim_none():
    small = {"a.weight": torch.randn(3, 90, generator=torch.Generator().manual_seed(0))}
    assert update_rank(fingerprint(small), fingerprint({"a.weight": small["a.weight"] * 1.1})) is None


@pytest.mark.parametrize(
    ("child", "relation"),
    [
        (lambda: finetuned(base(), 2), Relation.FINETUNE),
        (lambda: finetuned(base(), 2, frozen=lambda name: not name.startswith("blocks.3")), Relation.PARTIAL_FINETUNE),
        (lambda: finetuned(base(), 2, frozen=lambda name: name == "embedding.weight"), Relation.FINETUNE),
        (lambda: cast(base(), torch.bfloat16), Relation.CAST),
        (lambda: pruned(base()), Relation.PRUNED),
        (lambda: extended(base(), 2), Relation.EXTENDED),
        (lambda: extended(finetuned(base(), 2), 2), Relation.EXTENDED),
        (lambda: dict(base()), Relation.COPY),
    ],
    ids=["full", "partial", "one frozen table", "cast", "pruned", "extended", "extended and trained", "copy"],
)
def test_each_change_is_named(child, relation):
    edge = only_edge({"root": base(), "changed": child()}, times={"root": 1.0, "changed": 2.0})
    assert (edge.parent, edge.child, edge.relation, edge.direction) == ("root", "changed", relation, "decided")
    assert edge.rank is None


def test_a_quantised_child_is_named():
    edge = only_edge({"root": base(5, 96), "changed": quantised(base(5, 96))})
    assert (edge.parent, edge.relation, edge.direction) == ("root", Relation.QUANTIZED, "decided")


def test_explaining_a_pair_is_what_the_tree_says_of_it():
    child = lora_merged(base(), 2, rank=4)
    comparison, finding = explain(printed(base()), printed(child))
    assert comparison.hypotheses.posterior()[0] > 0.5
    assert (finding.relation, finding.rank) == (Relation.LORA_MERGED, 4)
