"""``mlflow-mother worker``: a server's worker as a service of its own."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click

from mlflow_mother.cli.options import examples
from mlflow_mother.cli.output import note


@click.command(
    epilog=examples(
        "mlflow-mother worker --backend-store-uri postgresql+psycopg2://mlflow@db/mlflow --artifacts-destination s3://models",
        "MLFLOW_BACKEND_STORE_URI=sqlite:///mlflow.db mlflow-mother worker",
    )
)
@click.option(
    "--backend-store-uri",
    envvar="MLFLOW_BACKEND_STORE_URI",
    required=True,
    help="The server's database. Also: MLFLOW_BACKEND_STORE_URI.",
)
@click.option(
    "--registry-store-uri",
    envvar="MLFLOW_REGISTRY_STORE_URI",
    help="The registry's database, if it is another. Also: MLFLOW_REGISTRY_STORE_URI.",
)
@click.option(
    "--artifacts-destination",
    envvar="MLFLOW_ARTIFACTS_DESTINATION",
    help="Where the server keeps the artifacts that it proxies. Also: MLFLOW_ARTIFACTS_DESTINATION.",
)
@click.option(
    "--enable-workspaces",
    is_flag=True,
    envvar="MLFLOW_ENABLE_WORKSPACES",
    help="The server has workspaces. Also: MLFLOW_ENABLE_WORKSPACES.",
)
def worker(
    backend_store_uri: str, registry_store_uri: str | None, artifacts_destination: str | None, enable_workspaces: bool
) -> None:
    """Analyses what is registered with a server, in place of the server's own worker.

    For servers on several machines, or a worker with a machine of its own. Start it with the options of the server
    and set MLFLOW_MOTHER_SERVER_WORKER=false there. Of several workers for one registry one works and the others
    stand by. Runs until it is stopped.
    """
    from mlflow_mother.registry.workspaces import ENABLE_WORKSPACES
    from mlflow_mother.server import environment, logs
    from mlflow_mother.server.services import Services
    from mlflow_mother.server.supervisor import Supervisor

    os.environ[environment.BACKEND_STORE] = backend_store_uri
    if registry_store_uri:
        os.environ[environment.REGISTRY_STORE] = registry_store_uri
    if artifacts_destination:
        os.environ.update(
            {environment.ARTIFACTS_DESTINATION: artifacts_destination, environment.SERVE_ARTIFACTS: "true"}
        )
    os.environ[ENABLE_WORKSPACES] = str(enable_workspaces).lower()
    services = Services()
    logs.set_up(services.settings)
    services.store.check()  # better now, on the terminal, than again and again in the log
    watched = sys.stderr.isatty()
    supervisor = Supervisor(services, *(["--bar"] if watched else []))
    signal.signal(signal.SIGTERM, _end)
    if watched:
        note(f"Working for {services.of(None).registry.address}. Stop with Ctrl-C.")
    try:
        supervisor.run()
    finally:
        supervisor.stop()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
