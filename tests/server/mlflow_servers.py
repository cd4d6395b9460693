"""Real ``mlflow server`` processes with Mother, in any configuration, and what vanilla clients do with them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
from registry_samples import Weights, free_port, write_model
from sqlalchemy import create_engine, text

API = "/ajax-api/2.0/mlflow-mother"
ADMIN, PASSWORD = "admin", "correct horse battery"
START_SECONDS = 240
DONE = ("done", "undecided", "unsupported", "failed")


@dataclass(frozen=True)
class Config:
    """How a server is started.

    Attributes:
        interface: ``uvicorn`` or ``gunicorn``.
        workers: Server processes.
        prefix: ``--static-prefix``.
        artifacts: ``local`` or ``s3`` through the server, ``direct-local`` or ``direct-s3`` past it.
        database: ``sqlite`` or ``postgresql``.
        workspaces: Whether it has workspaces.
        auth: Whether users sign in.
    """

    interface: str = "uvicorn"
    workers: int = 1
    prefix: str = ""
    artifacts: str = "local"
    database: str = "sqlite"
    workspaces: bool = False
    auth: bool = False

    def __str__(self) -> str:
        words = [self.interface, str(self.workers), self.artifacts, self.database]
        words += ["prefix"] * bool(self.prefix) + ["workspaces"] * self.workspaces + ["auth"] * self.auth
        return "-".join(words)


@dataclass
class Server:
    """A running server.

    Attributes:
        config: How it was started.
        folder: Where it keeps everything.
        root: Scheme, host and port.
        database: URI of its database.
        process: The ``mlflow server`` command.
    """

    config: Config
    folder: Path
    root: str
    database: str
    process: subprocess.Popen[bytes]
    command: list[str] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    @property
    def address(self) -> str:
        """What clients use as tracking URI."""
        return self.root + self.config.prefix

    @property
    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def get(
        self, path: str, *, user: str | None = None, password: str = PASSWORD, workspace: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON (or text) of a page below the static prefix."""
        request = urllib.request.Request(self.address + path)
        if user is not None:
            request.add_header("Authorization", "Basic " + b64encode(f"{user}:{password}".encode()).decode())
        if workspace is not None:
            request.add_header("X-MLFLOW-WORKSPACE", workspace)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                status, body = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read().decode()
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body

    def worker(self) -> int | None:
        """The process of the worker that this server's processes started; None while there is none."""
        for program in descendants(self.process.pid):
            with suppress(OSError):
                if "mlflow_mother.server.worker" in Path(f"/proc/{program}/cmdline").read_text().split("\0"):
                    return program
        return None

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query to the database."""
        engine = create_engine(self.database)
        with engine.connect() as connection:
            rows = [tuple(row) for row in connection.execute(text(sql))]
        engine.dispose()
        return rows

    def restart(self) -> None:
        """Starts the command again after it was killed."""
        self.process = _start(self.command, self.environment, self.folder)
        wait_until(lambda: answers(self), START_SECONDS, self)

    def kill(self) -> None:
        """Kills all of the server's processes at once, but for the worker, which has to notice by itself."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)


def descendants(process: int) -> Iterator[int]:
    """A process's children, their children, and so on."""
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, thread.read_text().split()):
                yield child
                yield from descendants(child)


def answers(server: Server) -> bool:
    try:
        return server.get("/health")[0] == 200
    except OSError:
        return False


def wait_until(true: Any, seconds: float, server: Server) -> float:
    """Waits for something to come true; the seconds that it took."""
    began = time.monotonic()
    while not true():
        took = time.monotonic() - began
        assert server.process.poll() is None, server.log
        assert took < seconds, f"{seconds} s were not enough\n{server.log}"
        time.sleep(min(1.0, max(0.1, took / 10)))  # asking in vain takes time from those who work
    return time.monotonic() - began


