"""The OpenAPI description of the API, made from the routes and their records."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from mlflow_mother import __version__
from mlflow_mother.server.api.routes import ROOT, ROUTES, Route
from mlflow_mother.types import Record

_SCHEMAS = "#/components/schemas/"
_ERRORS = {
    HTTPStatus.BAD_REQUEST: "The request makes no sense; the message says why.",
    HTTPStatus.UNAUTHORIZED: "Nobody is signed in, on a server that wants it. Plain text, from MLflow.",
    HTTPStatus.FORBIDDEN: "Not allowed; a model that the user may not see and one that does not exist look alike.",
    HTTPStatus.NOT_FOUND: "There is no such model or version.",
    HTTPStatus.CONFLICT: "Not in the present state; the message says why.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The registry or Mother's tables cannot be reached; the server's log says why.",
}


class Error(Record):
    """Why a request was not served, in MLflow's own shape.

    Attributes:
        error_code: For programs.
        message: For people; it names nothing that the user may not see.
    """

    error_code: str
    message: str


def openapi(routes: Iterable[Route] = ROUTES) -> dict[str, Any]:
    """The description, as JSON values.

    Args:
        routes: The routes.
    """
    routes = tuple(routes)
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(Error, "serialization")]
    models += [(route.takes, "validation") for route in routes if route.method == "POST"]
    models += [(route.answers, "serialization") for route in routes if isinstance(route.answers, type)]
    _, shared = models_json_schema(models, ref_template=_SCHEMAS + "{model}")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(f"/{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mlflow-mother",
            "version": __version__,
            "description": "Lineage of registered models. Every answer holds what its user may see, and no more.",
        },
        "servers": [{"url": ROOT, "description": "Below MLflow's static prefix, if there is one."}],
        "paths": paths,
        "components": {"schemas": shared["$defs"]},
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{route.path.replace('.', '_')}",
        "summary": route.summary,
        "responses": {
            str(route.status.value): {"description": route.status.phrase, "content": _content(route)},
            **{str(status.value): _error(status, text) for status, text in _ERRORS.items()},
        },
    }
    if route.method == "POST":
        schema = {"$ref": f"{_SCHEMAS}{route.takes.__name__}"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    else:
        operation["parameters"] = _parameters(route.takes)
    return operation


def _content(route: Route) -> dict[str, Any]:
    if isinstance(route.answers, tuple):
        return {media_type: {"schema": {"type": "string"}} for media_type in route.answers}
    return {"application/json": {"schema": {"$ref": f"{_SCHEMAS}{route.answers.__name__}"}}}


def _error(status: HTTPStatus, text: str) -> dict[str, Any]:
    if status is HTTPStatus.UNAUTHORIZED:
        return {"description": text}
    return {"description": text, "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}Error"}}}}


def _parameters(query: type[Record]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    kinds = schema.get("$defs", {})
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(field, kinds)}
        for name, field in schema.get("properties", {}).items()
    ]


def _inlined(schema: Any, kinds: dict[str, Any]) -> Any:
    """A parameter's schema without references: a query's own records are not among the shared ones."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inlined(kinds[schema["$ref"].rpartition("/")[2]], kinds)
        return {key: _inlined(value, kinds) for key, value in schema.items()}
    return [_inlined(item, kinds) for item in schema] if isinstance(schema, list) else schema
