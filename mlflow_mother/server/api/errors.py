"""Answers to requests that cannot be served: MLflow's own shape, and no word on what the user may not see."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus

from flask import Response
from pydantic import ValidationError

from mlflow_mother.errors import MotherError
from mlflow_mother.registry.connection import ForbiddenError, NotFoundError
from mlflow_mother.server.access import Access
from mlflow_mother.service.decisions import DecisionError

log = logging.getLogger(__name__)

_CODES = {
    HTTPStatus.BAD_REQUEST: "INVALID_PARAMETER_VALUE",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: "RESOURCE_DOES_NOT_EXIST",
    HTTPStatus.CONFLICT: "INVALID_STATE",
    HTTPStatus.INTERNAL_SERVER_ERROR: "INTERNAL_ERROR",
    HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
}


class ApiError(Exception):
    """A request that cannot be served.

    Args:
        status: The HTTP status.
        message: Why, for the user who asked.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


def bad_request(message: str) -> ApiError:
    """The request itself makes no sense."""
    return ApiError(HTTPStatus.BAD_REQUEST, message)


def conflict(message: str) -> ApiError:
    """It makes sense, but not in the present state."""
    return ApiError(HTTPStatus.CONFLICT, message)


def missing(access: Access) -> ApiError:
    """The model or version is not there, or not for this user: who signs in is never told which."""
    if access.sees_all():
        return ApiError(HTTPStatus.NOT_FOUND, "The registry holds no such model or version.")
    return ApiError(HTTPStatus.FORBIDDEN, "Permission denied, or there is no such model or version.")


def forbidden() -> ApiError:
    """The user may see the model but not change it."""
    return ApiError(HTTPStatus.FORBIDDEN, "You may not change this model.")


def answer(error: Exception, access: Access) -> Response:
    """The response to a request that ended with an error."""
    return _response(_explained(error, access))


def _explained(error: Exception, access: Access) -> ApiError:
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ValidationError):
        return bad_request(_first(error))
    if isinstance(error, DecisionError):
        return bad_request(str(error))
    if isinstance(error, (NotFoundError, ForbiddenError)):
        return missing(access)
    if isinstance(error, MotherError):
        # Its message may name paths, databases and other models: it is for the log.
        log.warning("Mother could not answer a request: %s", error)
        return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "Mother cannot answer now; the server's log says why.")
    log.error("Mother could not answer a request", exc_info=error)
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "Mother failed to answer; the server's log says why.")


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in found["loc"])[:100]
    return f"{where or 'The request'}: {found['msg']}."


def _response(error: ApiError) -> Response:
    body = json.dumps({"error_code": _CODES[error.status], "message": error.message})
    return Response(body, status=error.status, mimetype="application/json")
