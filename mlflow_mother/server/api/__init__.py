"""The JSON API under ``/ajax-api/2.0/mlflow-mother/``."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, request

from mlflow_mother.server.access import Access
from mlflow_mother.server.api import errors
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.routes import ROUTES, Route
from mlflow_mother.server.services import Services
from mlflow_mother.types import Record

ROOT = "/ajax-api/2.0/mlflow-mother"
MOST_BYTES = 100_000
"""Longest body of a request."""


def register(app: Flask, services: Services, access: Access) -> None:
    """Adds the API's routes.

    Args:
        app: MLflow's Flask application.
        services: The use cases.
        access: What users may see and do.
    """
    from mlflow.server.handlers import _add_static_prefix

    for route in ROUTES:
        rule = _add_static_prefix(f"{ROOT}/{route.path}")
        app.add_url_rule(
            rule, f"mother_{route.path}_{route.method}", _view(route, services, access), methods=[route.method]
        )
    access.admit((_add_static_prefix(f"{ROOT}/{route.path}"), route.method) for route in ROUTES)


def _view(route: Route, services: Services, access: Access) -> Callable[[], Response]:
    def view() -> Response:
        try:
            taken = _taken(route.takes)
            answer = route.serve(Caller(services.current(), access), taken)
            response = Response(answer.model_dump_json(), status=route.status, mimetype="application/json")
        except Exception as error:
            response = errors.answer(error, access)
        response.headers["Cache-Control"] = "no-store"
        return response

    return view


def _taken(record: type[Record]) -> Record:
    if request.method == "GET":
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise errors.bad_request(f"{repeated[0][:100]} is given twice.")
        return record.model_validate(request.args.to_dict())
    if request.mimetype != "application/json":
        raise errors.bad_request("Send the request's body as application/json.")
    body = request.stream.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise errors.bad_request(f"The request's body has more than {MOST_BYTES} bytes.")
    return record.model_validate_json(body)
