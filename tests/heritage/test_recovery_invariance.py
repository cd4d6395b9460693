"""A tree follows from the weights alone: not from ids, orders, wrappers, shards, caches or the sketch's width."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from heritage_samples import arrows, base, few, law, printed
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import ENGINE, Comparison, compare, recover
from mlflow_mother.testing.trees import (
    Weights,
    cast,
    extended,
    finetuned,
    fingerprint,
    lora_merged,
    merged,
    root,
    shuffled,
    wrapped,
)
from mlflow_mother.types import ModelTree
from mlflow_mother.weights.model import LocalFiles

NAMES = ("half", "longer", "lora", "other", "root", "soup", "stranger", "tuned")


@lru_cache(maxsize=1)
def family() -> dict[str, Weights]:
    """Every relation once, two trees and a stranger."""
    tuned, other = finetuned(base(), 2), finetuned(base(), 3)
    return {
        "root": base(),
        "tuned": tuned,
        "other": other,
        "lora": lora_merged(base(), 4, rank=4),
        "half": cast(tuned, torch.bfloat16),
        "longer": extended(other, 5),
        "soup": merged([(tuned, 0.6), (other, 0.4)]),
        "stranger": root(9),
    }


TRUTH = {
    ("root", "tuned"),
    ("root", "other"),
    ("root", "lora"),
    ("tuned", "half"),
    ("other", "longer"),
    ("tuned", "soup"),
    ("other", "soup"),
}


@lru_cache(maxsize=1)
def prints() -> dict[str, Fingerprint]:
    return {name: printed(weights) for name, weights in family().items()}


COMPARISONS: dict[tuple[str, str], Comparison] = {}
"""Comparisons are by digest, so that those of one order and naming serve every other one."""


@lru_cache(maxsize=1)
def expected() -> ModelTree:
    return recover(prints())


def assert_same(found: ModelTree, to: ModelTree | None = None) -> None:
    assert found.model_dump_json() == (to or expected()).model_dump_json()


def test_the_family_is_recovered():
    assert arrows(expected().edges) == TRUTH


@few
@given(st.permutations(NAMES))
def test_the_order_of_the_models_changes_nothing(order):
    assert_same(recover({name: prints()[name] for name in order}, comparisons=COMPARISONS))


@few
@given(st.permutations(NAMES))
def test_ids_change_nothing_but_the_ids(order):
    """Every model takes another one's name."""
    names = dict(zip(sorted(prints()), order, strict=True))
    found = recover({names[name]: value for name, value in prints().items()}, comparisons=COMPARISONS)
    assert arrows(found.edges) == {(names[parent], names[child]) for parent, child in TRUTH}
    by_pair = {(edge.parent, edge.child): edge for edge in found.edges}
    for edge in expected().edges:
        other = by_pair[names[edge.parent], names[edge.child]]
        assert (other.relation, other.rank) == (edge.relation, edge.rank)
        assert other.probability == pytest.approx(edge.probability, abs=1e-6)
        assert other.weight == pytest.approx(edge.weight, abs=1e-3)


def test_the_order_of_the_tensors_changes_nothing():
    assert_same(recover({name: fingerprint(shuffled(weights, 7)) for name, weights in family().items()}))


def test_wrappers_change_nothing():
    prefixes = ["", "module.", "_orig_mod.", "model.", "module._orig_mod."]
    models = {
        name: fingerprint(wrapped(weights, prefixes[place % len(prefixes)]))
        for place, (name, weights) in enumerate(family().items())
    }
    assert_same(recover(models))


def test_shards_change_nothing_but_the_format(tmp_path: Path):
    models = {}
    for name, weights in family().items():
        folder = tmp_path / name
        folder.mkdir()
        names = sorted(weights)
        index = {key: f"model-0000{1 + place % 3}-of-00003.safetensors" for place, key in enumerate(names)}
        for shard in sorted(set(index.values())):
            save_file({key: weights[key].contiguous() for key in names if index[key] == shard}, folder / shard)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
        models[name] = fingerprint_model(LocalFiles(folder), threads=1)
    found = recover(models)
    assert found.edges == expected().edges and found.roots == expected().roots


@pytest.mark.parametrize("k", [16, 32])
def test_the_width_of_the_sketch_leaves_the_edges_as_they_are(k):
    folded = {name: fold(value, k) for name, value in prints().items()}
    found = recover(folded)
    assert arrows(found.edges) == TRUTH
    assert {(e.parent, e.child): e.relation for e in found.edges} == {
        (e.parent, e.child): e.relation for e in expected().edges
    }


def test_fingerprints_of_different_widths_are_compared_at_the_narrower():
    widths = [64, 32, 16]
    mixed = {name: fold(value, widths[n % 3]) for n, (name, value) in enumerate(prints().items())}
    assert arrows(recover(mixed).edges) == TRUTH


def test_comparisons_are_cached_by_sorted_digests_and_reused():
    cache: dict[tuple[str, str], Comparison] = {}
    calls: list[tuple[int, int]] = []
    assert_same(recover(prints(), comparisons=cache, progress=lambda done, total: calls.append((done, total))))
    count = len(prints())
    pairs = count * (count - 1) // 2
    assert len(cache) == pairs and all(one <= other for one, other in cache)
    assert calls == [(n + 1, pairs) for n in range(pairs)]
    kept = dict(cache)
    assert_same(recover(prints(), comparisons=cache))
    assert all(cache[key] is kept[key] for key in kept)


def test_a_comparison_of_another_engine_is_made_again():
    one, other = sorted((prints()["root"], prints()["tuned"]), key=lambda value: value.digest)
    stale = compare(one, other).model_copy(update={"engine": "mother-heritage/0", "cosine": 0.0})
    cache = {(one.digest, other.digest): stale}
    recover({"root": prints()["root"], "tuned": prints()["tuned"]}, comparisons=cache)
    assert cache[one.digest, other.digest].engine == ENGINE


def test_a_comparison_survives_json():
    comparison = compare(prints()["tuned"], prints()["half"])
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison


PAIRS = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES))


@law
@given(PAIRS)
def test_a_comparison_is_the_same_from_both_sides(pair):
    one, other = (prints()[name] for name in pair)
    there, back = compare(one, other), compare(other, one).swapped()
    exact = {"first", "second", "tensors", "identical", "matrices", "missing", "engine"}
    assert there.model_dump(include=exact) == back.model_dump(include=exact)
    assert (there.cosine, there.chance, there.distance) == pytest.approx((back.cosine, back.chance, back.distance))
    assert {item.model_dump_json() for item in there.certificates} == {i.model_dump_json() for i in back.certificates}
    for group, same in zip(there.projections, back.projections, strict=True):
        assert group.slope == pytest.approx(same.slope, abs=1e-5)
    assert list(there.hypotheses.model_dump().values()) == pytest.approx(
        list(back.hypotheses.model_dump().values()), abs=1e-3
    )


@law
@given(PAIRS)
def test_swapping_a_comparison_twice_changes_nothing(pair):
    comparison = compare(*(prints()[name] for name in pair))
    twice = comparison.swapped().swapped()
    assert twice.certificates == comparison.certificates and twice.first == comparison.first
    hypotheses = comparison.hypotheses
    assert comparison.swapped().hypotheses.model_dump() == pytest.approx(hypotheses.swapped().model_dump(), abs=1e-6)
    assert comparison.swapped().related == comparison.related
