"""Names are normalised the same way whatever wrapped the network, and stay unique."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.weights.names import normalise

WORDS = ["layers", "0", "1", "attn", "mlp", "head", "weight", "bias", "model", "module", "base_layer", "lora_A", "x"]
NAMES = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(".".join), max_size=12, unique=True)
PLAIN = ["embed.weight", "layers.0.attn.weight", "layers.0.attn.bias", "layers.1.attn.weight", "head.weight"]


@pytest.mark.parametrize(
    ("stored", "normal"),
    [
        ("model.layers.0.q.weight", "layers.0.q.weight"),
        ("module.model.layers.0.q.weight", "layers.0.q.weight"),
        ("_orig_mod.layers.0.q.weight", "layers.0.q.weight"),
        ("layers.0._fsdp_wrapped_module.q.weight", "layers.0.q.weight"),
        ("model.layers.0.q.base_layer.weight", "layers.0.q.weight"),
        ("base_model.model.model.layers.0.q.lora_A.default.weight", "layers.0.q.lora_A.weight"),
        ("base_model.model.model.layers.0.q.lora_A.weight", "layers.0.q.lora_A.weight"),
        ("base_model.model.embed.lora_embedding_A.default", "embed.lora_embedding_A"),
        ("base_model.model.embed.lora_embedding_A", "embed.lora_embedding_A"),
        ("base_model.model.score.modules_to_save.default.weight", "score.weight"),
        ("layers.0.lora_A.my_task.weight", "layers.0.lora_A.weight"),
        ("weight", "weight"),
        ("model.weight", "weight"),
        ("model", "model"),
    ],
)
def test_wrapper_words_are_removed(stored, normal):
    assert normalise([stored, "other.weight", "lora_B.x"])[stored] == normal


def test_words_that_all_names_begin_with_are_removed():
    assert list(normalise([f"net.encoder.{name}" for name in PLAIN]).values()) == PLAIN


def test_an_adapter_keeps_the_words_of_the_network_it_adapts():
    names = ["base_model.model.model.layers.0.q.lora_A.weight", "base_model.model.model.layers.1.q.lora_A.weight"]
    assert list(normalise(names).values()) == ["layers.0.q.lora_A.weight", "layers.1.q.lora_A.weight"]


def test_a_saved_base_and_its_adapter_agree_with_the_plain_base():
    base = normalise(["model.embed.weight", "model.layers.0.q.weight", "lm_head.weight"])
    wrapped = normalise(["model.embed.weight", "model.layers.0.q.base_layer.weight", "lm_head.weight"])
    assert list(base.values()) == list(wrapped.values())


@pytest.mark.parametrize(
    "wrap",
    [lambda net: torch.compile(net, backend="eager"), lambda net: torch.nn.Sequential(net), torch.nn.DataParallel],
)
def test_real_wrappers_do_not_change_names(wrap):
    def net():
        return torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2)))

    plain, wrapped = normalise(net().state_dict()), normalise(wrap(net()).state_dict())
    assert list(plain.values()) == list(wrapped.values())


def test_names_that_would_collide_keep_their_stored_form():
    names = normalise(["model.a.weight", "a.weight", "b.weight"])
    assert names == {"model.a.weight": "model.a.weight", "a.weight": "a.weight", "b.weight": "b.weight"}


@given(NAMES)
def test_normal_names_are_unique_and_do_not_depend_on_order(names):
    normal = normalise(names)
    assert list(normal) == names
    assert len(set(normal.values())) == len(names)
    assert normalise(reversed(names)) == normal


@given(NAMES, st.sampled_from(["module.", "_orig_mod.", "net.", "my.wrapper."]))
def test_a_wrapper_prefix_changes_nothing(names, prefix):
    names = [name for name in names if "base_layer" not in name and "lora_" not in name]
    plain = normalise(["z.first", "model.second", *(f"layer.{name}" for name in names)])
    wrapped = normalise([prefix + name for name in plain])
    assert list(wrapped.values()) == list(plain.values())
