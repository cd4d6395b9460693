"""Certificates: exact facts are found in the right direction, and near misses are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heritage_samples import base, compared, only_edge

from mlflow_mother.heritage.certificates import GRIDS, PROOF, Certificate
from mlflow_mother.testing.trees import (
    Weights,
    cast,
    extended,
    finetuned,
    pruned,
    quantised,
    retrained,
    root,
)
from mlflow_mother.types import Relation

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp8 e4m3": torch.float8_e4m3fn, "fp8 e5m2": torch.float8_e5m2}


def certificates(parent: Weights, child: Weights) -> tuple[Certificate, ...]:
    return compared(parent, child).certificates


def proven(parent: Weights, child: Weights) -> set[tuple[Relation | None, bool | None]]:
    there = {(item.relation, item.forward) for item in certificates(parent, child)}
    back = {(item.relation, item.forward) for item in certificates(child, parent)}
    assert there == {(relation, None if forward is None else not forward) for relation, forward in back}
    return there


def counted(weights: Weights, *steps: int) -> Weights:
    counters = {f"bn.{i}.num_batches_tracked": torch.tensor(step) for i, step in enumerate(steps)}
    return {**weights, **counters}


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: grid.name)
def test_rounding_to_a_grid_is_what_torch_does_with_subnormal_numbers_too(grid):
    random = np.random.default_rng(0)
    largest = 400.0 if "e4m3" in grid.name else 30_000.0
    exponents = random.uniform(-30, np.log2(largest), 20_000)
    values = (random.choice([-1, 1], 20_000) * np.exp2(exponents)).astype(np.float32)
    ties = (np.arange(-64, 64, dtype=np.float32) + 0.5) * np.exp2(grid.smallest - grid.mantissa).astype(np.float32)
    values = np.concatenate([values, ties, np.zeros(2, np.float32)])
    expected = torch.from_numpy(values).to(TYPES[grid.name]).double().numpy()
    np.testing.assert_array_equal(grid.round(values), expected)


@pytest.mark.parametrize("name", TYPES)
def test_a_cast_is_proven_from_the_rounded_model_s_values(name):
    assert proven(base(), cast(base(), TYPES[name])) == {(Relation.CAST, True)}
    edge = only_edge({"cast": cast(base(), TYPES[name]), "root": base()})
    assert (edge.parent, edge.relation, edge.direction) == ("root", Relation.CAST, "decided")


@pytest.mark.parametrize("name", TYPES)
def test_a_cast_of_tiny_weights_is_exact_in_the_subnormal_range(name):
    scale = {"bf16": 2e-38, "fp16": 3e-6, "fp8 e4m3": 4e-3, "fp8 e5m2": 3e-5}[name]
    tiny = {key: value * scale / value.abs().mean() for key, value in base().items()}
    assert (Relation.CAST, True) in proven(tiny, cast(tiny, TYPES[name]))


@pytest.mark.parametrize("name", TYPES)
def test_a_cast_saved_in_single_precision_again_is_still_a_cast(name):
    widened = {key: value.float() for key, value in cast(base(), TYPES[name]).items()}
    assert (Relation.CAST, True) in proven(base(), widened)


def test_a_cast_of_a_cast_points_to_the_finer_grid():
    middle = cast(base(), torch.bfloat16)
    assert (Relation.CAST, True) in proven(middle, cast(middle, torch.float8_e5m2))
    assert (Relation.CAST, False) not in proven(middle, cast(middle, torch.float8_e5m2))


def test_rounding_double_precision_to_single_is_a_cast():
    random = np.random.default_rng(0)
    double = {name: value.double() * (1 + 1e-9 * random.normal()) for name, value in base().items()}
    assert proven(double, cast(double, torch.float32)) == {(Relation.CAST, True)}


def test_widening_single_precision_to_double_proves_no_direction():
    assert proven(base(), cast(base(), torch.float64)) == {(Relation.CAST, None)}


def test_a_cast_of_matrices_that_leaves_norms_in_single_precision_is_a_cast():
    half = {name: value.half() if value.ndim == 2 else value for name, value in base().items()}
    assert proven(base(), half) == {(Relation.CAST, True)}


@pytest.mark.parametrize("name", TYPES)
def test_a_finetune_saved_in_low_precision_is_no_cast_of_the_root(name):
    child = cast(finetuned(base(), 2), TYPES[name])
    assert not [item for item in certificates(base(), child) if item.relation is Relation.CAST]
    edge = only_edge({"root": base(), "child": child})
    assert edge.parent == "root"
    assert edge.relation is Relation.FINETUNE or (name.startswith("fp8") and edge.relation is Relation.QUANTIZED)


def test_a_light_finetune_in_which_one_tensor_moved_is_no_cast():
    child = dict(base())
    child["blocks.2.mix.weight"] = finetuned(base(), 2, size=0.05)["blocks.2.mix.weight"]
    assert proven(base(), cast(child, torch.bfloat16)) == set()


def test_truncation_is_not_rounding():
    bits = {name: (value.view(torch.int32) & -65536).view(torch.float32) for name, value in base().items()}
    assert (Relation.CAST, True) not in proven(base(), bits)


def test_the_same_values_in_another_type_prove_a_cast_without_direction():
    coarse = cast(base(), torch.bfloat16)
    assert proven(coarse, cast(coarse, torch.float32)) == {(Relation.CAST, None)}
    assert only_edge({"a": coarse, "b": cast(coarse, torch.float32)}).direction == "undecided"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_pruning_is_proven_by_the_values_that_stay(share):
    (item,) = certificates(base(), pruned(base(), share=share))
    assert (item.relation, item.forward, item.log_odds) == (Relation.PRUNED, True, PROOF)
    assert proven(base(), pruned(base(), share=share)) == {(Relation.PRUNED, True)}


def test_pruning_and_training_on_is_pruning_with_less_weight():
    (item,) = certificates(base(), retrained(pruned(base()), 2))
    assert (item.relation, item.forward) == (Relation.PRUNED, True)
    assert 0 < item.log_odds < PROOF


def test_pruning_further_points_from_dense_to_sparse():
    assert proven(pruned(base(), share=0.3), pruned(base(), share=0.6)) == {(Relation.PRUNED, True)}


def test_other_zeros_in_another_model_are_no_pruning():
    one, other = pruned(base()), pruned(finetuned(base(), 2, size=0.7), share=0.6)
    assert (Relation.PRUNED, True) not in proven(one, other)


def test_a_few_zeros_are_no_pruning():
    assert proven(base(), pruned(base(), share=0.02)) == set()


@pytest.mark.parametrize("levels", [15, 255])
def test_a_quantised_grid_makes_the_child(levels):
    wide = base(5, 96)
    assert (Relation.QUANTIZED, True) in proven(wide, quantised(wide, levels=levels))


def grouped(weights: Weights, *, bits: int, group: int) -> Weights:
    """Rounds every matrix to a symmetric grid with a scale for each run of ``group`` weights in a row, and back."""
    most = 2 ** (bits - 1) - 1
    child = dict(weights)
    for name, value in weights.items():
        if value.ndim == 2 and value.shape[1] % group == 0:
            runs = value.reshape(-1, group)
            scale = runs.abs().amax(1, keepdim=True) / most
            child[name] = (torch.round(runs / scale) * scale).reshape(value.shape)
    return child


@pytest.mark.parametrize(("bits", "group"), [(8, 96), (4, 96), (4, 32), (3, 16)])
def test_a_grid_with_a_scale_for_every_row_or_group_makes_the_child(bits, group):
    """Over several rows there are thousands of different values, and in few bits many zeros, as in pruned networks."""
    wide = base(5, 96)
    (item,) = certificates(wide, grouped(wide, bits=bits, group=group))
    assert (item.relation, item.forward, item.log_odds) == (Relation.QUANTIZED, True, PROOF)


def test_a_finetune_that_is_quantised_is_proven_with_less_weight():
    wide = base(5, 96)
    (item,) = certificates(wide, grouped(finetuned(wide, 2), bits=4, group=32))
    assert (item.relation, item.forward) == (Relation.QUANTIZED, True)
    assert 0 < item.log_odds < PROOF


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_model_in_half_precision_lies_on_no_grid_that_quantising_makes(name):
    """Its values repeat even more often."""
    wide = cast(base(5, 96), TYPES[name])
    assert proven(wide, finetuned(cast(wide, torch.float32), 2)) == set()
    assert proven(cast(wide, torch.float32), cast(finetuned(base(5, 96), 2), TYPES[name])) == set()
    assert proven(wide, grouped(cast(wide, torch.float32), bits=8, group=96)) == {(Relation.QUANTIZED, True)}


def test_equal_rows_and_rows_of_zeros_are_no_grid():
    wide = base(5, 96)
    repeated = finetuned(wide, 2)
    repeated["embedding.weight"] = repeated["embedding.weight"][:4].repeat_interleave(24, 0)
    assert proven(wide, repeated) == set()
    lost = {name: value.clone() for name, value in finetuned(wide, 2).items()}
    random = np.random.default_rng(0)
    for value in lost.values():
        if value.ndim == 2:
            value[random.permutation(len(value))[: len(value) // 3]] = 0.0
    assert proven(wide, lost) == {(Relation.PRUNED, True)}


def test_a_cast_of_a_model_proves_more_than_one_of_its_copy_with_more_rows():
    parent = extended(base(), 2)
    child = cast(base(), torch.bfloat16)
    weights = {item.relation: item.log_odds for item in certificates(parent, child) if item.forward}
    assert weights[Relation.CAST] < PROOF


def test_two_quantised_models_prove_no_direction():
    wide = base(5, 96)
    found = proven(quantised(wide, levels=255), quantised(finetuned(wide, 2, size=0.02), levels=255))
    assert not [item for item in found if item[0] is Relation.QUANTIZED]


def test_more_vocabulary_rows_make_the_child():
    assert proven(base(), extended(base(), 2)) == {(Relation.EXTENDED, True)}
    assert proven(base(), extended(finetuned(base(), 3), 2)) == {(Relation.EXTENDED, True)}


def test_one_more_and_one_less_prove_nothing():
    shorter = {**base(), "head.weight": base()["head.weight"][:5], "head.bias": base()["head.bias"][:5]}
    assert proven(base(), extended(shorter, 2)) == set()


def test_step_counters_only_grow():
    assert proven(counted(base(), 100, 100), counted(finetuned(base(), 2), 150, 150)) == {(None, True)}


@pytest.mark.parametrize("steps", [(100, 100), (90, 120), (0, 0)])
def test_counters_that_stand_still_were_reset_or_disagree_prove_nothing(steps):
    if steps == (90, 120):
        assert proven(counted(base(), 100, 100), counted(finetuned(base(), 2), *steps)) == set()
    else:
        assert proven(counted(base(), *steps), counted(finetuned(base(), 2), *steps)) == set()


def test_unrelated_models_get_no_certificates():
    pairs = [
        (cast(root(8), torch.bfloat16), base()),
        (pruned(root(8)), base()),
        (counted(root(8), 5), counted(base(), 9)),
    ]
    assert all(proven(one, other) == set() for one, other in pairs)


def test_swapping_a_certificate_twice_changes_nothing():
    for item in certificates(base(), pruned(base())):
        assert item.swapped().forward is False
        assert item.swapped().swapped() == item
