"""``mlflow server --app-name mother-basic-auth``: Mother beside MLflow's own sign-in.

MLflow prepares its ``basic-auth`` in the ``mlflow server`` process, before there are workers, and knows that app by
its name alone. So this module prepares the same when that process imports it to look at the factory: a missing secret
key or admin password ends the command with one clear error, and all workers share one admin and one job token.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

import click
from flask import Flask

from mlflow_mother.server import environment
from mlflow_mother.server.access import BasicAuthAccess
from mlflow_mother.server.app import mount

APP = "mother-basic-auth"
ADMIN_BOOTSTRAPPED = "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"
JOB_TOKEN = "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN"  # noqa: S105  (a variable's name)
NAME_RELATIVES = "MLFLOW_MOTHER_NAME_RELATIVES"


def create_app(app: Flask | None = None) -> Any:
    """MLflow's application with Mother, for those who sign in.

    Args:
        app: The Flask application to mount on; MLflow's when not given.

    Returns:
        The ASGI application under uvicorn, else the Flask application.
    """
    from mlflow.server import app as mlflow_app
    from mlflow.server import auth

    # Tags and artifacts are read by whoever may read their own model, and Mother's are no exception.
    os.environ.setdefault(NAME_RELATIVES, "false")
    app = app or mlflow_app
    mount(app, BasicAuthAccess())
    return auth.create_app(app)


def _prepare() -> None:
    """What has to be there before workers are."""
    from mlflow.server.auth import bootstrap_admin_user, get_flask_server_secret_key

    get_flask_server_secret_key()
    bootstrap_admin_user()
    os.environ[ADMIN_BOOTSTRAPPED] = "true"
    os.environ.setdefault(JOB_TOKEN, secrets.token_hex(32))


def _is_server_command() -> bool:
    """Whether this is the ``mlflow server`` process, about to start this app."""
    command = click.get_current_context(silent=True)
    return command is not None and command.params.get("app_name") == APP and environment.INTERFACE not in os.environ


if _is_server_command():
    _prepare()
