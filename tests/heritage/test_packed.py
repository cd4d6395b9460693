"""Packed children: integers with scales are proven from the weights they were made of, and from no others."""

from __future__ import annotations

import pytest
import torch
from heritage_samples import base, printed

from mlflow_mother.heritage.certificates import PROOF
from mlflow_mother.heritage.packed import packed
from mlflow_mother.testing.trees import Weights, finetuned, fingerprint
from mlflow_mother.types import Relation


def stored(weights: Weights, *, bits: int, group: int) -> Weights:
    """Integers and the scales of runs of ``group`` weights; two of four bits to a byte."""
    most = 2 ** (bits - 1) - 1
    child: Weights = {}
    for name, value in weights.items():
        if value.ndim < 2:
            child[name] = value
            continue
        runs = value.reshape(len(value), -1, group)
        scale = runs.abs().amax(-1, keepdim=True) / most
        steps = torch.round(runs / scale).to(torch.int8).reshape(len(value), -1)
        child[name] = steps if bits == 8 else ((steps[:, ::2] & 15) | (steps[:, 1::2] << 4)).to(torch.uint8)
        child[f"{name}_scale"] = scale.squeeze(-1)
    return child


@pytest.mark.parametrize(("bits", "group"), [(8, 48), (8, 16), (4, 48), (4, 16)])
def test_packed_weights_are_proven_from_both_sides(bits, group):
    parent, child = printed(base()), fingerprint(stored(base(), bits=bits, group=group))
    (item,) = packed(parent, child)
    assert (item.relation, item.forward, item.log_odds) == (Relation.QUANTIZED, True, PROOF)
    assert packed(child, parent) == (item.swapped(),)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_relative_of_the_packed_model_is_not_its_parent(bits):
    child = fingerprint(stored(base(), bits=bits, group=48))
    assert packed(fingerprint(finetuned(base(), 2, size=0.01)), child) == ()


def test_one_bias_that_moved_is_no_proof():
    moved = {**base(), "head.bias": base()["head.bias"] * 1.01}
    assert packed(fingerprint(moved), fingerprint(stored(base(), bits=8, group=48))) == ()


def test_two_packed_forms_and_plain_models_prove_nothing():
    one, other = (fingerprint(stored(base(), bits=bits, group=48)) for bits in (8, 4))
    assert packed(one, other) == packed(printed(base()), printed(base())) == ()