@contextmanager
def running(
    config: Config,
    folder: Path,
    database: str,
    *,
    endpoint: str = "",
    environment: Mapping[str, str] | None = None,
    app: str | None = None,
) -> Iterator[Server]:
    """A server for as long as the context lasts.

    Args:
        config: How it is started.
        folder: Where it keeps everything.
        database: URI of an MLflow database.
        endpoint: Address of an S3 service with a bucket ``models``, for configurations that need one.
        environment: More variables.
        app: ``--app-name``, none when empty; as the configuration says when not given.
    """
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(config.workers), "--backend-store-uri", database]
    named = ("mother-basic-auth" if config.auth else "mother") if app is None else app
    command += ["--app-name", named] if named else []
    if config.interface == "gunicorn":
        command += ["--gunicorn-opts", "--log-level warning" + " --preload" * (config.workers > 1)]
    command += ["--static-prefix", config.prefix] if config.prefix else []
    command += ["--enable-workspaces"] if config.workspaces else []
    command += {
        "local": ["--artifacts-destination", str(folder / "artifacts")],
        "s3": ["--artifacts-destination", "s3://models/of/mine"],
        "direct-local": ["--no-serve-artifacts", "--default-artifact-root", str(folder / "artifacts")],
        "direct-s3": ["--no-serve-artifacts", "--default-artifact-root", "s3://models/of/mine"],
    }[config.artifacts]
    variables = {
        **os.environ,
        "MLFLOW_MOTHER_ENABLED": "true",
        "MLFLOW_MOTHER_HOME": str(folder / "home"),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **({"MLFLOW_S3_ENDPOINT_URL": endpoint} if endpoint else {}),
        **(_auth(folder) if config.auth else {}),
        **(environment or {}),
    }
    process = _start(command, variables, folder)
    server = Server(config, folder, f"http://127.0.0.1:{port}", database, process, command, variables)
    try:
        wait_until(lambda: answers(server), START_SECONDS, server)
        yield server
    finally:
        server.kill()


def _start(command: list[str], environment: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True)


def _auth(folder: Path) -> dict[str, str]:
    config = folder / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{folder}/users.db\n"
        f"admin_username = {ADMIN}\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 600\n"  # checking a password takes longer than answering
    )
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests",
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
    }


def register(name: str, weights: Weights, folder: Path) -> str:
    """Registers weights with the current tracking server, as plain MLflow would; returns ``models:/name/version``."""
    model = write_model(folder / f"{name}-{time.monotonic_ns()}", weights)
    with mlflow.start_run() as run:
        mlflow.MlflowClient().log_artifacts(run.info.run_id, str(model), "model")
    shutil.rmtree(model)
    version = mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    return f"models:/{version.name}/{version.version}"


def tags(uri: str) -> dict[str, str]:
    """Mother's tags of a version without their prefix."""
    name, version = uri.removeprefix("models:/").split("/")
    found = mlflow.MlflowClient().get_model_version(name, version).tags
    return {k.removeprefix("mother."): v for k, v in found.items() if k.startswith("mother.")}


def is_done(uri: str) -> bool:
    """Whether a version's analysis is over, however it went."""
    return tags(uri).get("status") in DONE


@contextmanager
def client_of(server: Server, *, user: str = ADMIN, workspace: str | None = None) -> Iterator[None]:
    """Points MLflow at a server, without Mother in the client, for as long as the context lasts."""
    before = {name: os.environ.get(name) for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")}
    uri = mlflow.get_tracking_uri()
    if server.config.auth:
        os.environ.update(MLFLOW_TRACKING_USERNAME=user, MLFLOW_TRACKING_PASSWORD=PASSWORD)
    mlflow.set_tracking_uri(server.address)
    if workspace is not None:
        mlflow.set_workspace(workspace)
    try:
        mlflow.set_experiment("tests")
        yield
    finally:
        if workspace is not None:
            mlflow.set_workspace(None)
        mlflow.set_tracking_uri(uri)
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({name: value} if value is not None else {})
