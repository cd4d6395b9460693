"""A slice of the demo's family, really trained: smaller networks, fewer epochs, the same functions."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from benchmarks.demo.family import SmallViT, lora_merged, merged, mirrored, noisy, pruned, rotated, train, upright
from mlflow_mother.heritage import recover
from mlflow_mother.testing.trees import fingerprint
from mlflow_mother.types import ModelTree, Relation


def _pretrained(seed: int, epochs: int = 8) -> nn.Module:
    torch.manual_seed(seed)
    model = SmallViT(32, 2)
    train(model, upright, seed=seed, epochs=epochs, lr=3e-3, weight_decay=0.05)
    return model


def _finetuned(parent: nn.Module, view: object, seed: int) -> nn.Module:
    child = copy.deepcopy(parent)
    train(child, view, seed=seed, epochs=3, lr=2e-4, weight_decay=0.01)
    return child


@pytest.fixture(scope="session")
def tree() -> ModelTree:
    torch.set_num_threads(1)
    base = _pretrained(1)
    turned, grainy = _finetuned(base, rotated, 2), _finetuned(base, noisy, 3)
    models = {
        "base": base,
        "rotated": turned,
        "noisy": grainy,
        "lora": lora_merged(base, mirrored, rank=3, seed=4, epochs=2, lr=2e-3),
        "half": copy.deepcopy(grainy).bfloat16(),
        "sparse": pruned(turned),
        "soup": merged(turned, grainy, 0.6),
        "copy": copy.deepcopy(base),
        "stranger": _pretrained(5, epochs=3),
    }
    prints = {name: fingerprint(model.state_dict()) for name, model in models.items()}
    return recover(prints, times={"base": 1.0, "copy": 2.0})


pytestmark = pytest.mark.slow

CERTIFIED = {
    ("base", "lora"): Relation.LORA_MERGED,
    ("noisy", "half"): Relation.CAST,
    ("rotated", "sparse"): Relation.PRUNED,
    ("rotated", "soup"): Relation.MERGE,
    ("noisy", "soup"): Relation.MERGE,
    ("base", "copy"): Relation.COPY,
}


def test_all_certified_relations_are_right(tree):
    named = {Relation.LORA_MERGED, Relation.CAST, Relation.PRUNED, Relation.MERGE, Relation.COPY}
    found = {(edge.parent, edge.child): edge.relation for edge in tree.edges if edge.relation in named}
    assert found == CERTIFIED


def test_the_rank_and_the_shares_are_exact(tree):
    edges = {(edge.parent, edge.child): edge for edge in tree.edges}
    assert edges["base", "lora"].rank == 3
    assert edges["rotated", "soup"].weight == pytest.approx(0.6, abs=0.03)
    assert edges["noisy", "soup"].weight == pytest.approx(0.4, abs=0.03)


def test_finetunes_belong_to_the_base_in_the_right_direction_or_undecided(tree):
    for name in ("rotated", "noisy"):
        (edge,) = [e for e in tree.edges if {e.parent, e.child} == {"base", name}]
        assert edge.direction == "undecided" or (edge.parent, edge.child) == ("base", name)
        assert edge.relation is Relation.FINETUNE


def test_a_stranger_trained_on_the_same_task_stays_alone(tree):
    assert not [edge for edge in tree.edges if "stranger" in {edge.parent, edge.child}]
