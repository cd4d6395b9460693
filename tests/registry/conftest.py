from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_samples import KINDS, Bench, bench, mlflow_server

from mlflow_mother.registry import standdown

_THIRD_PARTY = (
    "ignore::sqlalchemy.exc.SADeprecationWarning",  # MLflow's queries under SQLAlchemy 2.1
    "ignore::FutureWarning",  # MLflow's farewell to its file store, torch.export
    "ignore::DeprecationWarning",  # torch.export
    "ignore::UserWarning:torch",
    "ignore::UserWarning:mlflow",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow and torch warn of themselves; Mother's own warnings stay errors."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for filter_ in _THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(filter_))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "60")
    standdown._answers.clear()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without content."""
    file = tmp_path_factory.mktemp("template") / "mlflow.db"
    program = f"import mlflow; mlflow.MlflowClient('sqlite:///{file}').search_registered_models()"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "MLFLOW_MOTHER_ENABLED": "false"})
    return file


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
