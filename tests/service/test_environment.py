"""A machine in trouble never costs a registration or a version: once it is mended, a reconciliation does the rest."""

from __future__ import annotations

import os
import resource
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from registry_samples import Bench, bench, network, write_model

from mlflow_mother.errors import StoreError
from mlflow_mother.service import Service
from mlflow_mother.service.delivery import to_json
from mlflow_mother.types import Edge, Evidence, Lineage, Node, Relation

HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
known = "SELECT 1 FROM model_versions WHERE name = 'b'"
while sys.argv[2:] and not connection.execute(known).fetchone():
    time.sleep(0.001)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(60)
"""

REGISTER = """
import sys, time, mlflow
client = mlflow.MlflowClient()
client.create_registered_model("b")
began = time.monotonic()
client.create_model_version("b", sys.argv[1])
print(time.monotonic() - began)
"""


REGISTER_MANY = """
import sys, mlflow
client = mlflow.MlflowClient()
client.create_registered_model(sys.argv[2])
for _ in range(3):
    client.create_model_version(sys.argv[2], sys.argv[1])
    print("registered", flush=True)
"""


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A registry in a folder, whose tables are in a file of Mother's own."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with bench("file", tmp_path) as made:
        yield made


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("WARNING", "mlflow_mother")
    return caplog


def one_line(warnings: pytest.LogCaptureFixture) -> str:
    """The only warning there is; it has no traceback."""
    (record,) = [record for record in warnings.records if record.name.startswith("mlflow_mother")]
    assert not record.exc_info
    return record.getMessage()


def test_a_home_that_cannot_be_made(files: Bench, tmp_path: Path, warnings, monkeypatch) -> None:
    (tmp_path / "file").touch()
    with monkeypatch.context() as broken:
        broken.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "file" / "home"))
        uri = files.register("a", network(0))
    assert "models:/a/1" in one_line(warnings) and "Set MLFLOW_MOTHER_HOME" in warnings.text
    assert Service().reconcile().by_status["done"] == 1
    assert files.mother(uri)["status"] == "done"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_the_tables(files: Bench, warnings) -> None:
    with largest_file(20_000):
        uri = files.register("a", network(0, width=16, layers=2))
    assert "Make room" in one_line(warnings)
    assert Service().reconcile().by_status["done"] == 1
    assert files.mother(uri)["status"] == "done"


def test_no_room_for_a_fingerprint(files: Bench, warnings) -> None:
    files.register("a", network(0, width=16, layers=2))
    (database,) = (files.folder.parent / "home").glob("*.db")
    source = write_model(files.folder / "b", network(1, layers=48))
    files.client.create_registered_model("b")
    with largest_file(database.stat().st_size + 65_536):  # for giving the work back, not for a fingerprint
        files.client.create_model_version("b", str(source))
    assert "Make room" in warnings.text
    assert files.mother("models:/b/1").get("status", "pending") == "pending"
    assert Service(lease_seconds=2).reconcile().by_status["done"] == 2
    assert files.mother("models:/b/1")["status"] == "done"


def test_a_place_for_artifacts_that_cannot_be_written(sqlite: Bench, warnings) -> None:
    with mlflow.start_run() as run:
        sqlite.client.log_artifacts(run.info.run_id, str(write_model(sqlite.folder / "a", network(0))), "model")
    obstacle = Path(run.info.artifact_uri.removeprefix("file://"), "mother")
    obstacle.touch()
    mlflow.register_model(f"runs:/{run.info.run_id}/model", "a")
    line = one_line(warnings)
    assert "artifacts of models:/a/1" in line and "mlflow-mother reconcile" in line
    assert sqlite.mother("models:/a/1")["status"] == "done", "the tags do not wait for the artifacts"
    obstacle.unlink()
    assert Service().reconcile().written == 1
    assert sorted(path.name for path in obstacle.glob("a/1/*"))[-1] == "lineage.json"
    assert Service().reconcile().written == 0


def test_an_artifact_store_that_hangs(sqlite: Bench, warnings, monkeypatch, service: Service) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    sqlite.register("warm", network(1))
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "3")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place = f"http://127.0.0.1:{silent.getsockname()[1]}/artifacts"
        run = sqlite.client.create_run(mlflow.create_experiment("remote", place))
        sqlite.client.create_registered_model("a")
        source = write_model(sqlite.folder / "a", network(0))
        began = time.monotonic()
        sqlite.client.create_model_version("a", str(source), run.info.run_id)
        assert time.monotonic() - began < 5
        assert sqlite.mother("models:/a/1")["status"] == "done", "the tags do not wait for the artifacts"
        while not warnings.records and time.monotonic() - began < 20:
            time.sleep(0.1)
    assert "artifacts of models:/a/1" in one_line(warnings)
    (left,) = service.store.pending_write_backs("own", "artifacts")
    assert left.ref.name == "a"


@contextmanager
def held(*argv: object) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a database's write lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, *map(str, argv)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_registry_s_database_that_is_locked_for_long(sqlite: Bench, monkeypatch) -> None:
    sqlite.register("a", network(0))
    source = write_model(sqlite.folder / "b", network(1))
    sqlite.client.create_registered_model("b")
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "1")
    with held(sqlite.uri.removeprefix("sqlite:///"), "once b is registered") as holder:
        began = time.monotonic()
        sqlite.client.create_model_version("b", str(source))
        assert time.monotonic() - began < 3
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        assert sqlite.mother("models:/b/1").get("status", "pending") == "pending"  # written or not before the lock
    assert Service().reconcile().by_status["done"] == 2
    assert sqlite.mother("models:/b/1")["status"] == "done"


def test_two_processes_that_register_into_one_file_and_are_killed(sqlite: Bench) -> None:
    source = write_model(sqlite.folder / "a", network(0, width=32, layers=2))
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", REGISTER_MANY, source, name],
            env={**os.environ, "MLFLOW_TRACKING_URI": sqlite.uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name in ("a", "b")
    ]
    for process in processes:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["registered\n"] * 2
        process.kill()
        process.communicate()
    registered = {f"models:/{v.name}/{v.version}" for v in sqlite.client.search_model_versions()}
    with sqlite3.connect(sqlite.uri.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE mother_work SET lease_until = 0")  # half a minute goes by
    service = Service(lease_seconds=2)
    service.reconcile()
    assert {known.ref.uri for known in service.store.versions("own")} == registered
    assert {sqlite.mother(uri)["status"] for uri in registered} == {"done"}


def test_a_process_that_ends_while_mother_s_own_file_is_locked(files: Bench) -> None:
    files.register("a", network(0))
    (database,) = (files.folder.parent / "home").glob("*.db")
    source = write_model(files.folder / "b", network(1))
    with held(database) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", REGISTER, source],
            env={**os.environ, "MLFLOW_TRACKING_URI": files.uri, "MLFLOW_MOTHER_INLINE_SECONDS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert float(done.stdout) < 3
    assert done.stderr.count("Mother leaves models:/b/1") == 1, done.stderr
    assert Service().reconcile().by_status["done"] == 2


@pytest.mark.parametrize(("name", "value"), [("CANDIDATES", "abc"), ("DISABLED_PLUGINS", "foo"), ("HOME", "~nobody9")])
def test_a_setting_that_makes_no_sense(files: Bench, warnings, monkeypatch, name: str, value: str) -> None:
    with monkeypatch.context() as broken:
        broken.setenv(f"MLFLOW_MOTHER_{name}", value)
        uri = files.register("a", network(0))
    assert "MLFLOW_MOTHER_" in one_line(warnings) and uri in warnings.text
    assert Service().reconcile().by_status["done"] == 1


def test_a_device_that_is_not_there_is_not_the_model_s_fault(sqlite: Bench, monkeypatch) -> None:
    with monkeypatch.context() as broken:
        broken.setenv("MLFLOW_MOTHER_DEVICE", "abacus")
        uri = sqlite.register("a", network(0))
    assert sqlite.mother(uri)["status"] == "pending"
    assert "MLFLOW_MOTHER_DEVICE" in sqlite.mother(uri)["reason"]
    assert Service().reconcile().by_status["done"] == 1
    assert sqlite.mother(uri)["status"] == "done"


def test_files_that_come_back(sqlite: Bench) -> None:
    share = write_model(sqlite.folder / "share", network(0))
    away = share.rename(share.with_name("away"))
    sqlite.client.create_registered_model("a")
    sqlite.client.create_model_version("a", str(share))
    assert sqlite.mother("models:/a/1")["status"] == "failed"
    assert Service().reconcile().analysed == 0, "they are still gone"
    away.rename(share)
    plan = Service().reconcile(dry_run=True)
    assert plan.versions == 1
    assert Service().reconcile().by_status["done"] == 1
    assert sqlite.mother("models:/a/1")["status"] == "done"


def test_a_file_that_is_no_database(files: Bench, warnings) -> None:
    home = files.folder.parent / "home"
    files.register("a", network(0))
    (database,) = home.glob("*.db")
    for file in home.iterdir():
        file.unlink()
    database.write_bytes(b"no database" * 1000)
    files.register("b", network(1))
    assert "moved away" in one_line(warnings)
    with pytest.raises(StoreError, match="not a database"):
        Service().reconcile()
    database.unlink()
    assert Service().reconcile().by_status["done"] == 2


def test_names_that_are_no_text_can_be_kept(service: Service) -> None:
    ref = service.registry.ref("a", 1)
    service.enqueue(ref)
    node = Node(id=ref.uri, declared_parents=("caf\udce9",), note="\ud800")
    seen = Evidence(kind="plugin", text="layer \udce9\ud800 was frozen")
    edge = Edge(parent="models:/b/1", child=ref.uri, relation=Relation.FINETUNE, probability=0.9, evidence=(seen,))
    parts = {"nodes": (node,), "edges": (edge,), "subject_digest": "0", "spec": "s", "mother_version": "1"}
    service.store.record_inference(ref, Lineage(subject=ref.uri, **parts), engine="e")
    found = service.store.current_inference(ref)
    assert found is not None and found.lineage.edges == (edge,)
    assert [known.edge for known in service.store.edges("own")] == [edge]
    assert b"was frozen" in to_json(found.lineage)
