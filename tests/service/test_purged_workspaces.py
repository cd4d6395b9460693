"""A purge takes what was written in every workspace, or nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from registry_samples import Bench, network

from mlflow_mother.registry.workspaces import ENABLE_WORKSPACES
from mlflow_mother.service import Service
from mlflow_mother.store import Store

WORKSPACES = ("default", "team")


@pytest.fixture
def workspaces(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A database with a version in each of two workspaces, where the default one is the current one."""
    database = tmp_path / "mlflow.db"
    database.write_bytes(empty_database.read_bytes())
    monkeypatch.setenv(ENABLE_WORKSPACES, "true")
    before, uri = mlflow.get_tracking_uri(), f"sqlite:///{database}"
    mlflow.set_tracking_uri(uri)
    made = Bench("sqlite", uri, tmp_path / "models")
    monkeypatch.setenv("MLFLOW_WORKSPACE", "default")
    made.client.create_workspace("team", default_artifact_root=str(tmp_path / "artifacts"))
    for workspace in WORKSPACES:
        monkeypatch.setenv("MLFLOW_WORKSPACE", workspace)
        mlflow.set_experiment(f"tests-{workspace}")
        made.register("a", network(0))
    monkeypatch.setenv("MLFLOW_WORKSPACE", "default")
    yield made
    mlflow.set_tracking_uri(before)


def test_a_purge_cleans_all_workspaces_before_their_tables_go(
    workspaces: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Service().purge().versions == len(WORKSPACES)
    for workspace in WORKSPACES:
        monkeypatch.setenv("MLFLOW_WORKSPACE", workspace)
        version = workspaces.client.get_model_version("a", "1")
        assert not [tag for tag in version.tags if tag.startswith("mother.")]
        assert not workspaces.client.list_artifacts(version.run_id, "mother")
    with pytest.raises(Exception, match="does not hold Mother's tables"):
        Store.open(workspaces.uri, local=False)


def test_a_purge_that_is_not_told_of_workspaces_changes_nothing(workspaces: Bench) -> None:
    before = workspaces.mother("models:/a/1")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mlflow_mother.cli", "purge", "--yes"],
        env={**os.environ, "MLFLOW_TRACKING_URI": workspaces.uri, ENABLE_WORKSPACES: "false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stderr
    assert "workspaces" in done.stderr
    assert workspaces.mother("models:/a/1") == before
    with Store.open(workspaces.uri, local=False) as store:
        assert len(store.versions("own")) == len(store.versions("own#team")) == 1
