"""Hostile and broken models end with a reason a person can act on; the registration stands."""

from __future__ import annotations

import errno
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from registry_samples import MLMODEL, Bench, network, write_model
from safetensors.numpy import save_file

from mlflow_mother.errors import RegistryError, StoreError
from mlflow_mother.service import Service


class Payload:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


def _pickle_in_zip(folder: Path, trace: Path) -> None:
    with zipfile.ZipFile(folder / "model.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(trace)))
        archive.writestr("archive/version", "3")


def _legacy_pickle(folder: Path, trace: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(trace)))


def _truncated(folder: Path, trace: Path) -> None:
    write_model(folder, network(0))
    file = folder / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def _huge_header(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


def _empty_file(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _link_out(folder: Path, trace: Path) -> None:
    (folder / "model.safetensors").symlink_to("/etc/passwd")


def _nothing(folder: Path, trace: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "statuses"),
    [
        (_pickle_in_zip, {"failed", "unsupported"}),
        (_legacy_pickle, {"failed", "unsupported"}),
        (_truncated, {"failed"}),
        (_huge_header, {"failed"}),
        (_empty_file, {"failed"}),
        (_link_out, {"unsupported", "failed"}),
        (_nothing, {"unsupported"}),
    ],
)
def test_a_bad_model_ends_with_a_reason(
    sqlite: Bench, tmp_path: Path, make: Callable[[Path, Path], None], statuses: set[str]
) -> None:
    folder, trace = tmp_path / "bad", tmp_path / "trace"
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    make(folder, trace)
    version = sqlite.client.create_model_version(_named(sqlite, "bad"), str(folder))

    tags = sqlite.mother("models:/bad/1")
    assert tags["status"] in statuses, tags
    assert "models:/bad/1" in tags["reason"]
    assert tags["reason"].rstrip().endswith("."), "says what to do"
    assert not trace.exists(), "nothing was executed"
    assert str(version.version) == "1"


def test_all_nan_weights_and_zero_size_tensors_end_soundly(sqlite: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "MLmodel").write_text(MLMODEL)
    save_file(
        {"w": np.full((64, 64), np.nan, np.float32), "none": np.zeros((0, 4), np.float32)},
        folder / "model.safetensors",
    )
    sqlite.client.create_model_version(_named(sqlite, "odd"), str(folder))
    assert sqlite.mother("models:/odd/1")["status"] in {"done", "failed"}


def test_a_source_that_is_gone_fails_with_its_place(sqlite: Bench, tmp_path: Path) -> None:
    sqlite.client.create_model_version(_named(sqlite, "gone"), str(tmp_path / "nowhere"))
    tags = sqlite.mother("models:/gone/1")
    assert tags["status"] == "failed"
    assert "nowhere" in tags["reason"]


def test_a_yaml_bomb_in_mlmodel_is_harmless(sqlite: Bench) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)
    )
    uri = sqlite.register_folder(
        "bomb",
        write_model(
            sqlite.folder / "bomb", network(0), bomb + "flavors:\n  transformers:\n    source_model_name: *m\n"
        ),
    )
    assert sqlite.mother(uri)["status"] == "done", sqlite.mother(uri)


@pytest.mark.parametrize(
    "mlmodel",
    [
        "a0: &a0 {k: v}\n" + "".join(f"a{i + 1}: &a{i + 1}\n  <<: [{','.join([f'*a{i}'] * 10)}]\n" for i in range(9)),
        "a: " + ":".join(["59"] * 100_000) + "\n",
    ],
    ids=["merge keys", "base 60"],
)
def test_yaml_that_takes_for_ever_to_interpret_is_only_text(sqlite: Bench, mlmodel: str) -> None:
    uri = sqlite.register_folder("slow", write_model(sqlite.folder / "slow", network(0), mlmodel + MLMODEL))
    assert sqlite.mother(uri)["status"] == "done", sqlite.mother(uri)


def test_a_machine_out_of_open_files_leaves_the_version_to_reconcile(
    sqlite: Bench, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_model(sqlite.folder / "later", network(0))

    def no_more_files(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch, caplog.at_level("WARNING", "mlflow_mother"):
        patch.setattr("mlflow_mother.weights.sources.os.open", no_more_files)
        sqlite.client.create_model_version(_named(sqlite, "later"), str(folder))
    tags = sqlite.mother("models:/later/1")
    assert tags["status"] == "pending", tags
    assert "Too many open files" in tags["reason"]
    assert [record.exc_info for record in caplog.records] == [None], "one clear line"
    service.reconcile()
    assert sqlite.mother("models:/later/1")["status"] == "done"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreError("Mother's database postgresql://db.internal/mlflow: no route to host.", "Start it."), "pending"),
        (RegistryError("The artifacts under '/srv/internal' could not be listed.", "Look."), "pending"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/internal/x"), "pending"),
        (ImportError("/srv/internal/site-packages/torch.so: wrong class"), "pending"),
        (KeyError("/srv/internal/x"), "failed"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_wrong_with_the_machine_is_for_its_log(
    sqlite: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, status: str
) -> None:
    def broken(*_: object) -> object:
        raise error

    folder = write_model(sqlite.folder / "later", network(0))
    with caplog.at_level("WARNING", "mlflow_mother"):
        monkeypatch.setattr("mlflow_mother.service.worker.open_files", broken)
        sqlite.client.create_model_version(_named(sqlite, "later"), str(folder))
    tags = sqlite.mother("models:/later/1")
    assert tags["status"] == status and "log" in tags["reason"] and "internal" not in tags["reason"], tags
    assert "internal" in caplog.text


def _named(registry: Bench, name: str) -> str:
    registry.client.create_registered_model(name)
    return name
