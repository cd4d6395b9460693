"""Models that are made, or happen, to mislead a deep comparison: repeated, huge, empty, incomplete tensors."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from alignment_samples import aligned

from mlflow_mother.alignment import DeepComparison, aligned_tensors
from mlflow_mother.alignment import spectra as spectra_module

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

State = dict[str, torch.Tensor]
NAMES = [f"layers.{i}" for i in range(4)]


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def network(seed: int) -> State:
    weights = {f"{name}.weight": normal(10 * seed + i, 64, 64) for i, name in enumerate(NAMES)}
    return weights | {f"{name}.bias": normal(100 * seed + i, 64) for i, name in enumerate(NAMES)}


def permuted(state: State) -> State:
    moved = dict(state)
    for i, (one, following) in enumerate(pairwise(NAMES)):
        order = torch.randperm(64, generator=torch.Generator().manual_seed(i))
        moved[f"{one}.weight"] = moved[f"{one}.weight"][order]
        moved[f"{one}.bias"] = moved[f"{one}.bias"][order]
        moved[f"{following}.weight"] = moved[f"{following}.weight"][:, order]
    return moved


def judged(first: State, second: State, folder: Path) -> DeepComparison:
    return aligned(first, second, folder).result


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.5])
def test_what_a_network_holds_twice_bears_witness_once(noise: float, tmp_path: Path) -> None:
    """Target networks and moving averages repeat every tensor: strangers must stay strangers."""

    def twice(seed: int) -> State:
        once = network(seed)
        return once | {f"target.{k}": v + noise * normal(seed, *v.shape) for k, v in once.items()}

    result = judged(twice(1), twice(2), tmp_path)
    assert result.verdict == "nothing-hidden"
    assert result.spaces == ()
    assert judged(twice(1), permuted(twice(1)), tmp_path).verdict == "copy"


@pytest.mark.parametrize("added", [0, 8])
def test_tied_weights_that_are_stored_twice_bear_witness_once(added: int, tmp_path: Path) -> None:
    def tied(seed: int) -> State:
        letters = normal(seed, 5000, 32)
        head = torch.cat([letters, torch.zeros(added, 32)])
        return {"embedding": letters, "head": head, "hidden": normal(seed + 1, 32, 32)}

    assert judged(tied(1), tied(3), tmp_path).verdict == "nothing-hidden"


def test_a_copy_is_a_copy_of_everything(tmp_path: Path) -> None:
    base = network(1)
    assert judged(base, permuted(base), tmp_path).verdict == "copy"
    biases = {name: normal(7, *value.shape) for name, value in base.items() if value.ndim == 1}
    result = judged(base, permuted(base | biases), tmp_path)
    assert (result.verdict, result.residual) == ("related", 0.0)
    assert (result.vectors, result.equal_vectors) == (4, 0)
    zeros, ones = {"extra": torch.zeros(20, 20)}, {"extra": torch.eye(20)}
    for first, second in ((base | zeros, permuted(base) | ones), (base | ones, permuted(base) | zeros)):
        assert judged(first, second, tmp_path).verdict == "related"
    for heads in ((10, 20), (10, 0)):
        one, other = ({"head": normal(8, rows, 64)} if rows else {} for rows in heads)
        result = judged(base | one, permuted(base) | other, tmp_path)
        assert result.verdict == "related"
        assert result.unpaired == sum(map(bool, heads))
        assert any("no counterpart" in reason.text for reason in result.evidence)


def test_narrow_matrices_and_single_directions_prove_nothing(tmp_path: Path) -> None:
    """Factors of rows fit any positive column; matrices of rank one have one spectrum."""
    base = network(1)
    narrow = [{"scale": normal(seed, 64, 1).abs(), "shift": normal(seed + 1, 64, 1).abs()} for seed in (1, 3)]
    assert judged(base | narrow[0], base | narrow[1], tmp_path).verdict == "nothing-hidden"
    lines = [{"w": normal(seed, 32, 1) @ normal(seed + 1, 1, 32)} for seed in (1, 3)]
    assert judged(lines[0], lines[1], tmp_path).verdict == "nothing-hidden"


@pytest.mark.parametrize("huge", [float(np.finfo("f4").min), 1e30, 1e300])
def test_masks_and_overflows_are_no_weights(huge: float, tmp_path: Path) -> None:
    base, large = network(1), torch.full((64, 64), huge, dtype=torch.float64 if huge == 1e300 else torch.float32)
    masks = large.triu(1), large * normal(3, 64, 64)
    assert judged(base | {"mask": masks[0]}, permuted(base) | {"mask": masks[0]}, tmp_path).verdict == "copy"
    assert judged(base | {"mask": masks[0]}, network(2) | {"mask": masks[1]}, tmp_path).verdict == "nothing-hidden"


def test_tensors_without_common_columns_are_compared(tmp_path: Path) -> None:
    left, right = torch.ones(64, 128), torch.ones(64, 128)
    left[:, 64:] = right[:, :64] = 0
    states = [
        {"one": normal(seed, 64, 128) * kept, "other": normal(seed + 1, 64, 128)}
        for seed, kept in ((1, left), (3, right))
    ]
    assert judged(states[0], states[1], tmp_path).verdict == "nothing-hidden"


def test_very_many_tensors_of_one_shape_are_paired_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra_module, "SIDE", 3)
    first = {f"a{i}": normal(i, 16) for i in range(4)}
    second = {f"b{i}": value for i, value in enumerate(reversed(first.values()))}
    assert aligned(first, second, tmp_path).pairs == {f"a{i}": f"b{i}" for i in range(4)}
    monkeypatch.setattr(spectra_module, "SIDE", 4)
    assert aligned(first, second, tmp_path).pairs == {f"a{i}": f"b{3 - i}" for i in range(4)}


def test_a_vector_as_long_as_fused_ones_may_be_whole(tmp_path: Path) -> None:
    """Queries, keys and values in one, trained anew, and a layer of as many units: its bias moves as one."""
    first = {"fused.weight": normal(1, 96, 32), "up.weight": normal(2, 96, 32), "up.bias": normal(3, 96)}
    first["down.weight"] = normal(4, 32, 96)
    order = torch.randperm(96, generator=torch.Generator().manual_seed(5))
    second = {name: value[order] for name, value in first.items() if name.startswith("up")}
    second["down.weight"] = first["down.weight"][:, order]
    second["fused.weight"] = normal(9, 96, 32)
    alignment = aligned(first, second, tmp_path)
    assert any(piece.part is not None for piece in alignment.bench.pieces)
    back = {tensor.name: bytes(tensor.tobytes()) for tensor in aligned_tensors(alignment)}
    assert back["up.bias"] == first["up.bias"].numpy().tobytes()
