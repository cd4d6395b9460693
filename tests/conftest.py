"""What several folders of tests share.

Fixtures that need MLflow import it when they are asked for: most tests do without.

The family: a few models on disk, and the same models in an MLflow registry, for the commands and the Python verbs.
``base`` was fine-tuned to ``tuned`` and that to ``further``; ``other`` is a second fine-tune of ``base``; ``stranger``
shares the architecture only. The weights are random; real training is for the benchmarks.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from family_samples import VERSIONS, Weights, finetuned, root
from postgres_server import PostgresServer, postgres_server
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from registry_samples import Bench

WITH_MLFLOW = [Path(__file__).parent / folder for folder in ("registry", "server", "service")]
"""Folders of tests in which MLflow and torch warn of themselves."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """MLflow and torch warn of themselves; Mother's own warnings stay errors."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in WITH_MLFLOW):
            from registry_samples import THIRD_PARTY_WARNINGS

            for filter_ in THIRD_PARTY_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(filter_))


@pytest.fixture
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home of its own, no telemetry, and no answer remembered of any server."""
    from mlflow_mother.registry import standdown

    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    standdown._answers.clear()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without content, to copy. Migrating one takes seconds: all workers of pytest share it."""
    from registry_samples import empty_mlflow_database

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    database = folder / "template.db"
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not database.exists():
            empty_mlflow_database(tmp_path_factory.mktemp("template")).rename(database)
    return database


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[str]:
    """Address of a plain ``mlflow server`` with proxied artifacts."""
    from registry_samples import mlflow_server

    with mlflow_server(tmp_path_factory.mktemp("server"), empty_database) as address:
        yield address


@pytest.fixture
def sqlite(tmp_path: Path, empty_database: Path) -> Iterator[Bench]:
    """A registry in a SQLite file."""
    from registry_samples import bench

    with bench("sqlite", tmp_path, template=empty_database) as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server."""
    with postgres_server() as running:
        yield running


@pytest.fixture(scope="session")
def family() -> dict[str, Weights]:
    """Weights by name."""
    base = root(1)
    tuned = finetuned(base, 2, 0.2)
    return {
        "base": base,
        "tuned": tuned,
        "further": finetuned(tuned, 3, 0.1),
        "other": finetuned(base, 4, 0.2),
        "stranger": root(9),
    }


@pytest.fixture(scope="session")
def checkpoints(family: dict[str, Weights], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``checkpoints`` of safetensors files; read-only by convention."""
    folder = tmp_path_factory.mktemp("family") / "checkpoints"
    folder.mkdir()
    for name, weights in family.items():
        save_file(weights, folder / f"{name}.safetensors")
    return folder


@dataclass(frozen=True)
class Registered:
    """The family in a registry.

    Attributes:
        uri: Tracking and registry URI.
        environment: Variables under which MLflow uses it.
    """

    uri: str
    environment: dict[str, str]


_REGISTER = """
import json, os, sys
from pathlib import Path
import mlflow

folder, work = Path(sys.argv[1]), Path(sys.argv[2])
client = mlflow.MlflowClient()
for name, address in json.loads(sys.argv[3]).items():
    model = address.split("/")[1]
    source = work / name
    source.mkdir()
    (source / "model.safetensors").write_bytes((folder / f"{name}.safetensors").read_bytes())
    declared = {"tuned": "models:/family/4", "other": "models:/stranger/1"}.get(name)
    if declared:
        (source / "README.md").write_text(f"---\\nbase_model: {declared}\\n---\\n")
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model)
    version = client.create_model_version(model, str(source))
    assert f"models:/{version.name}/{version.version}" == address
client.set_registered_model_alias("family", "champion", 3)
"""


def _environment(uri: str, home: Path) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_REGISTRY_URI": uri,
        "MLFLOW_MOTHER_HOME": str(home),
        "MLFLOW_MOTHER_INLINE_SECONDS": "60",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


@pytest.fixture(scope="session")
def registered_family(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """The family in a SQLite registry, analysed; ``tuned`` declares its parent, ``other`` a wrong one."""
    work = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{work}/mlflow.db"
    environment = _environment(uri, work / "home")
    command = [sys.executable, "-W", "ignore", "-c", _REGISTER, str(checkpoints), str(work), json.dumps(VERSIONS)]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mlflow_mother.cli", "reconcile"],
        check=True,
        env={**os.environ, **environment},
        capture_output=True,
    )
    return Registered(uri, environment)
