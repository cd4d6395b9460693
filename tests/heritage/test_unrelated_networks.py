"""Networks of one architecture that share no ancestor get no edge, whatever small things they have in common."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from heritage_samples import base, compared, recovered

from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.heritage import compare, recover
from mlflow_mother.testing.trees import Weights, finetuned, fingerprint, root

SHARED = {
    "embedding only": ["embedding.weight"],
    "one matrix": ["blocks.1.up.weight"],
    "all norm gains": [f"blocks.{n}.norm.weight" for n in range(4)],
    "all biases": [name for name in root(1) if name.endswith("bias")],
    "head": ["head.weight", "head.bias"],
}


def with_table(weights: Weights) -> Weights:
    """Adds position tables and masks, which are the same in every network of the architecture."""
    table = torch.outer(torch.arange(40.0), torch.arange(1.0, 25.0)).sin()
    return {**weights, "position.weight": table, "mask": torch.ones(40, 40).tril(), "ids": torch.arange(40)}


def test_random_networks_of_one_architecture_are_unrelated():
    models = {f"m{n}": fingerprint(root(100 + n)) for n in range(16)}
    assert max(compare(models[a], models[b]).related for a, b in combinations(models, 2)) < 0.01
    tree = recover(models)
    assert tree.edges == () and len(tree.nodes) == len(tree.roots) == 16


@pytest.mark.parametrize("k", [8, 16, 32])
def test_narrow_sketches_relate_no_strangers_either(k):
    models = {f"m{n}": fold(fingerprint(root(200 + n)), k) for n in range(12)}
    assert recover(models).edges == ()


@pytest.mark.parametrize("size", [8, 16])
def test_tiny_random_networks_are_unrelated(size):
    models = {f"m{n}": fingerprint(root(300 + n, width=size, depth=1)) for n in range(16)}
    assert recover(models).edges == ()


@pytest.mark.parametrize("names", SHARED.values(), ids=SHARED)
def test_sharing_some_tensors_is_no_heritage(names):
    stranger = root(9)
    for name in names:
        stranger[name] = base()[name]
    assert recovered({"a": base(), "b": stranger}).edges == ()


@pytest.mark.parametrize("size", [0.01, 0.2])
def test_a_finetune_of_a_shared_embedding_is_no_heritage(size):
    stranger = {**root(9), "embedding.weight": finetuned(base(), 2, size=size)["embedding.weight"]}
    assert recovered({"a": base(), "b": stranger}).edges == ()


def test_constant_tables_are_no_heritage():
    assert recovered({"a": with_table(root(7)), "b": with_table(root(8))}).edges == ()


def test_constant_tables_hide_no_heritage():
    tree = recovered({"a": with_table(base()), "b": with_table(finetuned(base(), 2))})
    assert [(edge.parent, edge.child) for edge in tree.edges] == [("a", "b")]


def test_the_same_norm_gains_and_biases_from_the_initialisation_are_no_heritage():
    fresh = []
    for seed in (7, 8):
        weights = root(seed)
        for name, value in weights.items():
            if value.ndim == 1:
                weights[name] = torch.ones_like(value) if "norm" in name else torch.zeros_like(value)
        fresh.append(weights)
    assert recovered({"a": fresh[0], "b": fresh[1]}).edges == ()


@pytest.mark.parametrize("size", [0.5, 1.5, 4.0])
def test_the_same_initialisation_alone_makes_no_parent(size):
    """Trained apart from one random start; neither descends from the other."""
    runs = {f"run {n}": finetuned(base(), 40 + n, size=size) for n in range(2)}
    tree = recovered(runs)
    assert not [edge for edge in tree.edges if edge.parent in runs and edge.direction == "decided"]


def test_two_architectures_are_unrelated():
    other = {f"net.{n}.weight": torch.randn(33, 17, generator=torch.Generator().manual_seed(n)) for n in range(4)}
    comparison = compared(base(), other)
    assert comparison.related == 0.0 and comparison.tensors == 0
    assert recovered({"a": base(), "b": other}).edges == ()


def test_a_family_and_strangers_are_kept_apart():
    models = {"root": base(), "child": finetuned(base(), 2), "one": root(8), "two": root(9)}
    tree = recovered(models)
    assert [(edge.parent, edge.child) for edge in tree.edges] == [("root", "child")]
    assert tree.roots == ("one", "root", "two")
