"""One client of many: ``python -m benchmarks.server_load.clients``, plain MLflow, without Mother.

It registers its share of the models, each with a run of its own and its files sent through the server, and writes a
line of JSON for every version that the server acknowledged. A call that fails is tried again until it does not, as a
stubborn user would: a version whose answer was lost is registered twice.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import requests

from benchmarks.server_load.models import family, write

API = "/api/2.0/mlflow"
PATIENCE_SECONDS = 600
PAUSE_SECONDS = 0.3
REQUEST_SECONDS = 60

_T = TypeVar("_T")


@dataclass(frozen=True)
class Block:
    """Models to register one after the other.

    Attributes:
        address: The server's.
        experiment: Id of the experiment that runs are made in.
        numbers: The models.
    """

    address: str
    experiment: str
    numbers: Sequence[int]


@dataclass(frozen=True)
class Task:
    """What a client is to do.

    Attributes:
        client: The client's number.
        way: ``rest`` or ``python``.
        folder: Where to report.
        blocks: What to register. Each but the first waits for :func:`release`.
        own_names: Whether to register under names that no other client uses.
        persistent: Whether to try failed calls again.
    """

    client: int
    way: str
    folder: str
    blocks: Sequence[Block]
    own_names: bool = False
    persistent: bool = True


class Way(Protocol):
    """A way to register."""

    def create_run(self) -> tuple[str, str]:
        """A new run's id and artifact address."""

    def upload(self, run: str, address: str, model: Path, path: str) -> None:
        """Sends a model's files through the server."""

    def register(self, name: str, source: str, run: str) -> str:
        """Registers a version; its number."""


class Rest:
    """MLflow's REST API and nothing else."""

    def __init__(self, address: str, experiment: str = "") -> None:
        self._address = address
        self._experiment = experiment
        self._session = requests.Session()

    def create_run(self) -> tuple[str, str]:
        run = self._post("runs/create", experiment_id=self._experiment)["run"]["info"]
        return run["run_id"], run["artifact_uri"]

    def upload(self, run: str, address: str, model: Path, path: str) -> None:
        root = address.partition(":")[2].lstrip("/")
        for file in (file for file in model.rglob("*") if file.is_file()):
            target = f"/api/2.0/mlflow-artifacts/artifacts/{root}/{path}/{file.relative_to(model).as_posix()}"
            answer = self._session.put(self._address + target, data=file.read_bytes(), timeout=REQUEST_SECONDS)
            answer.raise_for_status()

    def register(self, name: str, source: str, run: str) -> str:
        made = self._post("model-versions/create", name=name, source=source, run_id=run)
        return str(made["model_version"]["version"])

    def create_model(self, name: str) -> None:
        """A new registered model."""
        self._post("registered-models/create", name=name)

    def create_experiment(self, name: str) -> str:
        """A new experiment's id."""
        return str(self._post("experiments/create", name=name)["experiment_id"])

    def _post(self, path: str, **content: Any) -> Any:
        answer = self._session.post(f"{self._address}{API}/{path}", json=content, timeout=REQUEST_SECONDS)
        answer.raise_for_status()
        return answer.json()


class Python:
    """MLflow's Python client, with the retries that it has of itself."""

    def __init__(self, address: str, experiment: str) -> None:
        import mlflow

        self._experiment = experiment
        mlflow.set_tracking_uri(address)
        self._client = mlflow.MlflowClient()

    def create_run(self) -> tuple[str, str]:
        run = self._client.create_run(self._experiment).info
        return run.run_id, run.artifact_uri

    def upload(self, run: str, address: str, model: Path, path: str) -> None:
        self._client.log_artifacts(run, str(model), path)

    def register(self, name: str, source: str, run: str) -> str:
        return str(self._client.create_model_version(name, source, run).version)


def name_of(task: Task, number: int) -> str:
    """The registered model that a model becomes a version of."""
    return f"family-{family(number)}-of-{task.client}" if task.own_names else f"family-{family(number)}"


def source_number(source: str) -> int:
    """The number of the model at an artifact address."""
    return int(source.rpartition("/m")[2])


def work(task: Task) -> None:
    """Registers everything; the acknowledged versions are in ``client-<n>.jsonl`` then."""
    folder = Path(task.folder)
    with (folder / f"client-{task.client}.jsonl").open("a", buffering=1) as report:
        for place, block in enumerate(task.blocks):
            while place and not (folder / f"go-{place}").exists():
                time.sleep(0.02)
            way: Way = (Rest if task.way == "rest" else Python)(block.address, block.experiment)
            for number in block.numbers:
                report.write(json.dumps({"block": place, **_registered(task, way, number)}) + "\n")
            (folder / f"done-{place}-{task.client}").touch()


def _registered(task: Task, way: Way, number: int) -> dict[str, Any]:
    """Registers a model; which version it became, and how long the call took that was answered."""
    failures = 0

    def persist(call: Callable[[], _T]) -> tuple[_T, float]:
        nonlocal failures
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            began = time.monotonic()
            try:
                return call(), time.monotonic() - began
            except Exception:
                failures += 1
                if not task.persistent or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)

    (run, address), _ = persist(way.create_run)
    with tempfile.TemporaryDirectory() as files:
        model = write(number, Path(files) / "model")
        persist(lambda: way.upload(run, address, model, f"m{number}"))
    name = name_of(task, number)
    version, seconds = persist(lambda: way.register(name, f"{address}/m{number}", run))
    return {"number": number, "uri": f"models:/{name}/{version}", "seconds": seconds, "failures": failures}


def release(folder: Path, block: int) -> None:
    """Lets the clients go on to a block."""
    (folder / f"go-{block}").touch()


def finished(folder: Path, block: int) -> int:
    """How many clients are through with a block."""
    return len(list(folder.glob(f"done-{block}-*")))


@contextmanager
def started(tasks: Collection[Task]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Clients, each a process of its own, for as long as the context lasts."""
    quiet = {"MLFLOW_MOTHER_ENABLED": "false", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **quiet, "PYTHONWARNINGS": "ignore"}
    program = [sys.executable, "-m", "benchmarks.server_load.clients"]
    processes = []
    try:
        for task in tasks:
            with Path(task.folder, f"client-{task.client}.log").open("wb") as log:
                processes.append(
                    subprocess.Popen(
                        [*program, json.dumps(asdict(task))],
                        stdout=log,
                        stderr=log,
                        cwd=Path(__file__).parents[2],
                        env=environment,
                    )
                )
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait(30)


def reported(folder: Path) -> list[dict[str, Any]]:
    """What the clients have reported until now."""
    lines = [line for file in sorted(folder.glob("client-*.jsonl")) for line in file.read_text().splitlines(True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


if __name__ == "__main__":
    said = json.loads(sys.argv[1])
    work(Task(**{**said, "blocks": [Block(**block) for block in said["blocks"]]}))
