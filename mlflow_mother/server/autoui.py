"""``MLFLOW_MOTHER_AUTO_UI=true``: Mother on a plain ``mlflow server``, or on MLflow's own ``--app-name basic-auth``.

For those who cannot choose the app. MLflow loads Mother's entry point while it imports its server; that is before the
application is whole, so that the mounting waits for the import of what serves it: MLflow's sign-in, else its ASGI
module. Anybody else's app is left alone, since only it knows who may see what.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mlflow_mother.server import environment

log = logging.getLogger(__name__)

PLAIN_UVICORN = "mlflow.server.fastapi_app:app"
PLAIN_GUNICORN = "mlflow.server:app"
"""What ``mlflow server`` puts on the command line of its processes when no app is named."""


def prepare() -> None:
    """Sees to it that Mother is mounted when MLflow's application is ready; does nothing outside of a server."""
    if environment.INTERFACE not in os.environ:
        return
    from mlflow.utils import import_hooks

    when_imported: Callable[[Callable[[ModuleType], None], str], None] = import_hooks.register_post_import_hook
    when_imported(_with_sign_in, "mlflow.server.auth")
    if PLAIN_UVICORN in sys.argv:
        when_imported(_without_sign_in, "mlflow.server.fastapi_app")
    elif PLAIN_GUNICORN in sys.argv:
        log.warning("MLFLOW_MOTHER_AUTO_UI needs uvicorn; with gunicorn, start the server with --app-name mother.")


def _with_sign_in(_auth: ModuleType) -> None:
    from mlflow_mother.server.access import BasicAuthAccess
    from mlflow_mother.server.app import mount
    from mlflow_mother.server.basic_auth import NAME_RELATIVES

    os.environ.setdefault(NAME_RELATIVES, "false")
    mount(_mlflow_app(), BasicAuthAccess())


def _without_sign_in(_fastapi_app: ModuleType) -> None:
    from mlflow_mother.server.access import OpenAccess
    from mlflow_mother.server.app import mount

    mount(_mlflow_app(), OpenAccess())


def _mlflow_app() -> Any:
    from mlflow.server import app

    return app
