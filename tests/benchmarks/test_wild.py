"""The benchmark of real networks, without its downloads: conversion, shuffling, and what counts as right or wrong."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.wild.packages import FAMILIES
from benchmarks.wild.scoring import Result, recover, said, shuffled
from mlflow_mother.types import Edge, Relation

PAIRS = (("base", "tuned"), ("base", "other"), ("tuned", "further"))


def result_of(*edges: Edge) -> Result:
    return Result("family", 3, (("a", "b"),), edges)


def edge(parent: str, child: str, probability: float = 0.8, **more: object) -> Edge:
    return Edge(parent=parent, child=child, relation=Relation.FINETUNE, probability=probability, **more)


def test_a_family_of_files_is_recovered_under_any_names_in_any_order(checkpoints: Path, tmp_path: Path) -> None:
    files = {}
    for file in checkpoints.iterdir():
        files[file.stem] = tmp_path / file.name
        files[file.stem].write_bytes(file.read_bytes())
    first, second = (recover("family", files, PAIRS, seed) for seed in (0, 1))
    assert first.count("right") == 3
    assert first.failures == ()
    assert said(first) == said(second)


def test_shuffled_files_keep_their_extension_and_nothing_else(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("0.3.0.pth.tar", "tuned_from_x.pt", "net.safetensors")}
    for file in files.values():
        file.write_bytes(b"")
    (tmp_path / "links").mkdir()
    given = shuffled(files, tmp_path / "links", seed=3)
    assert sorted(given.values()) == sorted(files)
    assert {Path(path).name.partition(".")[2] for path in given} == {"pth.tar", "pt", "safetensors"}
    assert all(Path(path).name.startswith("model-") for path in given)


def test_neurochem_networks_become_a_safetensors_file_a_model(tmp_path: Path) -> None:
    weight, bias = np.arange(6, dtype="<f4"), np.arange(2, dtype="<f4")
    with zipfile.ZipFile(tmp_path / "wheel.zip", "w") as wheel:
        for release in ("ani-1x", "ani-1ccx"):
            stem = f"torchani/resources/{release}_8x/train5/networks/ANN-H.nnf-l1"
            wheel.writestr(f"{stem}.wparam", weight.tobytes())
            wheel.writestr(f"{stem}.bparam", bias.tobytes())
    with zipfile.ZipFile(tmp_path / "wheel.zip") as wheel:
        files = FAMILIES["torchani"].unpack(wheel, tmp_path)
    assert sorted(files) == ["ani-1ccx-5", "ani-1x-5"]
    tensors = load_file(files["ani-1x-5"])
    assert np.array_equal(tensors["H.1.weight"], [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(tensors["H.1.bias"], bias)


@pytest.mark.parametrize(
    ("edges", "verdict", "failures"),
    [
        ((edge("a", "b"),), "right", 0),
        ((edge("a", "b", direction="undecided"),), "undecided", 0),
        ((edge("b", "a"),), "wrong", 0),
        ((edge("b", "a", 0.95),), "wrong", 1),
        ((), "missing", 1),
        ((edge("a", "b"), edge("b", "c", 0.1)), "right", 1),
        ((edge("unregistered:1", "a"), edge("unregistered:1", "b")), "missing", 3),
    ],
)
def test_what_must_hold(edges: tuple[Edge, ...], verdict: str, failures: int) -> None:
    result = result_of(*edges)
    assert result.verdict(("a", "b")) == verdict
    assert len(result.failures) == failures
