"""A second client fetches fingerprints instead of weights, and believes none that does not hold up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_samples import Bench, bench, finetuned, network

from mlflow_mother.fingerprint import compute
from mlflow_mother.service import Service

ROOT = network(0)


@pytest.fixture
def remote(tmp_path: Path, server: str) -> Iterator[Bench]:
    with bench("http", tmp_path, server=server) as made:
        yield made


def second_client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Service:
    """A client on another machine: it shares nothing but the server."""
    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "elsewhere"))
    return Service(lease_seconds=2)


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(compute, "fingerprint_model", refuse)


def test_fingerprints_are_fetched_and_the_tree_is_the_same(
    remote: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.register("shared-root", ROOT)
    child = remote.register("shared-child", finetuned(ROOT, 1))
    first = Service().tree(["shared-child"])
    other = second_client(monkeypatch, tmp_path)
    forbid_reading(monkeypatch)
    for model in ("shared-root", "shared-child"):
        assert other.reconcile(model=model).analysed == 1
    assert other.tree(["shared-child"]).edges == first.edges
    assert remote.mother(child)["parent"] == "models:/shared-root/1"


@pytest.mark.parametrize("forgery", ["other-sizes", "other-subject", "garbage", "no-companion"])
def test_a_fingerprint_that_does_not_hold_up_is_not_believed(
    remote: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    name = f"forged-{forgery}"
    uri = remote.register(name, network(1))
    true = remote.mother(uri)["subject"]
    run = remote.client.get_model_version(name, "1").run_id
    folder = tmp_path / "forged"
    folder.mkdir()
    said = json.loads(Path(remote.client.download_artifacts(run, f"mother/{name}/1/fingerprint.json")).read_text())
    if forgery == "other-sizes":
        said["files"]["model/model.safetensors"] += 1
    if forgery == "other-subject":
        said["subject"] = "models:/somebody/1"
    if forgery == "garbage":
        (folder / "fingerprint.safetensors").write_bytes(b"\xff" * 1000)
    (folder / "fingerprint.json").write_text("" if forgery == "no-companion" else json.dumps(said))
    remote.client.log_artifacts(run, str(folder), f"mother/{name}/1")

    read = []
    compute_model = compute.fingerprint_model
    monkeypatch.setattr(compute, "fingerprint_model", lambda *a, **k: read.append(1) or compute_model(*a, **k))
    second_client(monkeypatch, tmp_path).reconcile(model=name)
    assert read == [1]
    assert remote.mother(uri)["subject"] == true
