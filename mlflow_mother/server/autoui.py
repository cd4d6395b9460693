"""``MLFLOW_MOTHER_AUTO_UI=true``: Mother on a plain ``mlflow server``, or on MLflow's own ``--app-name basic-auth``.

For those who cannot choose the app. MLflow loads Mother's entry point while it imports its server; that is before the
application is whole, so that the mounting waits for the import of what serves it: MLflow's sign-in, else its ASGI
module. Anybody else's app is left alone, since only it knows who may see what.

Which app a process serves is on its command line. MLflow's sign-in may be imported by a plain server as well, long
after it has begun to serve.
"""

from __future__ import annotations

import functools
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

SIGN_IN = "mlflow.server.auth:create_app"
"""What it puts there for ``--app-name basic-auth``; with gunicorn, ``()`` follows."""


def prepare() -> None:
    """Sees to it that Mother is mounted when MLflow's application is ready; does nothing outside of a server."""
    if environment.INTERFACE not in os.environ:
        return
    from mlflow.utils import import_hooks

    when_imported: Callable[[Callable[[ModuleType], None], str], None] = import_hooks.register_post_import_hook
    if {SIGN_IN, f"{SIGN_IN}()"}.intersection(sys.argv):
        when_imported(_with_sign_in, "mlflow.server.auth")
    elif PLAIN_UVICORN in sys.argv:
        when_imported(_without_sign_in, "mlflow.server.fastapi_app")
    elif PLAIN_GUNICORN in sys.argv:
        log.warning("MLFLOW_MOTHER_AUTO_UI needs uvicorn; with gunicorn, start the server with --app-name mother.")


def _harmless(mount: Callable[[], None]) -> Callable[[ModuleType], None]:
    """A hook for MLflow's imports, which would fail with it."""

    @functools.wraps(mount)
    def hook(_module: ModuleType) -> None:
        try:
            mount()
        except Exception:
            log.exception("Mother could not start; MLflow is served without her.")

    return hook


@_harmless
def _with_sign_in() -> None:
    from mlflow_mother.server.access import BasicAuthAccess
    from mlflow_mother.server.app import mount
    from mlflow_mother.server.basic_auth import NAME_RELATIVES

    os.environ.setdefault(NAME_RELATIVES, "false")
    mount(_mlflow_app(), BasicAuthAccess())


@_harmless
def _without_sign_in() -> None:
    from mlflow_mother.server.access import OpenAccess
    from mlflow_mother.server.app import mount

    mount(_mlflow_app(), OpenAccess())


def _mlflow_app() -> Any:
    from mlflow.server import app

    return app
