"""Unmerged adapters: the base that they name, when it fits."""

from __future__ import annotations

import pytest
from heritage_samples import base, printed

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import recover
from mlflow_mother.testing.trees import adapter, finetuned, fingerprint, root
from mlflow_mother.types import Relation


def lora(named: str, seed: int = 2, **options: object) -> Fingerprint:
    return fingerprint(adapter(base(), seed, rank=4, **options), base=named, rank=4)


@pytest.mark.parametrize(
    ("named", "model"),
    [
        ("models:/base/1", "models:/base/1"),
        ("org/base", "base"),
        ("base", "runs/base.safetensors"),
        ("base", "models:/base/3"),
        ("/data/checkpoints/base", "base"),
    ],
)
def test_an_adapter_finds_the_base_that_it_names(named, model):
    (edge,) = recover({model: printed(base()), "lora": lora(named), "stranger": printed(base(9, 32))}).edges
    assert (edge.parent, edge.child, edge.relation, edge.rank) == (model, "lora", Relation.ADAPTER, 4)
    assert edge.direction == "decided" and edge.probability > 0.9


def test_a_declared_id_resolves_a_name_that_is_no_id():
    models = {"models:/m/1": printed(base()), "lora": lora("meta/Unknown-7B")}
    assert recover(models).edges == ()
    (edge,) = recover(models, declared={"lora": ["models:/m/1"]}).edges
    assert (edge.parent, edge.relation) == ("models:/m/1", Relation.ADAPTER)


def test_a_base_of_other_shapes_is_no_base():
    assert recover({"base": printed(base(1, 32)), "lora": lora("base")}).edges == ()


def test_a_base_without_the_adapted_layers_is_no_base():
    bare = {name: value for name, value in base().items() if "mix" not in name}
    assert recover({"base": fingerprint(bare), "lora": lora("base")}).edges == ()


def test_shapes_alone_make_no_base():
    assert recover({"other": printed(base()), "lora": lora("base")}).edges == ()


def test_two_bases_of_the_name_share_the_probability():
    models = {"x/base": printed(base()), "y/base": printed(root(2)), "lora": lora("base")}
    (edge,) = recover(models).edges
    assert edge.probability == pytest.approx(0.495)


def test_an_adapter_is_no_base_of_an_adapter():
    found = recover({"base": lora("nothing", 3), "lora": lora("base", 4)})
    assert not [edge for edge in found.edges if edge.relation is Relation.ADAPTER]


def test_a_trained_on_adapter_is_a_finetune_of_the_first():
    first = adapter(base(), 2, rank=16)
    second = finetuned(first, 3)
    models = {
        "base": printed(base()),
        "first": fingerprint(first, base="base"),
        "second": fingerprint(second, base="base"),
    }
    pairs = {(edge.parent, edge.child) for edge in recover(models).edges}
    assert ("base", "first") in pairs
    assert pairs & {("first", "second"), ("second", "first")}


def test_copies_of_an_adapter_are_copies():
    models = {"base": printed(base()), "a": lora("base"), "b": lora("base")}
    found = {(e.parent, e.child): e.relation for e in recover(models, times={"a": 1.0, "b": 2.0}).edges}
    assert found == {("base", "a"): Relation.ADAPTER, ("a", "b"): Relation.COPY}
