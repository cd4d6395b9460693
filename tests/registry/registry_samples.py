"""Real registries, and small model families whose tree is known."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from mlflow_mother.registry import capture

Weights = dict[str, npt.NDArray[np.float32]]

KINDS = ("sqlite", "file", "http")

THIRD_PARTY_WARNINGS = (
    "ignore::sqlalchemy.exc.SADeprecationWarning",  # MLflow's queries under SQLAlchemy 2.1
    "ignore::FutureWarning",  # MLflow's farewell to its file store, torch.export
    "ignore::DeprecationWarning",  # torch.export
    "ignore::UserWarning:torch",
    "ignore::UserWarning:mlflow",
)

MLMODEL = """flavors:
  python_function:
    loader_module: nobody.loads.this
model_uuid: 00000000000000000000000000000000
mlflow_version: 3.17.2
"""


def network(seed: int, width: int = 96, layers: int = 6) -> Weights:
    """An untrained network."""
    random = np.random.default_rng(seed)
    return {
        f"layers.{i}.weight": (random.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
        for i in range(layers)
    }


def finetuned(parent: Weights, seed: int, size: float = 0.3) -> Weights:
    """A child whose update is orthogonal to its parent's weights, as it is in high dimension."""
    random = np.random.default_rng(seed)
    return {
        name: (w + size * np.std(w) * random.standard_normal(w.shape)).astype(np.float32) for name, w in parent.items()
    }


def write_model(folder: Path, weights: Mapping[str, npt.NDArray[np.float32]], mlmodel: str = MLMODEL) -> Path:
    """An MLflow model directory with a safetensors file."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(mlmodel)
    save_file(dict(weights), folder / "model" / "model.safetensors")
    return folder


@dataclass
class Bench:
    """A registry to test against.

    Attributes:
        kind: One of :data:`KINDS`.
        uri: Its tracking and registry URI.
        folder: Where models are written before they are registered.
    """

    kind: str
    uri: str
    folder: Path

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient()

    def register(self, name: str, weights: Weights, **options: object) -> str:
        """Registers weights as plain MLflow would, through a run; returns ``models:/name/version``."""
        folder = write_model(self.folder / f"{name}-{time.monotonic_ns()}", weights)
        return self.register_folder(name, folder, **options)

    def register_folder(self, name: str, folder: Path, **options: object) -> str:
        with mlflow.start_run() as run:
            self.client.log_artifacts(run.info.run_id, str(folder), "model")
        version = mlflow.register_model(f"runs:/{run.info.run_id}/model", name, **options)
        return f"models:/{version.name}/{version.version}"

    def tags(self, uri: str) -> dict[str, str]:
        name, version = uri.removeprefix("models:/").split("/")
        return dict(self.client.get_model_version(name, version).tags)

    def mother(self, uri: str) -> dict[str, str]:
        """Mother's tags without their prefix."""
        return {k.removeprefix("mother."): v for k, v in self.tags(uri).items() if k.startswith("mother.")}


@contextmanager
def bench(kind: str, folder: Path, *, server: str = "", template: Path | None = None) -> Iterator[Bench]:
    """Points MLflow at a registry of one kind for as long as the context lasts.

    Args:
        kind: One of :data:`KINDS`.
        folder: Where everything local is kept.
        server: Address of the server.
        template: An empty MLflow database to copy: migrating one takes seconds.
    """
    if template is not None and kind == "sqlite":
        shutil.copyfile(template, folder / "mlflow.db")
    uri = {"sqlite": f"sqlite:///{folder}/mlflow.db", "file": (folder / "mlruns").as_uri(), "http": server}[kind]
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        if kind == "sqlite":
            mlflow.create_experiment("tests", (folder / "artifacts").as_uri())
            mlflow.set_experiment("tests")
        else:
            mlflow.set_experiment("tests")  # not the default one: that of the copied database has a local folder
        yield Bench(kind, uri, folder / "models")
    finally:
        mlflow.set_tracking_uri(before)
        capture._switch = None


def empty_mlflow_database(folder: Path) -> Path:
    """An MLflow database without content."""
    file = folder / "mlflow.db"
    program = f"import mlflow; mlflow.MlflowClient('sqlite:///{file}').search_registered_models()"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "MLFLOW_MOTHER_ENABLED": "false"})
    return file


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def mlflow_server(folder: Path, template: Path) -> Iterator[str]:
    """A real ``mlflow server`` with proxied artifacts; its address.

    Args:
        folder: Where it keeps everything.
        template: An empty MLflow database to copy.
    """
    shutil.copyfile(template, folder / "server.db")
    port = free_port()
    log = (folder / "server.log").open("wb")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{folder}/server.db"),
            *("--artifacts-destination", str(folder / "artifacts")),
        ],
        stdout=log,
        stderr=log,
        cwd=folder,
        env={**os.environ, "MLFLOW_MOTHER_HOME": str(folder / "home"), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 240
        while not _answers(address):
            assert process.poll() is None and time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        log.close()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
