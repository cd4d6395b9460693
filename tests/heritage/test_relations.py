"""What was done to a parent: full, partial and low-rank fine-tunes, with the update's exact rank."""

from __future__ import annotations

import pytest
import torch
from heritage_samples import base, only_edge, printed

from mlflow_mother.heritage import explain
from mlflow_mother.heritage.relation import only_weights, update_rank
from mlflow_mother.testing.trees import Weights, cast, extended, finetuned, fingerprint, lora_merged, pruned, quantised
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


def test_a_lora_lighter_than_the_rounding_it_is_merged_into_loses_its_rank():
    half = cast(base(), torch.bfloat16)
    assert update_rank(fingerprint(half), fingerprint(lora_merged(half, 2, rank=2, size=0.01))) == 2
    assert update_rank(fingerprint(half), fingerprint(lora_merged(half, 2, rank=2, size=0.001))) is None


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


@pytest.mark.parametrize("rank", [2, 8, 24])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_to_half_precision_does_not_hide_the_rank(dtype, rank):
    """A single drop is then too small to tell; all matrices together do."""
    parent = cast(base(5, 96), dtype)
    child = cast(lora_merged(cast(parent, torch.float32), 2, rank=rank, size=0.2), dtype)
    assert update_rank(printed(parent), fingerprint(child)) == rank


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [0.003, 0.3])
def test_a_full_update_in_half_precision_has_no_low_rank(seed, size):
    parent = cast(base(5, 96), torch.bfloat16)
    child = cast(finetuned(cast(parent, torch.float32), seed, size=size), torch.bfloat16)
    assert update_rank(printed(parent), fingerprint(child)) is None


def test_one_matrix_of_low_rank_among_full_updates_makes_no_lora():
    child = finetuned(base(), 2)
    child["blocks.1.mix.weight"] = lora_merged(base(), 3, rank=2)["blocks.1.mix.weight"]
    assert update_rank(printed(base()), fingerprint(child)) is None


def with_biases(width: int = 80) -> Weights:
    random = torch.Generator().manual_seed(3)
    shapes = {f"layers.{n}.{part}": (width,) * (2 if part == "weight" else 1) for n in range(4) for part in PARTS}
    return {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}


PARTS = ("weight", "bias")


def changed(weights: Weights, rank: int, part: str = "") -> Weights:
    """Adds an update of some rank to all matrices, and to the biases of the layers whose name contains ``part``."""
    random = torch.Generator().manual_seed(4)
    found = {}
    for name, value in weights.items():
        factors = torch.randn(2, len(value), rank, generator=random) * 0.1
        update = factors[0] @ factors[1].T if value.ndim == 2 else factors[0, :, 0] * bool(part and part in name)
        found[name] = value + update if update.any() else value
    return found


def test_a_rank_beyond_the_sketch_shows_in_the_biases_that_stay():
    edge = only_edge({"root": with_biases(), "child": changed(with_biases(), rank=70)})
    assert (edge.relation, edge.rank) == (Relation.LORA_MERGED, None)


def test_one_changed_bias_among_full_updates_is_no_lora():
    parent, child = with_biases(), changed(with_biases(), 70, "layers.2")
    assert not only_weights(printed(parent), fingerprint(child))


def test_matrices_without_biases_say_nothing_of_them():
    bare = {name: value for name, value in with_biases().items() if value.ndim == 2}
    assert not only_weights(fingerprint(bare), fingerprint(changed(bare, 70)))
