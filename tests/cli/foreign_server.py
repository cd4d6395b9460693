"""A plain ``mlflow server`` that somebody else runs, and Mother's commands beside it as processes of their own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mlflow import MlflowClient
from registry_samples import Weights, free_port, write_model

SECRET = "correct horse battery staple"


@dataclass
class ForeignServer:
    """An MLflow server without Mother, which can be stopped and started again on its port.

    Attributes:
        folder: Where it keeps everything.
        environment: Its variables beside the process's own.
        port: Where it listens.
    """

    folder: Path
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        log = (self.folder / "server.log").open("ab")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/server.db"),
                *("--artifacts-destination", str(self.folder / "artifacts")),
            ],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env={
                **os.environ,
                "MLFLOW_MOTHER_ENABLED": "false",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                **self.environment,
            },
            start_new_session=True,
        )
        log.close()
        eventually(self._answers, 120)

    def stop(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, (self.folder / "server.log").read_text()
        try:
            with urllib.request.urlopen(f"{self.address}/health", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False


@contextmanager
def foreign_server(folder: Path, template: Path, **environment: str) -> Iterator[ForeignServer]:
    """A server for as long as the context lasts; ``template`` is an empty MLflow database to copy."""
    shutil.copyfile(template, folder / "server.db")
    server = ForeignServer(folder, environment)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class Team:
    """People who register models at a server.

    Attributes:
        server: The server.
        folder: Where they write models first.
    """

    server: ForeignServer
    folder: Path

    @cached_property
    def client(self) -> MlflowClient:
        return MlflowClient(self.server.address, self.server.address)

    @cached_property
    def _experiment(self) -> str:
        # Not the default one: that of the copied database keeps its artifacts in a local folder.
        found = self.client.get_experiment_by_name("team")
        return found.experiment_id if found else self.client.create_experiment("team")

    def register(self, name: str, weights: Weights, count: int = 1) -> list[str]:
        """Registers one model, several times if wanted; ``models:/name/version`` each."""
        run = self.client.create_run(self._experiment)
        self.client.log_artifacts(run.info.run_id, str(write_model(self.folder / run.info.run_id, weights)), "model")
        if not self.client.search_registered_models(f"name = '{name}'"):
            self.client.create_registered_model(name)
        source = f"{run.info.artifact_uri}/model"
        made = [self.client.create_model_version(name, source, run.info.run_id) for _ in range(count)]
        return [f"models:/{one.name}/{one.version}" for one in made]

    def mother(self, uri: str) -> dict[str, str]:
        """Mother's tags of a version, without their prefix."""
        tags = self.client.get_model_version(*uri.removeprefix("models:/").split("/")).tags
        return {key.removeprefix("mother."): value for key, value in tags.items() if key.startswith("mother.")}


class Command:
    """A running ``mlflow-mother`` whose remarks can be waited for."""

    def __init__(self, log: Path, environment: dict[str, str], *args: str) -> None:
        self._log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "mlflow_mother.cli", *args],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            )

    @property
    def said(self) -> str:
        return self._log.read_text()

    def waits_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """Waits until the command has said this; how it said it."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.said)
            assert match or self.process.poll() is None, f"ended with {self.process.returncode}: {self.said}"
            return match

        return eventually(found, seconds, lambda: f"never said {pattern!r}: {self.said}")

    def ends(self, number: signal.Signals = signal.SIGTERM, seconds: float = 30) -> int:
        """Sends a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def command(folder: Path, environment: dict[str, str], *args: str) -> Iterator[Command]:
    """A command for as long as the context lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Command(folder / "command.log", environment, *args)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(30)


def eventually(look: Callable[[], object], seconds: float = 60, why: Callable[[], str] = str):
    """Looks until something is there; what it is."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, why()
        time.sleep(0.05)
    return found
