"""The JSON API under ``/ajax-api/2.0/mlflow-mother/``.

===============  ========================================================================================
``routes``       the list of routes, from which everything else follows
``records``      what they answer
``caller``       who asks, and the registry as they may see it
``lineage``      one version's lineage, one model's tree; ``versions``: what is told of a version beside it
``forest``       the registry's families, and ``audit`` its versions, by pages (``cursors``, ``filters``)
``compare``      two versions; ``exports`` and ``documents``: files to keep
``writes``       what users change
``errors``       what is said when something cannot be served
``openapi``      the description for programs
===============  ========================================================================================

A view is a function of the caller and a record; this module alone knows of HTTP requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

from flask import Flask, Response, request

from mlflow_mother.server.access import Access
from mlflow_mother.server.api import errors
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.documents import Document
from mlflow_mother.server.api.openapi import openapi
from mlflow_mother.server.api.routes import ROOT, ROUTES, Route
from mlflow_mother.server.services import Services
from mlflow_mother.types import Record

MOST_BYTES = 100_000
"""Longest body of a request."""

DESCRIPTION = "openapi.json"
"""Path of the description."""


def register(app: Flask, services: Services, access: Access) -> None:
    """Adds the API's routes.

    Args:
        app: MLflow's Flask application.
        services: The use cases.
        access: What users may see and do.
    """
    from mlflow.server.handlers import _add_static_prefix

    views = {(route.path, route.method): _view(route, services, access) for route in ROUTES}
    views[DESCRIPTION, "GET"] = _description
    for (path, method), view in views.items():
        rule = _add_static_prefix(f"{ROOT}/{path}")
        app.add_url_rule(rule, f"mother {method} {path}", view, methods=[method])
        access.admit([(rule, method)])


def _view(route: Route, services: Services, access: Access) -> Callable[[], Response]:
    def view() -> Response:
        try:
            taken = _taken(route.takes)
            response = _response(route.serve(Caller(services.current(), access), taken))
            response.status_code = route.status
        except Exception as error:
            response = errors.answer(error, access)
        response.headers["Cache-Control"] = "no-store"
        return response

    return view


def _response(answer: Record | Document) -> Response:
    if isinstance(answer, Document):
        return answer.response()
    return Response(answer.model_dump_json(), mimetype="application/json")


def _taken(record: type[Record]) -> Record:
    """What the request brings, as the record.

    Raises:
        ApiError: It is no such thing.
        ValidationError: It is none either.
    """
    if request.method != "POST":
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise errors.bad_request(f"{repeated[0][:100]} is given twice.")
        return record.model_validate(request.args.to_dict())
    # Other sites' forms cannot send this type, and MLflow refuses their scripts.
    if request.mimetype != "application/json":
        raise errors.bad_request("Send the request's body as application/json.")
    if request.content_length is None or request.content_length > MOST_BYTES:
        raise errors.bad_request(f"Send a body of at most {MOST_BYTES} bytes, and its length.")
    # Kept: older releases of MLflow look into it when they are asked for permissions.
    return record.model_validate_json(request.get_data())


def _description() -> Response:
    return Response(_described(), mimetype="application/json")


@cache
def _described() -> str:
    return json.dumps(openapi())
