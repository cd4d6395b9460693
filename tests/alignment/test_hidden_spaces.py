"""Trained networks, rearranged: found, undone, and told from networks that were trained apart."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from alignment_samples import Family, aligned, source

from benchmarks import obfuscation
from benchmarks.zoo import learning
from benchmarks.zoo.data import batches
from benchmarks.zoo.networks import ARCHITECTURES
from mlflow_mother.alignment import Alignment, aligned_tensors
from mlflow_mother.fingerprint.compute import fingerprint_model, fingerprint_tensors
from mlflow_mother.heritage import compare, recover
from mlflow_mother.weights import LocalFiles

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def rearranged(family: Family, state: dict[str, torch.Tensor], what: str) -> dict[str, torch.Tensor]:
    return obfuscation.CHANGES[what][0](state, family.name, np.random.default_rng(3))


@pytest.mark.parametrize(
    ("what", "name"), [(what, name) for what, (_, fitting) in obfuscation.CHANGES.items() for name in fitting]
)
def test_what_is_called_a_copy_computes_the_same(what: str, name: str) -> None:
    change = obfuscation.CHANGES[what][0]
    torch.manual_seed(0)
    network = ARCHITECTURES[name].make().eval()
    (inputs, _) = next(batches(ARCHITECTURES[name].domain, 0, 1, 0))
    with torch.no_grad():
        for parameter in network.parameters():  # initial biases and gains would hide mistakes
            parameter.add_(0.05 * torch.randn_like(parameter))
        expected = learning._logits(network, inputs)
        before = {key: value.clone() for key, value in network.state_dict().items()}
        changed = change(before, name, np.random.default_rng(1))
        assert not all(torch.equal(before[key], changed[key]) for key in before)
        network.load_state_dict(changed)
        torch.testing.assert_close(learning._logits(network, inputs), expected, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("what", ["permuted", "rescaled", "permuted, rescaled"])
def test_a_rearranged_perceptron_is_a_copy(perceptrons: Family, what: str, tmp_path: Path) -> None:
    result = aligned(perceptrons.child, rearranged(perceptrons, perceptrons.child, what), tmp_path).result
    assert result.verdict == "copy"
    assert result.cosine > 0.9999
    assert result.cosine_before < 0.7
    assert [space.kind for space in result.spaces] == ["permuted"] * (3 if "permuted" in what else 0)
    assert bool(result.rescaled) == ("rescaled" in what)
    assert result.only_moved == (what == "permuted")


@pytest.mark.parametrize("what", ["permuted, signs flipped", "permuted, rotated", "permuted, linear"])
def test_a_rearranged_transformer_is_a_copy(transformers: Family, what: str, tmp_path: Path) -> None:
    result = aligned(transformers.child, rearranged(transformers, transformers.child, what), tmp_path).result
    assert result.verdict == "copy"
    kind = {"permuted, signs flipped": "signs flipped", "permuted, rotated": "rotated"}.get(
        what, "transformed linearly"
    )
    assert sorted(space.kind for space in result.spaces) == sorted(["permuted"] * 3 + [kind] * 6)
    assert result.cosine > 0.9999
    assert all(space.agreement > 0.95 for space in result.spaces)


def test_a_permuted_copy_is_put_back_to_the_bit(transformers: Family, tmp_path: Path) -> None:
    alignment = aligned(transformers.root, rearranged(transformers, transformers.root, "permuted"), tmp_path)
    assert alignment.result.verdict == "copy"
    back = fingerprint_tensors(aligned_tensors(alignment), threads=1)
    assert back.digest == fingerprint_model(LocalFiles(tmp_path / "first.safetensors"), threads=1).digest


def test_half_precision_is_put_back_to_the_bit(perceptrons: Family, tmp_path: Path) -> None:
    half = {name: value.bfloat16() for name, value in perceptrons.root.items()}
    alignment = aligned(half, rearranged(perceptrons, half, "permuted"), tmp_path)
    back = fingerprint_tensors(aligned_tensors(alignment), threads=1)
    assert back.digest == fingerprint_model(LocalFiles(tmp_path / "first.safetensors"), threads=1).digest


def test_the_ordinary_comparison_goes_on_with_a_permuted_child(transformers: Family, tmp_path: Path) -> None:
    plain = aligned(transformers.root, transformers.child, tmp_path)
    assert plain.result.verdict == "nothing-hidden"
    root, child = (fingerprint_model(LocalFiles(tmp_path / f"{n}.safetensors"), threads=1) for n in ("first", "second"))
    alignment = aligned(transformers.root, rearranged(transformers, transformers.child, "permuted"), tmp_path)
    assert alignment.result.verdict == "related"
    back = fingerprint_tensors(aligned_tensors(alignment), threads=1)
    assert compare(root, back).distance == pytest.approx(compare(root, child).distance, rel=0.05)
    said = [[(edge.parent, edge.child) for edge in recover({"a": root, "b": one}).edges] for one in (child, back)]
    assert said[0] == said[1]


def test_fine_tunes_are_found_in_every_disguise(perceptrons: Family, transformers: Family, tmp_path: Path) -> None:
    for family in (perceptrons, transformers):
        for what, (_, fitting) in obfuscation.CHANGES.items():
            if family.name in fitting:
                result = aligned(family.root, rearranged(family, family.child, what), tmp_path).result
                assert result.verdict == "related", (family.name, what)
                assert result.cosine > 0.8, (family.name, what)


def test_networks_trained_apart_hide_nothing(perceptrons: Family, transformers: Family, tmp_path: Path) -> None:
    for family, state in (
        (perceptrons, perceptrons.stranger),
        (perceptrons, rearranged(perceptrons, perceptrons.stranger, "permuted")),
        (transformers, transformers.stranger),
    ):
        result = aligned(family.root, state, tmp_path).result
        assert result.verdict == "nothing-hidden"
        assert not result.spaces
        assert result.equal_spectra == 0
        assert result.spectral_distance is not None
        assert result.spectral_distance > 1e-3


def test_names_and_their_order_do_not_matter(transformers: Family, tmp_path: Path) -> None:
    hidden = rearranged(transformers, transformers.child, "permuted")
    named = aligned(transformers.child, hidden, tmp_path).result
    places = np.random.default_rng(0).permutation(len(hidden))
    renamed = {f"t{place}": value for place, value in zip(places, hidden.values(), strict=True)}
    result = aligned(transformers.child, renamed, tmp_path).result
    assert result.renamed
    assert not named.renamed
    same = {"renamed": True, "spectra": named.spectra, "spectral_distance": named.spectral_distance}
    assert result.model_copy(update={**same, "equal_spectra": named.equal_spectra}) == named.model_copy(update=same)


def test_both_sides_say_the_same(perceptrons: Family, tmp_path: Path) -> None:
    hidden = rearranged(perceptrons, perceptrons.child, "permuted")
    there, back = aligned(perceptrons.root, hidden, tmp_path), aligned(hidden, perceptrons.root, tmp_path)
    assert there.result.verdict == back.result.verdict == "related"
    assert there.result.cosine == pytest.approx(back.result.cosine, abs=1e-4)
    for one, other in zip(there.spaces, back.spaces, strict=True):
        np.testing.assert_array_equal(one.map.order[other.map.order], np.arange(one.map.units))


def test_a_chain_of_flipped_layers_gets_its_signs_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    widths = (20, 48, 40, 32, 10)
    shapes = enumerate(pairwise(widths))
    first = {f"{i}.weight": rng.standard_normal((b, a)).astype("f4") for i, (a, b) in shapes}
    second = dict(first)
    for layer, width in enumerate(widths[1:-1]):
        order, signs = rng.permutation(width), rng.choice([-1.0, 1.0], width).astype("f4")
        second[f"{layer}.weight"] = (second[f"{layer}.weight"] * signs[:, None])[order]
        second[f"{layer + 1}.weight"] = (second[f"{layer + 1}.weight"] * signs)[:, order]
    alignment = aligned(first, second, tmp_path)
    assert alignment.result.residual == 0.0
    assert [space.kind for space in alignment.result.spaces] == ["permuted, signs flipped"] * 3


def test_what_has_nothing_to_compare_is_no_error(tmp_path: Path) -> None:
    one = source({"a": np.zeros(3, "f4"), "n": np.arange(4)}, tmp_path / "a.safetensors")
    other = source({"b": np.zeros((20, 20), "f4"), "empty": np.zeros((0, 7), "f4")}, tmp_path / "b.safetensors")
    for first, second in ((one, other), (other, one), (one, one), (other, other)):
        result = Alignment(first, second).result
        assert result.verdict == "nothing-hidden"
        assert result.evidence
