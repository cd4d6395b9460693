"""One worker a deployment, back within seconds when it dies, gone when the server is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import mlflow
import pytest
from api_client import asking
from mlflow_servers import API, Config, client_of, is_done, register, running, tags, wait_until
from registry_samples import finetuned, network
from sqlalchemy import create_engine, text

from mlflow_mother.errors import StoreError
from mlflow_mother.registry import capture
from mlflow_mother.server import environment
from mlflow_mother.server.services import Services
from mlflow_mother.server.supervisor import NICENESS, Supervisor, lease_of
from mlflow_mother.store import Store, schema
from mlflow_mother.store import database as databases
from mlflow_mother.store.notices import NAMES_WITHHELD


def is_gone(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_one_worker_is_always_there_and_does_what_anybody_registers(
    tmp_path: Path, database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = database("sqlite")
    base = _registered_past_the_server(uri, tmp_path)
    with running(Config(), tmp_path, uri) as server, client_of(server):
        wait_until(lambda: is_done(base) and not server.query("SELECT * FROM mother_work"), 60, server)
        first = server.worker()
        assert first is not None
        assert os.getpriority(os.PRIO_PROCESS, first) > os.getpriority(os.PRIO_PROCESS, server.process.pid)
        session = Path(f"/proc/{first}/autogroup")  # "/autogroup-123 nice 10", where Linux groups by session
        assert not session.exists() or not session.read_text() or session.read_text().split()[-1] == str(NICENESS)

        os.kill(first, signal.SIGKILL)
        assert wait_until(lambda: server.worker() not in (None, first), 20, server) < 5
        second = server.worker()
        assert second is not None

        # With the plugin, which leaves the work to the server.
        monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "true")
        capture.install()
        child = register("child", finetuned(network(0), 1), tmp_path)
        wait_until(lambda: is_done(child), 60, server)
        assert tags(child)["parent"] == base
        assert not (tmp_path / "home").exists(), "the client has a store of its own"
        assert len(server.query("SELECT * FROM mother_inferences WHERE reason = ''")) == 2

        server.kill()
        deadline = time.monotonic() + 20
        while not is_gone(second):
            assert time.monotonic() < deadline, "the worker outlives its server"
            time.sleep(0.1)


def _registered_past_the_server(uri: str, folder: Path) -> str:
    """Registers with the database itself, so that no server is asked and nothing is queued."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("past", (folder / "past").as_uri()))
        return register("base", network(0), folder)
    finally:
        mlflow.set_tracking_uri(before)


@pytest.mark.full
def test_tables_of_a_newer_release_stop_mother_and_not_mlflow(tmp_path: Path, database: Callable[[str], str]) -> None:
    uri = database("sqlite")
    Store.open(uri, local=True).close()
    _set_revision(uri, "9999")
    with running(Config(), tmp_path, uri) as server, client_of(server):
        version = register("m", network(0), tmp_path)
        assert tags(version) == {}
        assert server.get(f"{API}/lineage?name=m&version=1")[0] == 503
        assert server.get(f"{API}/status")[0] == 503
        wait_until(lambda: "9999 of a newer release" in server.log, 10, server)
        assert server.log.count("MLflow is served without her") == 1
        _set_revision(uri, schema.REVISION)
        wait_until(lambda: is_done(version), 60, server)


def _set_revision(uri: str, revision: str) -> None:
    engine = create_engine(uri)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{revision}'"))
    engine.dispose()


@pytest.mark.full
def test_a_worker_of_its_own_does_the_same(tmp_path: Path, database: Callable[[str], str]) -> None:
    none = {"MLFLOW_MOTHER_SERVER_WORKER": "false"}
    with running(Config(), tmp_path, database("sqlite"), environment=none) as server, client_of(server):
        assert server.get(f"{API}/status")[1]["worker"] is True
        base = register("base", network(0), tmp_path)
        command = [sys.executable, "-m", "mlflow_mother.cli", "worker", "--backend-store-uri", server.database]
        command += ["--artifacts-destination", str(tmp_path / "artifacts")]
        environment = {**os.environ, "MLFLOW_MOTHER_ENABLED": "true"}
        worker = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=tmp_path, env=environment)
        try:
            wait_until(lambda: is_done(base), 60, server)
            child = register("child", finetuned(network(0), 1), tmp_path)
            wait_until(lambda: tags(child).get("parent") == base, 30, server)
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=30)
        finally:
            worker.kill()
            worker.communicate()
        assert worker.returncode == 0, said.decode()
        assert b"Analysed since the start: 1" in said
        with Store.open(server.database, local=True) as store:
            assert store.lease(lease_of("own")) is None, "another worker need not wait"


def test_servers_of_two_registries_that_share_tables_have_a_worker_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_STORE_URI", f"sqlite:///{tmp_path}/mother.db")
    started: list[str] = []
    monkeypatch.setattr(Supervisor, "_start", lambda self: started.append(self._owner))
    for database, servers in (("one", ("first", "second")), ("two", ("third",))):
        monkeypatch.setenv(environment.BACKEND_STORE, f"sqlite:///{tmp_path}/{database}.db")
        for server in servers:
            supervisor = Supervisor(Services())
            supervisor._owner = server
            supervisor._tick()
    assert started == ["first", "third"]


def test_the_status_tells_of_this_registry_s_worker(
    database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = asking(database("sqlite"), monkeypatch)
    api.service.store.take_lease(lease_of("another"), "somebody", 60)
    assert api.get("status")["worker_seen_at"] is None
    api.service.store.take_lease(lease_of(api.services.deployment), "somebody", 60)
    assert api.get("status")["worker_seen_at"] is not None


def test_those_who_wait_for_a_database_that_is_away_do_not_wait_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(databases, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(8) as threads:
        uri = f"postgresql+psycopg2://u@127.0.0.1:{silent.getsockname()[1]}/db"
        monkeypatch.setenv(environment.BACKEND_STORE, uri)
        services = Services()
        began = time.monotonic()
        failed = [threads.submit(lambda: services.store).exception() for _ in range(8)]
    assert all(isinstance(error, StoreError) for error in failed)
    assert time.monotonic() - began < 6


def test_a_server_leaves_word_of_what_the_processes_beside_it_have_to_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.BACKEND_STORE, f"sqlite:///{tmp_path}/mlflow.db")
    for setting, withheld in ((None, False), ("false", True), (None, True), ("true", False)):
        monkeypatch.delenv("MLFLOW_MOTHER_NAME_RELATIVES", raising=False)
        if setting is not None:
            monkeypatch.setenv("MLFLOW_MOTHER_NAME_RELATIVES", setting)
        services = Services()
        services._read_ahead()
        assert services.store.has_notice(services.deployment, NAMES_WITHHELD) is withheld
