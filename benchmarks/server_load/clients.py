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
class Task:
    """What a client is to do.

    Attributes:
        address: The server's.
        experiment: Id of the experiment that runs are made in.
        client: The client's number.
        way: ``rest`` or ``python``.
        numbers: The models to register.
        folder: Where to report.
        warmup: How many of them to register before ``go`` is there.
        own_names: Whether to register under names that no other client uses.
        persistent: Whether to try failed calls again.
    """

    address: str
    experiment: str
    client: int
    way: str
    numbers: Sequence[int]
    folder: str
    warmup: int = 0
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
    way: Way = (Rest if task.way == "rest" else Python)(task.address, task.experiment)
    folder, failures = Path(task.folder), 0

    def persist(call: Callable[[], _T]) -> tuple[_T, float]:
        """A call's answer, and how long the one took that was answered."""
        nonlocal failures
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            began = time.monotonic()
            try:
                answer = call()
            except Exception:
                failures += 1
                if not task.persistent or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return answer, time.monotonic() - began

    with (folder / f"client-{task.client}.jsonl").open("a", buffering=1) as report:
        for done, number in enumerate(task.numbers):
            if task.warmup and done == task.warmup:
                (folder / f"warm-{task.client}").touch()
                while not (folder / "go").exists():
                    time.sleep(0.05)
            (run, address), _ = persist(way.create_run)
            with tempfile.TemporaryDirectory() as files:
                model = write(number, Path(files) / "model")
                persist(lambda: way.upload(run, address, model, f"m{number}"))  # noqa: B023
            name = name_of(task, number)
            version, seconds = persist(lambda: way.register(name, f"{address}/m{number}", run))  # noqa: B023
            line = {"number": number, "uri": f"models:/{name}/{version}", "seconds": seconds, "failures": failures}
            report.write(json.dumps({**line, "warm": done >= task.warmup}) + "\n")
            failures = 0


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
    work(Task(**json.loads(sys.argv[1])))
