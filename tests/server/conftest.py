from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer

sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))  # its samples serve here as well

from registry_samples import THIRD_PARTY_WARNINGS, empty_mlflow_database, free_port

from mlflow_mother.registry import standdown


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow and torch warn of themselves; Mother's own warnings stay errors."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for filter_ in THIRD_PARTY_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(filter_))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A client without Mother; servers turn her on for themselves."""
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    standdown._answers.clear()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without content: migrating one takes seconds."""
    return empty_mlflow_database(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 characters
    server = PostgresServer(folder)
    yield server
    server.stop()
    shutil.rmtree(folder)
    folder.with_suffix(".log").unlink()


@pytest.fixture
def database(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Callable[[str], str]:
    """Makes an MLflow database of a kind; its URI."""

    def make(kind: str) -> str:
        if kind == "postgresql":
            return str(request.getfixturevalue("postgres").create_database())
        shutil.copyfile(template, tmp_path / "mlflow.db")
        return f"sqlite:///{tmp_path}/mlflow.db"

    return make


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of an S3 service with a bucket ``models``."""
    address = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address.rpartition(":")[2]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(f"{address}/models", method="PUT"), timeout=5).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the S3 service did not start"
            time.sleep(0.2)
    yield address
    process.kill()
    process.wait(30)
