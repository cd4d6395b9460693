"""What ``mlflow server --app-name mother`` serves: MLflow's own application with Mother mounted on it."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable
from typing import Any

from flask import Flask

from mlflow_mother.errors import MotherError
from mlflow_mother.registry.capture import install
from mlflow_mother.server import api, environment, logs, pages
from mlflow_mother.server.access import Access, OpenAccess
from mlflow_mother.server.services import Services
from mlflow_mother.server.supervisor import Supervisor

log = logging.getLogger(__name__)

EXTENSION = "mlflow-mother"
"""What an application with Mother on it knows her by."""


def create_app(app: Flask | None = None) -> Any:
    """MLflow's application with Mother, for everyone who reaches the server.

    A plain function, as ``mlflow server`` demands of a factory.

    Args:
        app: The Flask application to mount on; MLflow's when not given.

    Returns:
        The ASGI application under uvicorn, else the Flask application.
    """
    from mlflow.server import app as mlflow_app

    app = app or mlflow_app
    mount(app, OpenAccess())
    return served(app)


def mount(app: Flask, access: Access) -> None:
    """Adds Mother's routes and pages to an application, and captures what is registered with it.

    Whatever goes wrong here is logged, and MLflow is served without her. A second call changes nothing.

    Args:
        app: MLflow's Flask application. Native FastAPI routes would not be authorised.
        access: What the users of this application may see and do.
    """
    if EXTENSION in app.extensions:
        return
    app.extensions[EXTENSION] = access
    if not environment.has_registry():
        log.info("Mother has nothing to do on a server of artifacts alone.")
        return
    try:
        _mount(app, access)
    except MotherError as error:
        log.error("Mother could not start; MLflow is served without her. %s", error)
    except Exception:
        log.exception("Mother could not start; MLflow is served without her.")


def _mount(app: Flask, access: Access) -> None:
    services = Services()
    logs.set_up(services.settings)
    install()
    api.register(app, services, access)
    before = _paths(app)
    pages.register(app)
    access.admit((path, "GET") for path in _paths(app) - before)
    _when_serving(services.read_ahead)
    if services.settings.enabled and services.settings.server_worker:
        _when_serving(Supervisor(services).start)


def _when_serving(start: Callable[[], None]) -> None:
    """Starts something in every process that serves the application."""
    if _will_fork():
        os.register_at_fork(after_in_child=start)
    else:
        start()


def _will_fork() -> bool:
    """Whether gunicorn loads the application before it has workers (``--preload``).

    Nothing may touch a database then: SQLite's locks and every connection would break in the workers.
    """
    if os.environ.get(environment.INTERFACE) != "gunicorn":
        return False
    modules = {frame.f_globals.get("__name__") for frame, _ in traceback.walk_stack(None)}
    return "gunicorn.workers.base" not in modules


def _paths(app: Flask) -> set[str]:
    return {rule.rule for rule in app.url_map.iter_rules()}


def served(app: Flask) -> Any:
    """The application in the form in which this process serves it."""
    if os.environ.get(environment.INTERFACE) != "uvicorn":
        return app
    from mlflow.server.fastapi_app import create_fastapi_app

    return create_fastapi_app(app)
