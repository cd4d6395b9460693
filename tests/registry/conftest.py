from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_samples import KINDS, THIRD_PARTY_WARNINGS, Bench, bench, empty_mlflow_database, mlflow_server

from mlflow_mother.registry import standdown


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow and torch warn of themselves; Mother's own warnings stay errors."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for filter_ in THIRD_PARTY_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(filter_))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "60")
    standdown._answers.clear()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server"), empty_database) as address:
        yield address


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_mlflow_database(tmp_path_factory.mktemp("template"))


@pytest.fixture(params=KINDS)
def registry(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path) -> Iterator[Bench]:
    """Each kind of registry."""
    address = str(request.getfixturevalue("server")) if request.param == "http" else ""
    with bench(request.param, tmp_path, server=address, template=empty_database) as made:
        yield made


@pytest.fixture
def sqlite(tmp_path: Path, empty_database: Path) -> Iterator[Bench]:
    """A registry in a SQLite file."""
    with bench("sqlite", tmp_path, template=empty_database) as made:
        yield made
