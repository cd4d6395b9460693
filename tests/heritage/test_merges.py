"""Merges: parents and shares of weighted sums, and no merge where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heritage_samples import arrows, base, recovered

from mlflow_mother.heritage.merges import find_merge, find_merges
from mlflow_mother.testing.trees import Weights, cast, finetuned, fingerprint, lora_merged, merged, pruned, renamed
from mlflow_mother.types import Edge, Relation

TOLERANCE = 0.03


def sources(count: int, size: float = 0.2) -> dict[str, Weights]:
    return {"root": base(), **{f"source {n}": finetuned(base(), 20 + n, size=size) for n in range(count)}}


def blend(models: dict[str, Weights], shares: dict[str, float]) -> Weights:
    return merged([(models[name], share) for name, share in shares.items()])


def merge_edges(models: dict[str, Weights]) -> dict[str, Edge]:
    edges = [edge for edge in recovered(models).edges if edge.relation is Relation.MERGE]
    assert {edge.child for edge in edges} <= {"merge"}
    return {edge.parent: edge for edge in edges}


SHARES = [
    {"source 0": 0.5, "source 1": 0.5},
    {"source 0": 0.9, "source 1": 0.1},
    {"source 0": 0.2, "source 1": 0.3, "source 2": 0.5},
    {"source 0": 0.4, "source 1": 0.3, "source 2": 0.2, "source 3": 0.1},
    {"root": 0.3, "source 0": 0.7},
    {"root": 0.2, "source 0": 0.4, "source 1": 0.4},
]


@pytest.mark.parametrize("shares", SHARES, ids=lambda shares: " ".join(map(str, shares.values())))
def test_parents_and_shares_of_a_merge_are_found(shares):
    models = sources(4)
    models["merge"] = blend(models, shares)
    edges = merge_edges(models)
    assert {name: edge.weight for name, edge in edges.items()} == pytest.approx(shares, abs=TOLERANCE)
    assert all(edge.direction == "decided" and edge.probability > 0.9 for edge in edges.values())
    assert sum(edge.weight for edge in edges.values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_random_shares_of_two_are_found(seed):
    share = float(np.random.default_rng(seed).uniform(0.1, 0.9))
    models = sources(3)
    models["merge"] = blend(models, {"source 0": share, "source 2": 1 - share})
    found = {name: edge.weight for name, edge in merge_edges(models).items()}
    assert found == pytest.approx({"source 0": share, "source 2": 1 - share}, abs=TOLERANCE)


def test_a_merge_saved_in_half_precision_is_still_found():
    models = sources(3)
    shares = {"source 0": 0.6, "source 1": 0.4}
    models["merge"] = cast(blend(models, shares), torch.float16)
    assert {name: edge.weight for name, edge in merge_edges(models).items()} == pytest.approx(shares, abs=TOLERANCE)


def test_merged_loras_merge_like_any_model():
    models = {"root": base(), "one": lora_merged(base(), 2, rank=2), "two": lora_merged(base(), 3, rank=4)}
    models["merge"] = blend(models, {"one": 0.5, "two": 0.5})
    assert {name: edge.weight for name, edge in merge_edges(models).items()} == pytest.approx(
        {"one": 0.5, "two": 0.5}, abs=TOLERANCE
    )


def test_the_other_models_keep_their_parents_beside_a_merge():
    models = sources(3)
    models["merge"] = blend(models, {"source 0": 0.5, "source 1": 0.5})
    tree = recovered(models)
    assert arrows(tree.edges) == {("root", f"source {n}") for n in range(3)} | {
        ("source 0", "merge"),
        ("source 1", "merge"),
    }
    assert tree.roots == ("root",)


def test_a_finetuned_merge_is_no_exact_merge():
    models = sources(2)
    models["merge"] = finetuned(blend(models, {"source 0": 0.5, "source 1": 0.5}), 5, size=0.1)
    assert merge_edges(models) == {}


def test_a_chain_of_finetunes_is_no_merge():
    models = {"root": base(), "middle": finetuned(base(), 2)}
    models["merge"] = finetuned(models["middle"], 3)
    assert merge_edges(models) == {}


def test_a_merge_without_one_of_its_parents_names_no_other_in_its_place():
    models = sources(3)
    models["merge"] = blend(models, {"source 0": 0.5, "source 1": 0.5})
    del models["source 1"]
    assert merge_edges(models) == {}


def test_fewer_parents_are_preferred_when_both_explain_the_child():
    models = sources(3)
    models["source 2"] = blend(models, {"source 0": 0.5, "source 1": 0.5})
    child = fingerprint(blend(models, {"source 0": 0.25, "source 1": 0.75}))
    prints = {name: fingerprint(weights) for name, weights in models.items()} | {"merge": child}
    found = find_merge("merge", ["source 0", "source 1", "source 2", "root"], prints)
    assert found is not None and len(found.weights) == 2


def test_models_without_common_tensors_make_no_merge():
    prints = {
        "merge": fingerprint(base()),
        "one": fingerprint(renamed(base(), lambda name: "x" + name)),
        "two": fingerprint(finetuned(base(), 2)),
    }
    assert find_merge("merge", ["one", "two"], prints) is None


def angles(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Along the arc between two tensors (Shoemake 1985)."""
    angle = torch.arccos((one * other).double().sum() / (one.double().norm() * other.double().norm()))
    one, other = torch.sin((1 - share) * angle) * one.double(), torch.sin(share * angle) * other.double()
    return ((one + other) / torch.sin(angle)).float()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
