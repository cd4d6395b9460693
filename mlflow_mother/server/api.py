"""The JSON API under ``/ajax-api/2.0/mlflow-mother/``."""

from __future__ import annotations

from flask import Flask, Response, jsonify

from mlflow_mother import __version__
from mlflow_mother.server.access import Access
from mlflow_mother.server.services import Services

ROOT = "/ajax-api/2.0/mlflow-mother"


def register(app: Flask, services: Services, access: Access) -> None:
    """Adds the API's routes.

    Args:
        app: MLflow's Flask application.
        services: The use cases.
        access: What users may see and do.
    """
    from mlflow.server.handlers import _add_static_prefix

    @app.get(_add_static_prefix(f"{ROOT}/status"))
    def mother_status() -> Response:
        return jsonify(worker=True, version=__version__)
