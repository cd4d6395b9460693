from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from registry_samples import free_port


@pytest.fixture(autouse=True)
def surroundings(at_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without Mother; servers turn her on for themselves."""
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(scope="session")
def template(empty_database: Path) -> Path:
    """An MLflow database without content."""
    return empty_database


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
