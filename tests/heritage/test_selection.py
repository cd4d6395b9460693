"""Merges by selection: values picked from several models, and partial training that only looks like it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heritage_samples import base, law, recovered
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.heritage.selection import Common, pick
from mlflow_mother.testing.trees import Weights, cast, finetuned, lora_merged
from mlflow_mother.types import Relation


def tuned(count: int = 3, size: float = 0.2) -> dict[str, Weights]:
    return {"root": base(), **{f"tuned {n}": finetuned(base(), 30 + n, size=size) for n in range(count)}}


def merge_parents(models: dict[str, Weights]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for edge in recovered(models).edges:
        if edge.relation is Relation.MERGE:
            found.setdefault(edge.child, set()).add(edge.parent)
    return found


def swapped(one: Weights, other: Weights, share: float) -> Weights:
    """The last tensors from another model."""
    cut = int(len(one) * (1 - share))
    return {name: (one if place < cut else other)[name] for place, name in enumerate(one)}


def ties(start: Weights, changed: list[Weights], kept: float) -> Weights:
    """Trims small changes, elects a sign for each weight, averages what agrees (Yadav et al., arXiv 2306.01708)."""
    found = {}
    for name, value in start.items():
        changes = torch.stack([other[name].double() - value for other in changed])
        least = changes.abs().flatten(1).quantile(1 - kept, dim=1).reshape(-1, *[1] * value.ndim)
        changes = changes.masked_fill(changes.abs() < least, 0)
        agreeing = changes.masked_fill(changes.sign() != changes.sum(0).sign(), 0)
        found[name] = (value + agreeing.sum(0) / (agreeing != 0).sum(0).clamp(min=1)).float()
    return found


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_layers_of_two_models_are_found(share):
    models = tuned()
    models["merge"] = swapped(models["tuned 0"], models["tuned 2"], share)
    assert merge_parents(models) == {"merge": {"tuned 0", "tuned 2"}}


@pytest.mark.parametrize("kept", [0.2, 0.5])
def test_ties_has_the_base_for_a_parent_too(kept):
    models = tuned()
    models["merge"] = ties(models["root"], [models["tuned 0"], models["tuned 1"]], kept)
    assert merge_parents(models) == {"merge": {"root", "tuned 0", "tuned 1"}}


def test_training_some_layers_picks_nothing():
    models = tuned()
    fresh = finetuned(models["tuned 0"], 50)
    models["child"] = swapped(models["tuned 0"], fresh, 0.4)
    assert merge_parents(models) == {}


def test_a_picked_model_without_one_of_its_parents_is_no_merge():
    models = tuned()
    models["merge"] = swapped(models["tuned 0"], models["tuned 2"], 0.5)
    del models["tuned 2"]
    assert merge_parents(models) == {}


def test_a_merged_lora_and_a_new_head_do_not_make_their_parent_a_merge():
    """The two leave different parts of it untouched, so that together they hold all its values."""
    models = tuned(2)
    models["lora"] = lora_merged(models["tuned 0"], 5, rank=4)
    models["head"] = swapped(models["tuned 0"], finetuned(models["tuned 0"], 6), 0.1)
    assert merge_parents(models) == {}


def test_light_updates_in_few_bits_are_not_mistaken_for_picked_values():
    """Most values are then the same in all relatives, and others meet by chance."""
    start = cast(base(), torch.bfloat16)
    models = {f"child {n}": cast(finetuned(base(), 60 + n, size=0.004), torch.bfloat16) for n in range(6)}
    assert merge_parents({"root": start, **models}) == {}


@law
@given(st.integers(0, 10_000), st.integers(2, 4), st.floats(0.15, 0.6))
def test_a_cover_names_those_who_were_picked_from(seed, parents, least):
    random = np.random.default_rng(seed)
    sources = random.standard_normal((6, 600))
    chosen = random.permutation(6)[:parents]
    shares = np.maximum(random.dirichlet(np.ones(parents)), least)
    owner = random.choice(chosen, 600, p=shares / shares.sum())
    child = sources[owner, np.arange(600)]
    picked = pick(Common(child, sources, np.array([0]), np.abs(child) * 2.0**-23))
    assert picked is not None and {i for i, _ in picked.shares} == set(chosen.tolist())
    assert picked.covered == 1.0 and sum(share for _, share in picked.shares) == pytest.approx(1)


@law
@given(st.integers(0, 10_000), st.floats(0.06, 0.5))
def test_values_of_nobody_prevent_a_cover(seed, share):
    random = np.random.default_rng(seed)
    sources = random.standard_normal((4, 600))
    child = sources[random.integers(0, 2, 600), np.arange(600)]
    own = random.permutation(600)[: int(share * 600) + 1]
    child[own] = random.standard_normal(len(own))
    assert pick(Common(child, sources, np.array([0]), np.abs(child) * 2.0**-23)) is None
