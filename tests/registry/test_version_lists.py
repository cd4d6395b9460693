"""Listing the registry: what is asked for, and how often."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from registry_samples import Bench

from mlflow_mother.registry import versions
from mlflow_mother.registry.connection import Registry
from mlflow_mother.registry.versions import list_versions


@pytest.fixture
def requests(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What the registry is asked while it is listed."""
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    asked: Counter[str] = Counter()

    def counted(name: str) -> None:
        original = getattr(type(sqlite.client), name)

        def ask(self: Any, *args: Any, **options: Any) -> Any:
            asked[name] += 1
            return original(self, *args, **options)

        monkeypatch.setattr(type(sqlite.client), name, ask)

    for name in ("get_registered_model", "search_registered_models", "search_model_versions"):
        counted(name)
    return asked


def _registered(bench: Bench, *names: str) -> None:
    for name in names:
        bench.client.create_registered_model(name)
        bench.client.create_model_version(name, "nowhere")


def test_a_large_registry_takes_no_request_a_model(sqlite: Bench, requests: Counter[str]) -> None:
    asked = []
    for number in range(2):
        _registered(sqlite, *(f"model-{number}-{i}" for i in range(versions.FEW + 5)))
        requests.clear()
        found = list(list_versions(Registry.current()))
        asked.append(dict(requests))
    assert len(found) == 2 * (versions.FEW + 5)
    assert (
        asked[0]
        == asked[1]
        == {
            "search_model_versions": 1,
            "get_registered_model": versions.FEW,
            "search_registered_models": 1,
        }
    )


def test_the_newest_version_is_found_without_a_list_of_all_models(sqlite: Bench, requests: Counter[str]) -> None:
    _registered(sqlite, *(f"model-{i}" for i in range(3)))
    assert next(list_versions(Registry.current())).ref.name == "model-2"
    assert requests == {"search_model_versions": 1, "get_registered_model": 1}


def test_a_model_that_opted_out_does_so_wherever_it_was_read(
    sqlite: Bench, requests: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "FEW", 1)
    monkeypatch.setattr(versions, "PAGE", 2)
    names = [f"model-{i}" for i in range(5)]
    _registered(sqlite, *names)
    for name in (names[0], names[4]):  # of which one is asked for, the other listed
        sqlite.client.set_registered_model_tag(name, "mother.ignore", "true")
    ignored = {version.ref.name for version in list_versions(Registry.current()) if version.ignored}
    assert ignored == {names[0], names[4]}
    assert requests["search_registered_models"] == 3
