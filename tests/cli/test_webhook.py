"""MLflow's own webhooks, from a real server to a real receiver."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_server import SECRET, ForeignServer, Team, command, foreign_server
from mlflow import MlflowClient
from registry_samples import THIRD_PARTY_WARNINGS, finetuned, free_port, network

pytestmark = [pytest.mark.filterwarnings(warning) for warning in THIRD_PARTY_WARNINGS]

ROOT = network(40)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def test_a_delivery_brings_a_version_its_lineage_and_a_lost_one_only_delays_it(
    foreign: ForeignServer,
    team: Team,
    watching: dict[str, str],
    tmp_path: Path,
    run: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhook"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", foreign.address)
    early = run("webhook", "register", url)
    assert early.exit_code == 1, "nobody listens yet"
    assert "Registered mlflow-mother" in early.stderr and "did not arrive" in early.stderr
    [lost] = team.register("announced", ROOT)

    with command(tmp_path, watching, "webhook", "serve", "--port", str(port), "--interval", "600") as receiver:
        receiver.waits_for(f"{lost} done")
        again = run("webhook", "register", url)
        assert again.exit_code == 0, again.stderr
        assert "Changed mlflow-mother" in again.stderr
        assert "Test delivery arrived: the receiver answered 202" in again.stderr
        assert "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in again.stderr
        receiver.waits_for("models:/example_model/1 was announced, but is not in the registry")
        [listed] = json.loads(run("webhook", "list", "--format", "json").stdout)["webhooks"]
        assert (listed["name"], listed["url"], listed["events"]) == ("mlflow-mother", url, ["model_version.created"])

        [child] = team.register("announced", finetuned(ROOT, 41))
        receiver.waits_for(f"{child} is new")
        receiver.waits_for(f"{child} done: finetune of {lost}")
        assert receiver.ends(signal.SIGTERM) == 0
        assert SECRET not in receiver.said

    removed = run("webhook", "remove")
    assert removed.exit_code == 0 and "Removed mlflow-mother" in removed.stderr
    assert json.loads(run("webhook", "list", "--format", "json").stdout) == {"webhooks": []}
    assert run("webhook", "remove").exit_code == 3


def test_a_refusal_names_the_variable_to_set(
    tmp_path: Path, empty_database: Path, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with foreign_server(tmp_path, empty_database, MLFLOW_DISABLE_TELEMETRY="true") as strict:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", strict.address)
        for url, variable in (
            ("http://127.0.0.1:9/webhook", "MLFLOW_WEBHOOK_ALLOWED_SCHEMES"),
            ("https://127.0.0.1:9/webhook", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"),
        ):
            refused = run("webhook", "register", url)
            assert refused.exit_code == 3
            assert variable in refused.stderr
        # As after a restart without a key: the secret of a webhook is there, and nobody can decrypt it.
        other = MlflowClient(f"sqlite:///{tmp_path}/server.db", f"sqlite:///{tmp_path}/server.db")
        other.create_webhook("lost", "https://8.8.8.8/", ["model_version.created"], secret=SECRET)
        lost = run("webhook", "list")
        assert lost.exit_code == 3
        assert "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY" in lost.stderr


def test_only_a_server_sends_webhooks(run: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    done = run("webhook", "register", "https://example.com/webhook")
    assert done.exit_code == 3
    assert "is not an MLflow server" in done.stderr


def test_no_secret_or_a_taken_port_is_said_before_anything_starts(
    foreign: ForeignServer, run: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", foreign.address)
    taken = run("webhook", "serve", "--port", foreign.port)
    assert taken.exit_code == 2
    assert f"Cannot listen at 127.0.0.1, port {foreign.port}" in taken.stderr
    monkeypatch.delenv("MLFLOW_MOTHER_WEBHOOK_SECRET")
    for words in (("serve",), ("register", "https://example.com/webhook")):
        bare = run("webhook", *words)
        assert bare.exit_code == 4
        assert "MLFLOW_MOTHER_WEBHOOK_SECRET_FILE" in bare.stderr
