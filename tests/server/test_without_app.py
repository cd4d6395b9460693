"""What is left of Mother where she cannot start, has no tables, or is turned off: what ``docs/server.md`` says."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask
from registry_samples import Bench, network

from mlflow_mother.registry import capture
from mlflow_mother.server import environment, logs
from mlflow_mother.server.access import OpenAccess
from mlflow_mother.server.api.routes import ROOT
from mlflow_mother.server.app import mount
from mlflow_mother.server.services import Services
from mlflow_mother.store import Store, schema


@pytest.fixture
def app(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An application with MLflow's page, in the surroundings of a server."""
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    monkeypatch.setenv(environment.BACKEND_STORE, f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_MOTHER_SERVER_WORKER", "false")
    monkeypatch.delenv(environment.REGISTRY_STORE, raising=False)
    # This process is no server: its log is pytest's, and its threads would outlive the test.
    monkeypatch.setattr(logs, "set_up", lambda settings: None)
    monkeypatch.setattr(Services, "read_ahead", lambda self: None)
    made = Flask("mlflow")
    made.add_url_rule("/", "serve", lambda: "MLflow")
    return made


def status_of(app: Flask, path: str) -> int:
    with app.test_client().get(path) as response:
        return response.status_code


def test_mother_who_cannot_start_has_no_routes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_THREADS", "many")
    mount(app, OpenAccess())
    assert [status_of(app, path) for path in (f"{ROOT}/status", "/mother/", "/")] == [404, 404, 200]


def test_tables_of_a_newer_release_cost_the_api_and_nothing_else(app: Flask, tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/mlflow.db", local=True).close()
    with closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as connection:
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    mount(app, OpenAccess())
    assert [status_of(app, path) for path in (f"{ROOT}/status", "/mother/", "/")] == [503, 200, 200]


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_a_server_without_the_app_notes_registrations_unless_mother_is_turned_off(
    sqlite: Bench, monkeypatch: pytest.MonkeyPatch, enabled: str
) -> None:
    import mlflow.server.handlers  # noqa: F401  (what makes this process a server)

    capture.install()
    monkeypatch.setenv(environment.BACKEND_STORE, sqlite.uri)
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", enabled)
    sqlite.register("m", network(0))
    time.sleep(1)  # longer than notes are gathered
    with closing(sqlite3.connect(sqlite.uri.removeprefix("sqlite:///"))) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'mother_work'").fetchone()
        waiting = connection.execute("SELECT count(*) FROM mother_work").fetchone() if tables == (1,) else (0,)
    assert waiting == ((1,) if enabled == "true" else (0,))
    assert tables == ((1,) if enabled == "true" else (0,))
