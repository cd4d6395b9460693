"""The API's routes as data: how to parse a request, what serves it, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.lineage import LineageQuery, TreeQuery, lineage, tree
from mlflow_mother.server.api.records import LineageAnswer, StatusAnswer
from mlflow_mother.server.api.status import NoQuery, status
from mlflow_mother.types import Record


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes:
        method: HTTP method.
        path: Below the API's root.
        takes: Record of the query, or of a POST's JSON body.
        serve: Makes the answer.
        answers: Record of the answer.
        status: HTTP status of the answer.
    """

    method: Literal["GET", "POST"]
    path: str
    takes: type[Record]
    serve: Callable[[Caller, Any], Record]
    answers: type[Record]
    status: HTTPStatus = HTTPStatus.OK


ROUTES = (
    Route("GET", "status", NoQuery, status, StatusAnswer),
    Route("GET", "lineage", LineageQuery, lineage, LineageAnswer),
    Route("GET", "tree", TreeQuery, tree, LineageAnswer),
)
