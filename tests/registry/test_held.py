"""What the registry holds now is the same whether its table or its API is asked."""

from __future__ import annotations

import mlflow
import pytest
from registry_samples import Bench

from mlflow_mother.errors import RegistryError
from mlflow_mother.registry import held
from mlflow_mother.registry.connection import Registry
from mlflow_mother.registry.held import held_versions


def test_deleted_versions_are_held_no_more(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    monkeypatch.setattr(held, "PAGE", 2)
    client = sqlite.client
    for name, count in (("a", 3), ("b", 1), ("gone", 1), ("old", 1)):
        client.create_registered_model(name)
        for _ in range(count):
            client.create_model_version(name, str(sqlite.folder))
    client.delete_model_version("a", "2")
    client.delete_registered_model("gone")
    client.rename_registered_model("old", "new")
    registry = Registry.current()
    found = held_versions(registry)
    assert {name: set(versions) for name, versions in found.items()} == {"a": {"1", "3"}, "b": {"1"}, "new": {"1"}}
    assert found["a"]["3"] == client.get_model_version("a", "3").creation_timestamp
    assert {name: dict(versions) for name, versions in found.items()} == _listed(registry)
    assert held_versions(Registry(sqlite.uri, workspace="another")) == {}


def _listed(registry: Registry) -> held.Held:
    found: held.Held = {}
    for name, version, created in held._listed(registry):
        found.setdefault(name, {})[str(version)] = created
    return found


def test_a_registry_that_cannot_be_asked_is_one_clear_error() -> None:
    registry = Registry("http://127.0.0.1:9")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(RegistryError, match="could not be listed"):
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        held_versions(registry)
    assert mlflow.get_tracking_uri() != registry.uri