def test_both_parents_of_a_slerp_are_found(share):
    """On the arc weights do not add up to 1, and differ from tensor to tensor."""
    models = sources(3, size=0.7)
    one, other = models["source 0"], models["source 1"]
    models["merge"] = {name: angles(one[name], other[name], share) for name in one}
    found = {name: edge.weight for name, edge in merge_edges(models).items()}
    assert found == pytest.approx({"source 0": 1 - share, "source 1": share}, abs=TOLERANCE)


def test_weights_that_differ_from_layer_to_layer_are_found():
    models = sources(3)
    one, other = models["source 0"], models["source 2"]
    random = np.random.default_rng(0)
    models["merge"] = {
        name: torch.lerp(value.double(), other[name].double(), float(random.uniform(0.1, 0.6))).float()
        for name, value in one.items()
    }
    assert set(merge_edges(models)) == {"source 0", "source 2"}


def test_copies_in_other_precision_do_not_stand_in_for_the_parents_of_a_merge():
    """However many there are, and however near."""
    models = sources(4)
    shares = {"source 0": 0.4, "source 1": 0.3, "source 2": 0.2, "source 3": 0.1}
    for name in shares:
        models[f"{name} bf16"] = cast(models[name], torch.bfloat16)
        models[f"{name} fp16"] = cast(models[name], torch.float16)
        models[f"{name} pruned"] = pruned(models[name], share=0.3)
    models["merge"] = blend(models, shares)
    assert {name: edge.weight for name, edge in merge_edges(models).items()} == pytest.approx(shares, abs=TOLERANCE)


def test_a_cast_is_a_parent_where_its_original_is_missing():
    models = sources(2)
    models["rounded"] = cast(models["source 1"], torch.bfloat16)
    models["merge"] = blend(models, {"source 0": 0.5, "source 1": 0.5})
    del models["source 1"]
    assert set(merge_edges(models)) == {"source 0", "rounded"}


def test_merges_of_the_same_models_are_not_each_other_s_parents():
    models = sources(3)
    shares = [{"source 0": share, "source 1": 1 - share} for share in (0.3, 0.5, 0.6)]
    models |= {f"merge {n}": blend(models, some) for n, some in enumerate(shares)}
    edges = [edge for edge in recovered(models).edges if edge.relation is Relation.MERGE]
    assert {(edge.child, edge.parent) for edge in edges} == {
        (f"merge {n}", name) for n, some in enumerate(shares) for name in some
    }


def test_a_merge_of_a_merge_keeps_it_as_a_parent_when_that_takes_fewer():
    models = sources(3)
    models["first"] = blend(models, {"source 0": 0.5, "source 1": 0.5})
    models["merge"] = blend(models, {"first": 0.5, "source 2": 0.5})
    prints = {name: fingerprint(weights) for name, weights in models.items()}
    near = {name: [other for other in prints if other != name] for name in prints}
    found = find_merges(near, prints, {})
    assert {child: set(merge.weights) for child, merge in found.items()} == {
        "first": {"source 0", "source 1"},
        "merge": {"first", "source 2"},
    }


def test_models_that_are_mixtures_of_each_other_are_no_merges():
    """Two layer swaps give both of their parents back: no circle is claimed."""
    root = base()
    one, other = finetuned(root, 1), finetuned(root, 2)
    first = set(list(root)[: len(root) // 2])
    swaps = [{n: (a if n in first else b)[n] for n in root} for a, b in ((one, other), (other, one))]
    found = recovered({"root": root, "one": one, "other": other, "swap": swaps[0], "back": swaps[1]})
    assert not [edge for edge in found.edges if edge.relation is Relation.MERGE]
    above = {edge.child: edge.parent for edge in found.edges if edge.direction == "decided"}
    for start in above:
        seen = {start}
        while (start := above.get(start)) is not None:
            assert start not in seen
            seen.add(start)
