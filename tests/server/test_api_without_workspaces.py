"""Sign-in as most people have it: no workspaces, and everybody reads everything that is not closed to them."""

from __future__ import annotations

import http.client
import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from forest_samples import register, three_families
from mlflow_servers import ADMIN, API, PASSWORD, Config, Server, client_of, running
from test_api_permissions import everything

from mlflow_mother.server.api import DESCRIPTION
from mlflow_mother.server.api.routes import ROUTES

CLOSED = ("road-signs", "road-signs-int8", "sentiment", "toxicity", "churn")
READS = {"name": "tiny-vit", "version": "3"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Server]:
    """Below a prefix; what the registry deletes is not noticed, as it is not between two looks at the registry."""
    from mlflow.server.auth.client import AuthServiceClient  # not at the top: it warns

    folder = tmp_path_factory.mktemp("server")
    database = f"sqlite:///{folder}/mlflow.db"
    shutil.copyfile(template, folder / "mlflow.db")
    register(three_families(), database)
    open_to_all = folder / "open.ini"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_MOTHER_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        environment = {
            "MLFLOW_MOTHER_SERVER_WORKER": "false",
            "MLFLOW_AUTH_CONFIG_PATH": str(open_to_all),
            "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "false",
        }
        open_to_all.write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/users.db\n"
            f"admin_username = {ADMIN}\nauth_cache_ttl_seconds = 600\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        config = Config(prefix="/ml", auth=True)
        with running(config, folder, database, environment=environment) as started, client_of(started):
            people = AuthServiceClient(started.address)
            people.create_user("bob", PASSWORD)
            for name in CLOSED:
                people.grant_user_permission("bob", "registered_model", name, "DENY")
            yield started


def leaks(server: Server, names: tuple[str, ...]) -> list[str]:
    """What bob is told of models by these names."""
    answers = [answer.partition(" -> ")[2] for answer in everything(server, "bob", "")]
    return [f"{name} in {answer[:2000]}" for answer in answers for name in names if f"models:/{name}/" in answer]


def totals(server: Server, user: str) -> int:
    return int(server.get(f"{API}/forest", user=user)[1]["totals"]["versions"])


def asked(server: Server, method: str, path: str, body: object = None, **headers: str) -> int:
    """Status of a request below the prefix."""
    connection = http.client.HTTPConnection(server.root.removeprefix("http://"), timeout=30)
    connection.request(method, f"{server.config.prefix}{path}", None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def test_one_sees_what_is_not_closed_to_one(server: Server) -> None:
    assert leaks(server, CLOSED) == []
    assert totals(server, ADMIN) == 16 and totals(server, "bob") == 7
    assert server.get(f"{API}/tree?name=tiny-vit", user="bob")[0] == 200
    assert server.get(f"{API}/tree?name=churn", user="bob") == server.get(f"{API}/tree?name=nothing", user="bob")


def test_a_closed_model_stays_closed_when_it_is_deleted_or_renamed(server: Server) -> None:
    client = mlflow.MlflowClient()
    client.delete_registered_model("sentiment")
    client.delete_registered_model("road-signs")
    client.rename_registered_model("toxicity", "manners")
    assert leaks(server, (*CLOSED, "manners")) == []
    assert totals(server, "bob") == 7 and totals(server, ADMIN) == 16, "Mother herself has not noticed yet"
    with client_of(server, user="bob"):
        mine = mlflow.MlflowClient()
        mine.create_registered_model("sentiment")
        mine.create_model_version("sentiment", "s3://somewhere/else")
    found = [answer for answer in everything(server, "bob", "") if "models:/sentiment/" in answer]
    assert found and not [answer for answer in found if "sentiment/2" in answer or "sentiment/3" in answer]
    status, lineage = server.get(f"{API}/lineage?name=sentiment&version=1", user="bob")
    assert status == 200 and lineage["state"] in ("unknown", "pending")
    assert server.get(f"{API}/compare?a=models:/sentiment/1&b=models:/tiny-vit/1", user="bob")[0] == 409


@pytest.mark.parametrize("path", ["reanalyse", "decisions"])
def test_other_sites_cannot_write_below_a_prefix(server: Server, path: str) -> None:
    body = {**READS, "kind": "corrected"} if path == "decisions" else READS
    signed_in = "Basic " + b64encode(f"{ADMIN}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": signed_in, "Content-Type": "application/json"}
    before = server.query("SELECT count(*) FROM mother_decisions"), server.query("SELECT * FROM mother_work")
    assert asked(server, "POST", f"{API}/{path}", body, **headers, Origin="http://evil.example") == 403
    assert asked(server, "POST", f"{API}/{path}", body, **{**headers, "Content-Type": "text/plain"}) == 400
    assert before == (server.query("SELECT count(*) FROM mother_decisions"), server.query("SELECT * FROM mother_work"))
    assert asked(server, "POST", f"{API}/{path}", body, **headers, Origin=server.root) in (201, 202)


def test_nobody_learns_of_an_answer_s_head_without_signing_in(server: Server) -> None:
    paths = [f"{API}/{route.path}?name=tiny-vit&version=1" for route in ROUTES] + [f"{API}/{DESCRIPTION}", "/mother/"]
    assert {path: asked(server, "HEAD", path) for path in paths} == dict.fromkeys(paths, 401)
