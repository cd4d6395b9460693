from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

_SAMPLES = Path(__file__).parents[1] / "registry"
sys.path.insert(0, str(_SAMPLES))  # the registries' samples serve the service's tests as well

from registry_samples import THIRD_PARTY_WARNINGS, Bench, bench, empty_mlflow_database, mlflow_server  # noqa: E402

from mlflow_mother.registry import standdown  # noqa: E402
from mlflow_mother.service import Service  # noqa: E402


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow and torch warn of themselves; Mother's own warnings stay errors."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for filter_ in THIRD_PARTY_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(filter_))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "60")
    standdown._answers.clear()
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_database) as address:
        yield address


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_mlflow_database(tmp_path_factory.mktemp("template"))


@pytest.fixture
def sqlite(tmp_path: Path, empty_database: Path) -> Iterator[Bench]:
    """A registry in a SQLite file."""
    with bench("sqlite", tmp_path, template=empty_database) as made:
        yield made


@pytest.fixture
def quiet(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A registry whose registrations nobody looks at."""
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    return sqlite


@pytest.fixture
def service(sqlite: Bench) -> Service:
    return Service(lease_seconds=2)
