"""``make serve``: a server with Mother and the demo family registered, ready to click.

The registering client is plain MLflow: the lineage is the server's work. The family is trained once, about two
minutes, and kept in ``.cache/demo``; the server's files are in ``demo_output/server``, emptied first.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from benchmarks.demo.__main__ import progress_bar, register, train
from benchmarks.demo.training import TRUTH

CACHE = Path(".cache/demo")
SERVER = Path("demo_output/server")
START_SECONDS = 120
PATIENCE_SECONDS = 300


def start(port: int, app: str) -> subprocess.Popen[bytes]:
    """Starts the server in a folder of its own, with its log beside its database."""
    folder = SERVER.resolve()
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", app, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "server.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "MLFLOW_MOTHER_ENABLED": "true"})


def wait_for(server: subprocess.Popen[bytes], address: str) -> None:
    """Waits until the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
            return
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"The server did not start: see {SERVER / 'server.log'}")
        time.sleep(0.3)


def wait_for_lineage(names: list[str]) -> None:
    """Waits until the server has analysed every network."""
    import mlflow

    client, deadline = mlflow.MlflowClient(), time.monotonic() + PATIENCE_SECONDS
    while names and time.monotonic() < deadline:
        status = client.get_model_version(names[0], "1").tags.get("mother.status", "pending")
        names = names[1:] if status != "pending" else names
        time.sleep(0.1)


def main() -> None:
    """Starts, registers, prints the address, and serves until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo.serve", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="seed of the family (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument("--app", default="mother", help="value of --app-name (default: %(default)s)")
    options = parser.parse_args()
    os.environ.update(
        MLFLOW_MOTHER_ENABLED="false", MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false", MLFLOW_DISABLE_TELEMETRY="true"
    )
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    console = Console()
    weights = CACHE / str(options.seed)
    shutil.rmtree(SERVER, ignore_errors=True)
    SERVER.mkdir(parents=True)
    port = options.port or _free_port()
    address = f"http://127.0.0.1:{port}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = start(port, options.app)
    try:
        with progress_bar(console) as progress:
            if not (weights / TRUTH).exists():
                train(weights, options.seed, progress)
            names = sorted(json.loads((weights / TRUTH).read_text()))
            random.Random(options.seed).shuffle(names)
            wait_for(server, address)
            import mlflow

            mlflow.set_tracking_uri(address)
            mlflow.set_experiment("demo")
            register(weights, names, progress)
        wait_for_lineage(names)
        console.print(f"\nThe whole registry:   {address}/mother/", highlight=False)
        console.print(f"One model's lineage:  {address}/#/models/{names[0]}?tab=lineage", highlight=False)
        console.print(f"The server's log:     {SERVER / 'server.log'}\n\nStop with Ctrl-C.", highlight=False)
        server.wait()
    except KeyboardInterrupt:
        console.print("Stopping.")
    finally:
        server.terminate()
        server.wait(30)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
