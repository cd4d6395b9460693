from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from foreign_server import ForeignServer, Team, foreign_server

from mlflow_mother.cli import main

Run = Callable[..., Result]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow and SQLAlchemy warn of each other; Mother's own warnings stay errors."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::FutureWarning:mlflow"))


@pytest.fixture(autouse=True)
def _own_surroundings(at_home: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)  # what other tests have set


@pytest.fixture
def run() -> Run:
    """Runs the command in this process; the result has ``exit_code``, ``stdout`` and ``stderr``."""

    def invoke(*args: str, **options: object) -> Result:
        return CliRunner().invoke(main, [str(arg) for arg in args], prog_name="mlflow-mother", **options)

    return invoke


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[ForeignServer]:
    """An MLflow server without Mother, which may send webhooks to this machine."""
    folder = tmp_path_factory.mktemp("foreign")
    with foreign_server(
        folder,
        empty_database,
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http,https",
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
        MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY="T1Ry7ZVyqxTSDZ6f1g2nTGoOsv3aWVeqQFcCpEJmw9I=",
        MLFLOW_WEBHOOK_CACHE_TTL="0",
        MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES="0",
    ) as server:
        yield server


@pytest.fixture
def team(foreign: ForeignServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """People without Mother who use that server."""
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    return Team(foreign, tmp_path / "models")


@pytest.fixture
def watching(foreign: ForeignServer, tmp_path: Path) -> dict[str, str]:
    """Variables of a machine where Mother watches that server."""
    return {
        "MLFLOW_TRACKING_URI": foreign.address,
        "MLFLOW_MOTHER_HOME": str(tmp_path / "home"),
        "MLFLOW_MOTHER_ENABLED": "true",
    }
