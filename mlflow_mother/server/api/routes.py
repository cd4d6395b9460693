"""The API's routes as data: what a request takes, what serves it, what it answers.

Serving, ``openapi.json``, the documentation's table and the tests all read this list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from mlflow_mother.server.api.audit import AuditFilter, AuditQuery, audit, audit_csv
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.compare import CompareQuery, compare
from mlflow_mother.server.api.documents import Document
from mlflow_mother.server.api.exports import MEDIA_TYPES, ExportQuery, export
from mlflow_mother.server.api.forest import ForestQuery, forest
from mlflow_mother.server.api.lineage import LineageQuery, TreeQuery, lineage, tree
from mlflow_mother.server.api.records import (
    AuditAnswer,
    CompareAnswer,
    DecisionInfo,
    DecisionsAnswer,
    ForestAnswer,
    LineageAnswer,
    Queued,
    StatusAnswer,
)
from mlflow_mother.server.api.status import NoQuery, status
from mlflow_mother.server.api.writes import DecisionBody, VersionQuery, decide, decisions, reanalyse
from mlflow_mother.types import Record

ROOT = "/ajax-api/2.0/mlflow-mother"
"""Where the routes are, below MLflow's static prefix."""


@dataclass(frozen=True)
class Route:
    """One route.

    Attributes:
        method: HTTP method.
        path: Below :data:`ROOT`.
        takes: Record of the query, or of a POST's JSON body.
        serve: Makes the answer; its docstring is the route's description.
        answers: Record of the JSON answer, or the media types of a document.
        status: HTTP status of the answer.
    """

    method: Literal["GET", "POST"]
    path: str
    takes: type[Record]
    serve: Callable[[Caller, Any], Record | Document]
    answers: type[Record] | tuple[str, ...]
    status: HTTPStatus = HTTPStatus.OK

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return (self.serve.__doc__ or "").partition("\n")[0]


ROUTES = (
    Route("GET", "status", NoQuery, status, StatusAnswer),
    Route("GET", "lineage", LineageQuery, lineage, LineageAnswer),
    Route("GET", "tree", TreeQuery, tree, LineageAnswer),
    Route("GET", "forest", ForestQuery, forest, ForestAnswer),
    Route("GET", "audit", AuditQuery, audit, AuditAnswer),
    Route("GET", "audit.csv", AuditFilter, audit_csv, ("text/csv",)),
    Route("GET", "compare", CompareQuery, compare, CompareAnswer),
    Route("GET", "export", ExportQuery, export, tuple(dict.fromkeys(MEDIA_TYPES.values()))),
    Route("POST", "reanalyse", VersionQuery, reanalyse, Queued, HTTPStatus.ACCEPTED),
    Route("GET", "decisions", VersionQuery, decisions, DecisionsAnswer),
    Route("POST", "decisions", DecisionBody, decide, DecisionInfo, HTTPStatus.CREATED),
)
