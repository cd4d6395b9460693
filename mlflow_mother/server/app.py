"""What ``mlflow server --app-name mother`` serves: MLflow's own application with Mother mounted on it."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask

from mlflow_mother.registry.capture import install
from mlflow_mother.server import api, pages
from mlflow_mother.server.access import Access, OpenAccess
from mlflow_mother.server.services import Services


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
    return _served(app)


def mount(app: Flask, access: Access) -> None:
    """Adds Mother's routes and pages to an application, and captures what is registered with it.

    Args:
        app: MLflow's Flask application. Native FastAPI routes would not be authorised.
        access: What the users of this application may see and do.
    """
    install()
    api.register(app, Services(), access)
    pages.register(app)


def _served(app: Flask) -> Any:
    if os.environ.get("_MLFLOW_SGI_NAME") != "uvicorn":
        return app
    from mlflow.server.fastapi_app import create_fastapi_app

    return create_fastapi_app(app)
