"""The plugin as Mother sees it: found by its entry point once installed, silent without an endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from conftest import Endpoint
from mlflow_mother.plugins import Plugins
from mlflow_mother.types import Edge, Lineage, ModelVersionRef, Node, Relation

from mlflow_mother_notify import plugin

REF = ModelVersionRef(registry="sqlite:1", name="classifier", version="3")
LINEAGE = Lineage(
    nodes=(Node(id="models:/classifier/1"), Node(id="models:/classifier/3")),
    roots=("models:/classifier/1",),
    edges=(
        Edge(parent="models:/classifier/1", child="models:/classifier/3", relation=Relation.FINETUNE, probability=0.97),
    ),
    subject="models:/classifier/3",
    subject_digest="0" * 32,
    spec="mother-fp/1",
    mother_version="0.1.0",
)


@pytest.fixture(autouse=True)
def _fresh_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_MOTHER_NOTIFY_URL", raising=False)
    plugin.delivery.cache_clear()


@pytest.fixture
def plugins() -> Plugins:
    loaded = Plugins(discover=False)
    assert loaded.register(plugin, "notify"), loaded.failures
    return loaded


def test_message_has_the_shape_of_mlflows_webhooks() -> None:
    content = json.loads(plugin.message(REF, LINEAGE, datetime(2026, 1, 31, tzinfo=timezone.utc)))
    assert {key: content[key] for key in ("entity", "action", "timestamp")} == {
        "entity": "lineage",
        "action": "created",
        "timestamp": "2026-01-31T00:00:00+00:00",
    }
    assert content["data"]["uri"] == "models:/classifier/3"
    assert Lineage.model_validate(content["data"]["lineage"]) == LINEAGE


def test_a_lineage_is_posted(plugins: Plugins, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_NOTIFY_URL", endpoint.url)
    plugins.after_lineage(REF, LINEAGE)
    (request,) = endpoint.wait_for(1)
    assert json.loads(request.body)["data"]["version"] == "3"
    assert plugins.failures == {}


def test_without_an_endpoint_nothing_happens(plugins: Plugins) -> None:
    plugins.after_lineage(REF, LINEAGE)
    assert plugin.delivery() is None
    assert plugins.failures == {}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com", "not a url"])
def test_a_senseless_endpoint_is_reported_and_breaks_nothing(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_NOTIFY_URL", url)
    plugins.after_lineage(REF, LINEAGE)
    assert "notify" in plugins.failures


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of a process in whose environment the plugin is installed as pip installs it."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target"]
    subprocess.run([*command, str(site), str(Path(__file__).parents[1])], check=True, timeout=100, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(site), "MLFLOW_DISABLE_TELEMETRY": "true"}


def test_it_is_found_by_its_entry_point(installed: dict[str, str]) -> None:
    program = "from mlflow_mother.plugins import plugins; print(plugins().names, plugins().failures)"
    done = subprocess.run([sys.executable, "-c", program], env=installed, capture_output=True, text=True, check=True)
    assert "'notify'" in done.stdout
    assert "{}" in done.stdout


REGISTER = """
import sys, mlflow
import numpy as np
from pathlib import Path
from safetensors.numpy import save_file

work = Path(sys.argv[1])
source = work / "model"
source.mkdir()
values = np.random.default_rng(0).standard_normal((64, 64)).astype("float32")
save_file({"layer.weight": values}, source / "model.safetensors")
client = mlflow.MlflowClient()
client.create_registered_model("classifier")
version = client.create_model_version("classifier", str(source))
print(client.get_model_version("classifier", version.version).tags["mother.status"])
"""


@pytest.mark.parametrize("listening", [True, False])
def test_a_registration_is_notified_and_stands_without_anybody_listening(
    installed: dict[str, str], endpoint: Endpoint, tmp_path: Path, listening: bool
) -> None:
    environment = {
        **installed,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_MOTHER_INLINE_SECONDS": "60",
        "MLFLOW_MOTHER_NOTIFY_URL": endpoint.url if listening else "http://127.0.0.1:1/",
        "MLFLOW_MOTHER_NOTIFY_SECRET": "key",
    }
    command = [sys.executable, "-W", "ignore", "-c", REGISTER, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "done"
    received = [json.loads(request.body)["data"] for request in endpoint.received]
    assert [data["uri"] for data in received] == (["models:/classifier/1"] if listening else [])
    assert all(Lineage.model_validate(data["lineage"]).subject == data["uri"] for data in received)
