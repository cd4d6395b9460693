"""Models with nothing in them, or nothing that can be compared, give sound results."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from heritage_samples import base, printed, recovered

from mlflow_mother.heritage import compare, recover
from mlflow_mother.testing.trees import Weights, finetuned, fingerprint

NAN = float("nan")


def poisoned(weights: Weights, value: float, share: float) -> Weights:
    made = {}
    for name, tensor in weights.items():
        flat = tensor.clone().flatten()
        flat[: math.ceil(share * len(flat))] = value
        made[name] = flat.view(tensor.shape)
    return made


ODD: dict[str, Weights] = {
    "empty": {},
    "scalar": {"scale": torch.tensor(2.0)},
    "zero size": {"a.weight": torch.zeros(0, 4), "b.weight": torch.zeros(4, 0), "c": torch.zeros(0)},
    "vectors only": {f"v{n}": torch.randn(70, generator=torch.Generator().manual_seed(n)) for n in range(5)},
    "all zeros": {name: torch.zeros_like(value) for name, value in base().items()},
    "all ones": {name: torch.ones_like(value) for name, value in base().items()},
    "all NaN": poisoned(base(), NAN, 1.0),
    "half NaN": poisoned(base(), NAN, 0.5),
    "infinite": poisoned(base(), float("inf"), 0.1),
    "integers": {"table.weight": torch.arange(600).view(20, 30), "bits": torch.ones(8, 8, dtype=torch.bool)},
    "one row": {"w.weight": torch.randn(1, 300, generator=torch.Generator().manual_seed(1))},
    "enormous": {name: value.double() * 1e100 for name, value in base().items()},
    "vanishing": {name: value * 1e-38 for name, value in base().items()},
    "beyond squares": {name: value.double() * 1e-160 for name, value in base().items()},
    "whole": base(),
    "many dimensions": {"w": torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(1))},
}


@pytest.mark.parametrize("names", list(permutations(ODD, 2)), ids="-".join)
def test_any_two_can_be_compared(names):
    comparison = compare(*(printed(ODD[name]) for name in names))
    numbers = [
        comparison.cosine,
        comparison.chance,
        comparison.distance,
        comparison.related,
        *comparison.hypotheses.posterior(),
    ]
    assert all(math.isfinite(number) for number in numbers)
    assert 0 <= comparison.related <= 1
    assert type(comparison).model_validate_json(comparison.model_dump_json()) == comparison


def test_all_together_make_a_tree():
    tree = recovered(ODD)
    assert {node.id for node in tree.nodes if node.kind == "model"} == set(ODD)
    # Half of its values gone is an unusual, but a recognisable child of the whole model; so are its multiples.
    assert {edge.child for edge in tree.edges} | {edge.parent for edge in tree.edges if edge.parent in ODD} <= {
        "whole",
        "half NaN",
        "infinite",
        "enormous",
        "vanishing",
    }


def test_no_models_make_an_empty_tree():
    tree = recover({})
    assert (tree.nodes, tree.edges, tree.roots) == ((), (), ())


@pytest.mark.parametrize("name", ODD)
def test_one_model_is_its_own_root(name):
    tree = recovered({name: ODD[name]})
    assert ([node.id for node in tree.nodes], tree.edges, tree.roots) == ([name], (), (name,))


@pytest.mark.parametrize("name", ODD)
def test_two_copies_of_anything_are_copies(name):
    (edge,) = recovered({"a": ODD[name], "b": dict(ODD[name])}, times={"a": 1.0, "b": 2.0}).edges
    assert (edge.parent, edge.child, edge.relation.value) == ("a", "b", "copy")


def test_models_of_vectors_alone_are_never_related():
    """Vectors that start at 0 or 1 look alike in every network."""
    vectors = ODD["vectors only"]
    assert recovered({"a": vectors, "b": finetuned(vectors, 2, size=0.01)}).edges == ()


def test_a_child_with_some_broken_values_keeps_its_parent():
    child = finetuned(base(), 2)
    child["blocks.0.mix.weight"][0, 0] = NAN
    child["head.bias"][0] = float("-inf")
    (edge,) = recovered({"root": base(), "child": child}).edges
    assert (edge.parent, edge.child) == ("root", "child")


def test_a_parent_with_an_empty_tensor_keeps_its_child():
    parent = {**base(), "unused.weight": torch.zeros(0, 48), "empty.bias": torch.zeros(0)}
    (edge,) = recover({"root": fingerprint(parent), "child": fingerprint(finetuned(parent, 2))}).edges
    assert (edge.parent, edge.direction) == ("root", "decided")


def test_one_model_with_vanishing_values_leaves_its_relatives_their_parents():
    """Their squares' ratios are infinite: once they turned all probabilities of the family into NaN."""

    def with_extra(weights, extra):
        return {**weights, "extra": extra.double()}

    noise = [torch.randn(64, generator=torch.Generator().manual_seed(n)) for n in range(6)]
    middle = finetuned(base(), 2)
    models = {"root": base(), "middle": middle, "last": finetuned(middle, 3), "brother": finetuned(base(), 4)}
    models = {name: with_extra(weights, extra) for (name, weights), extra in zip(models.items(), noise, strict=False)}
    bad = with_extra(finetuned(base(), 5), 1e-160 * noise[5].double().sign())
    found = {(edge.parent, edge.child) for edge in recovered({**models, "bad": bad}).edges}
    assert {("root", "middle"), ("middle", "last"), ("root", "brother"), ("root", "bad")} == found


@pytest.mark.parametrize("masked", [-1e9, torch.finfo(torch.float32).min])
def test_a_mask_that_all_relatives_hold_hides_no_parent(masked):
    mask = torch.triu(torch.full((64, 64), masked), 1)
    middle = finetuned(base(), 2, size=0.15)
    models = {"root": base(), "middle": middle, "last": finetuned(middle, 3, size=0.15)}
    models |= {f"brother {n}": finetuned(base(), 10 + n, size=0.15) for n in range(3)}
    plain = recovered(models)
    held = recovered({name: {**weights, "attn.mask": mask} for name, weights in models.items()})
    assert {(edge.parent, edge.child) for edge in held.edges} == {(edge.parent, edge.child) for edge in plain.edges}
    assert {edge.parent for edge in plain.edges} == {"root", "middle"}
