"""Mother's API on a Flask application of its own, in this process, over a real registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mlflow_mother.server import api, environment
from mlflow_mother.server.access import Access, OpenAccess
from mlflow_mother.server.api.routes import ROOT
from mlflow_mother.server.services import Services
from mlflow_mother.service import Service


@dataclass
class Person(OpenAccess):
    """Somebody who may see some models, and change some.

    Attributes:
        name: What they sign in as.
        reads: Models that they may see.
        updates: Models that they may change.
    """

    name: str = "ada"
    reads: frozenset[str] = frozenset()
    updates: frozenset[str] = frozenset()

    def user(self) -> str | None:
        return self.name

    def sees_all(self) -> bool:
        return False

    def readable(self) -> Callable[[str], bool]:
        return self.reads.__contains__

    def may_update(self, name: str) -> bool:
        return name in self.updates


@dataclass
class Asking:
    """A client of the API.

    Attributes:
        client: Flask's own.
        services: The use cases behind it.
    """

    client: FlaskClient
    services: Services

    @property
    def service(self) -> Service:
        return self.services.of(None)

    def raw(self, path: str, /, **query: object) -> TestResponse:
        return self.client.get(f"{ROOT}/{path}", query_string={k: v for k, v in query.items() if v is not None})

    def get(self, path: str, status: int = 200, /, **query: object) -> Any:
        """The JSON answer, which has this status."""
        response = self.raw(path, **query)
        assert response.status_code == status, response.get_data(as_text=True)
        assert response.headers["Cache-Control"] == "no-store"
        return response.get_json()

    def post(self, path: str, status: int = 200, /, **body: object) -> Any:
        """The JSON answer to a JSON body, which has this status."""
        response = self.client.post(f"{ROOT}/{path}", json=body)
        assert response.status_code == status, response.get_data(as_text=True)
        return response.get_json()


def asking(database: str, monkeypatch: Any, access: Access | None = None) -> Asking:
    """A client of the API over an MLflow database.

    Args:
        database: Its URI.
        monkeypatch: Sets what ``mlflow server`` would.
        access: Who asks; everyone may everything when not given.
    """
    monkeypatch.setenv(environment.BACKEND_STORE, database)
    monkeypatch.delenv(environment.REGISTRY_STORE, raising=False)
    app, services = Flask("mlflow"), Services()
    services.of(None)  # so that nothing looks at the variables later
    api.register(app, services, access or OpenAccess())
    return Asking(app.test_client(), services)
