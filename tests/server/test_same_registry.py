"""MLflow's registry answers the same with Mother, with her switched off, and without her; and after she is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from registry_samples import free_port, network, write_model

SEQUENCE = Path(__file__).parent / "registry_sequence.py"


@dataclass(frozen=True)
class Python:
    """An interpreter and its environment.

    Attributes:
        executable: The program.
        environment: Variables beside the process's own.
        mother: Whether Mother is at work in it.
    """

    executable: str
    environment: dict[str, str]
    mother: bool = False

    def run(self, folder: Path, *args: str | Path, **environment: str) -> str:
        """Runs a program in a folder to its end; what it printed."""
        done = subprocess.run(
            [self.executable, "-W", "ignore", *map(str, args)],
            env={**os.environ, **self.environment, **environment},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Python]:
    """By what they hold of Mother: at work, switched off, or not installed at all."""
    folder = tmp_path_factory.mktemp("site-packages")
    for item in Path(sysconfig.get_path("purelib")).iterdir():
        if "mlflow_mother" not in item.name.replace("-", "_"):
            (folder / item.name).symlink_to(item)
    quick = {
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",  # MLflow's messages print sets
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_MOTHER_INLINE_SECONDS": "60",
    }
    return {
        "on": Python(sys.executable, {**quick, "MLFLOW_MOTHER_ENABLED": "true"}, mother=True),
        "off": Python(sys.executable, {**quick, "MLFLOW_MOTHER_ENABLED": "false"}),
        "absent": Python(sys._base_executable, {**quick, "PYTHONPATH": str(folder)}),
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "model", network(1, width=32, layers=3))


@pytest.fixture(scope="module")
def sqlite(pythons: dict[str, Python], model: Path, template: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs the sequence on a SQLite file, once for each of :func:`pythons`; its folder and what was answered."""

    @cache
    def run(name: str) -> tuple[Path, dict[str, Any]]:
        folder = tmp_path_factory.mktemp(name)
        shutil.copyfile(template, folder / "mlflow.db")
        return folder, _sequence(pythons[name], f"sqlite:///{folder}/mlflow.db", folder, model)

    return run


def _sequence(python: Python, uri: str, folder: Path, model: Path, part: str = "BEGIN") -> dict[str, Any]:
    options = ["--mother"] if python.mother else []
    environment = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_REGISTRY_URI": uri,
        "MLFLOW_MOTHER_HOME": str(folder / "home"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }
    return json.loads(python.run(folder, SEQUENCE, folder, model, part, *options, **environment).splitlines()[-1])


@contextmanager
def _server(python: Python, folder: Path, template: Path) -> Iterator[str]:
    shutil.copyfile(template, folder / "mlflow.db")
    port = free_port()
    app = ["--app-name", "mother"] if python.mother else []
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [
            *(python.executable, "-W", "ignore", "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *app),
            *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "art")),
        ],
        env={**os.environ, **python.environment, "MLFLOW_MOTHER_HOME": str(folder / "home")},
        stdout=log,
        stderr=log,
        cwd=folder,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < until, (folder / "server.log").read_text()
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


@pytest.mark.parametrize(
    ("name", "installed"), [("on", True), pytest.param("off", True, marks=pytest.mark.full), ("absent", False)]
)
def test_the_interpreters_hold_what_they_say(sqlite, name: str, installed: bool) -> None:
    assert sqlite(name)[1]["installed"] == installed


@pytest.mark.parametrize("name", ["on", pytest.param("off", marks=pytest.mark.full)])
def test_a_sqlite_registry_answers_as_without_mother(sqlite, name: str) -> None:
    answers, expected = sqlite(name)[1]["answers"], sqlite("absent")[1]["answers"]
    assert len(expected) > 50
    assert answers == expected
    with sqlite3.connect(sqlite(name)[0] / "mlflow.db") as database:
        written = database.execute("SELECT count(*) FROM model_version_tags WHERE key LIKE 'mother.%'").fetchone()
    database.close()
    assert (written[0] > 0) == (name == "on")


@pytest.mark.full
@pytest.mark.parametrize("name", ["on", "off"])
def test_a_server_answers_as_without_mother(
    pythons: dict[str, Python], model: Path, template: Path, tmp_path: Path, name: str
) -> None:
    found = {}
    for side in (name, "absent"):
        folder = tmp_path / side
        folder.mkdir()
        with _server(pythons[side], folder, template) as address:
            found[side] = _sequence(pythons[side], address, folder, model)["answers"]
    assert len(found["absent"]) > 50
    assert found[name] == found["absent"]


def test_mlflow_goes_on_without_mother_on_the_same_database(
    pythons: dict[str, Python], model: Path, sqlite, tmp_path: Path
) -> None:
    """Purged first, or just uninstalled; ``mlflow db upgrade`` passes either way."""
    found = {}
    for name, purged in (("purged", True), ("left", False), ("never", False)):
        folder, _ = sqlite("absent" if name == "never" else "on")
        before, after = folder / "mlflow.db", tmp_path / f"{name}.db"
        shutil.copyfile(before, after)
        uri = f"sqlite:///{after}"
        if purged:
            pythons["on"].run(folder, "-m", "mlflow_mother.cli", "purge", "--yes", MLFLOW_TRACKING_URI=uri)
        with sqlite3.connect(after) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE name LIKE 'mother%'")]
        database.close()
        assert bool(tables) == (name == "left"), tables
        found[name] = _sequence(pythons["absent"], uri, folder, model, "GO-ON")["answers"]
    assert found["purged"] == found["never"], "no tag, table or file is left that anyone could see"
    assert _without_mother(found["left"]) == found["never"], "her last tags are all that is left to see"


def _without_mother(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_mother(item) for key, item in value.items() if not key.startswith("mother.")}
    return [_without_mother(item) for item in value] if isinstance(value, list) else value
