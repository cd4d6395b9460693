"""Processes beside a server find what it proxies, and nothing else."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from registry_samples import Bench, network, write_model

from mlflow_mother.errors import UnsafeFileError
from mlflow_mother.registry.artifacts import version_files
from mlflow_mother.registry.connection import ARTIFACTS_DESTINATION, Registry
from mlflow_mother.registry.proxied import storage_location
from mlflow_mother.registry.versions import get_version


@pytest.mark.parametrize(
    ("uri", "workspace", "found"),
    [
        ("mlflow-artifacts:/1/a/artifacts", None, "s3://bucket/in/1/a/artifacts"),
        ("mlflow-artifacts://host:5000/1/a", None, "s3://bucket/in/1/a"),
        ("https://host/ml/api/2.0/mlflow-artifacts/artifacts/1/a", None, "s3://bucket/in/1/a"),
        ("mlflow-artifacts:/1/a", "default", "s3://bucket/in/1/a"),
        ("mlflow-artifacts:/1/a", "team", "s3://bucket/in/workspaces/team/1/a"),
        ("mlflow-artifacts:/workspaces/team/1/a", "team", "s3://bucket/in/workspaces/team/1/a"),
        ("s3://elsewhere/1/a", "team", "s3://elsewhere/1/a"),
        ("https://host/1/a", None, "https://host/1/a"),
        ("/folder/1/a", None, "/folder/1/a"),
    ],
)
def test_an_address_is_followed_by_mlflows_rules(uri: str, workspace: str | None, found: str) -> None:
    assert storage_location(uri, "s3://bucket/in", workspace) == found


@pytest.mark.parametrize(
    ("uri", "workspace"),
    [
        ("mlflow-artifacts:/../a", None),
        ("mlflow-artifacts:/1/%2e%2e/%2e%2e/a", None),
        ("mlflow-artifacts:/1/%252e%252e/a", None),
        ("mlflow-artifacts:/workspaces/other/1/a", "team"),
        ("mlflow-artifacts:/workspaces/other/1/a", "default"),
        ("mlflow-artifacts:/workspaces", "team"),
    ],
)
def test_no_address_leads_out_of_the_destination_or_the_workspace(uri: str, workspace: str | None) -> None:
    with pytest.raises(UnsafeFileError):
        storage_location(uri, "s3://bucket/in", workspace)


def test_a_command_on_the_servers_database_is_told_the_destination(
    sqlite: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "destination" / "7" / "model", network(0))
    monkeypatch.setenv(ARTIFACTS_DESTINATION, str(tmp_path / "destination"))
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    sqlite.client.create_registered_model("m")
    store = mlflow.tracking._model_registry.utils._get_store()
    store.create_model_version("m", "mlflow-artifacts:/7/model")
    registry = Registry.current()
    version = get_version(registry, registry.ref("m", 1))
    assert set(version_files(registry, version).sizes()) == {"MLmodel", "model/model.safetensors"}
