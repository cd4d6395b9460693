"""A version that costs workers their life holds no other one up, and is given up in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from mlflow_servers import register, tags
from registry_samples import finetuned, network

from mlflow_mother.server import environment
from mlflow_mother.server.services import Services
from mlflow_mother.server.worker import HOPELESS, SUSPECT, ServerWorker
from mlflow_mother.settings import Settings
from mlflow_mother.store import Store


def killed(store: Store, uri: str, times: int) -> None:
    """Claims a version as often as workers did that were killed in the middle of it."""
    (ref,) = (known.ref for known in store.versions("own") if known.ref.uri == uri)
    for _ in range(times):
        assert store.claim("killed", 0.0, refs=[ref])


def test_a_worker_that_has_grown_too_large_makes_way_for_another(
    database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.BACKEND_STORE, database("sqlite"))
    stop = threading.Event()
    ServerWorker(Services(Settings().model_copy(update={"worker_memory": 1})), stop, lambda *_: None).run()
    assert stop.is_set()


def test_versions_that_cost_workers_their_life(
    tmp_path: Path, database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = database("sqlite")
    monkeypatch.setenv(environment.BACKEND_STORE, uri)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        mlflow.set_experiment(experiment_id=mlflow.create_experiment("crashes", (tmp_path / "files").as_uri()))
        deadly, unlucky = register("deadly", network(0), tmp_path), register("unlucky", network(1), tmp_path)
        harmless = register("harmless", finetuned(network(1), 2), tmp_path)
        services = Services(Settings(threads=1))
        services.of(None).reconcile(limit=0)
        killed(services.store, deadly, HOPELESS - 1)
        killed(services.store, unlucky, SUSPECT)
        stop = threading.Event()
        ServerWorker(services, stop, lambda _done, waiting: None if waiting else stop.set()).run()
        assert tags(deadly)["status"] == "failed"
        assert f"ended {HOPELESS - 1} times while it was analysing {deadly}" in tags(deadly)["reason"]
        assert tags(unlucky)["status"] == "done"
        assert tags(harmless)["parent"] == unlucky
    finally:
        mlflow.set_tracking_uri(before)
