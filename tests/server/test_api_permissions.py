"""Where people sign in, nobody learns of a model that MLflow would not show them, and nobody writes unasked."""

from __future__ import annotations

import http.client
import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from forest_samples import register, three_families
from mlflow_servers import ADMIN, API, PASSWORD, Config, Server, client_of, running, wait_until

from mlflow_mother.server.api import DESCRIPTION
from mlflow_mother.server.api.exports import MEDIA_TYPES
from mlflow_mother.server.api.routes import ROUTES
from mlflow_mother.store import Store
from mlflow_mother.store.notices import NAMES_WITHHELD
from mlflow_mother.types import ModelVersionRef

MINE, OTHERS = "tiny-vit", ("road-signs", "sentiment", "toxicity", "churn", "anomaly", "ocr", "forecast", "vit-merged")
TEAM = "team-b"
READS = {"name": MINE, "version": "3"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Server]:
    """Three families in the default workspace and in another; people of every kind."""
    from mlflow.server.auth.client import AuthServiceClient  # not at the top: it warns

    folder = tmp_path_factory.mktemp("server")
    database = f"sqlite:///{folder}/mlflow.db"
    shutil.copyfile(template, folder / "mlflow.db")
    register(three_families(), database)
    register(three_families()[:3], database, TEAM)
    with Store.open(database, local=True) as store:
        subject = ModelVersionRef(registry="own", name=MINE, version="3")
        store.decide(subject, "confirmed", "models:/road-signs/2", by=ADMIN, note="road-signs, of course")
        store.decide(subject, "confirmed", "models:/tiny-vit/2", by=ADMIN)
    config = Config(auth=True, workspaces=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_MOTHER_HOME", str(folder / "home"))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        off = {"MLFLOW_MOTHER_SERVER_WORKER": "false"}
        with running(config, folder, database, environment=off) as started, client_of(started, workspace="default"):
            people = AuthServiceClient(started.address)
            for name in ("reader", "editor", "nobody", "vetoed", "elsewhere"):
                people.create_user(name, PASSWORD)
            for name, permission in (("reader", "READ"), ("editor", "EDIT"), ("vetoed", "EDIT")):
                people.grant_user_permission(name, "registered_model", MINE, permission)
            people.grant_user_permission("vetoed", "registered_model_version", "*", "DENY")
            mlflow.set_workspace(TEAM)
            people.grant_user_permission("elsewhere", "registered_model", MINE, "READ")
            mlflow.set_workspace("default")
            yield started


def ask(server: Server, path: str, user: str | None = "reader", workspace: str = "default") -> tuple[int, Any]:
    return server.get(f"{API}/{path}", user=user, workspace=workspace)


def send(
    server: Server, path: str, body: object, user: str | None = "reader", **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    """Status, headers and text of a POST."""
    connection = http.client.HTTPConnection(server.root.removeprefix("http://"), timeout=30)
    sent = {"Content-Type": "application/json", "X-MLFLOW-WORKSPACE": "default", **headers}
    if user is not None:
        sent["Authorization"] = "Basic " + b64encode(f"{user}:{PASSWORD}".encode()).decode()
    connection.request("POST", f"{API}/{path}", json.dumps(body), sent)
    response = connection.getresponse()
    found = response.status, response.headers, response.read().decode()
    connection.close()
    return found


def everything(server: Server, user: str, workspace: str = "default") -> list[str]:
    """The text of every answer that somebody gets who asks everything."""
    paths = [
        "status",
        DESCRIPTION,
        f"lineage?name={MINE}&version=3",
        f"lineage?name={MINE}&version=99",
        f"tree?name={MINE}",
        "tree?name=road-signs",
        *(f"forest?sort={sort}&include_alone=true" for sort in ("size", "name", "newest")),
        *(f"forest?q={name}" for name in OTHERS),
        "forest?verdict=conflict",
        *(f"audit?sort={sort}" for sort in ("verdict", "name", "probability", "registered")),
        *(f"audit?q={name}" for name in OTHERS),
        "audit.csv",
        f"compare?a=models:/{MINE}/1&b=models:/{MINE}/2",
        f"compare?a=models:/{MINE}/1&b=models:/road-signs/2",
        f"decisions?name={MINE}&version=3",
        "decisions?name=road-signs&version=1",
        *(f"export?name={MINE}&format={form}" for form in MEDIA_TYPES),
        "export?name=road-signs&format=json",
    ]
    assert {path.partition("?")[0] for path in paths} - {DESCRIPTION} == {r.path for r in ROUTES if r.method == "GET"}
    return [f"{path} -> {ask(server, path, user, workspace)}" for path in paths]


def leaks(server: Server, user: str, names: tuple[str, ...], workspace: str = "default") -> list[str]:
    answers = [answer.partition(" -> ")[2] for answer in everything(server, user, workspace)]
    return [f"{name} in {answer[:2000]}" for answer in answers for name in names if name in answer]


@pytest.mark.parametrize("user", ["reader", "editor"])
def test_who_may_read_one_model_sees_nothing_of_the_others(server: Server, user: str) -> None:
    assert leaks(server, user, OTHERS) == []
    _, lineage = ask(server, f"lineage?name={MINE}&version=3", user)
    assert set(lineage["versions"]) == {f"models:/{MINE}/{version}" for version in (1, 2, 3)}
    said = lineage["versions"][f"models:/{MINE}/3"]["decisions"]
    assert [(one["parent"], one["by"]) for one in said] == [(f"models:/{MINE}/2", ADMIN)]
    _, forest = ask(server, "forest", user)
    assert (forest["totals"]["versions"], forest["totals"]["families"], forest["totals"]["alone"]) == (3, 1, 0)
    assert forest["families"][0]["model_count"] == 1 and forest["families"][0]["size"] == 3
    assert ask(server, "audit", user)[1]["total"] == 3
    assert ask(server, "status", user)[1]["queue"] is None


@pytest.mark.parametrize("user", ["nobody", "vetoed", "elsewhere"])
def test_who_may_read_no_model_sees_none(server: Server, user: str) -> None:
    assert leaks(server, user, (*OTHERS, "models:/tiny-vit")) == []
    assert ask(server, "forest", user)[1]["totals"]["versions"] == 0
    assert ask(server, "audit", user)[1]["rows"] == []
    assert ask(server, f"tree?name={MINE}", user)[0] == 403


def test_an_administrator_sees_everything(server: Server) -> None:
    assert ask(server, "forest", ADMIN)[1]["totals"]["versions"] == 16
    assert ask(server, "status", ADMIN)[1]["queue"] is not None
    assert ask(server, "tree?name=nothing", ADMIN)[0] == 404


def test_workspaces_are_registries_of_their_own(server: Server) -> None:
    assert ask(server, "forest", ADMIN, TEAM)[1]["totals"]["versions"] == 3
    assert ask(server, "forest", "elsewhere", TEAM)[1]["totals"]["versions"] == 3
    assert leaks(server, "elsewhere", OTHERS, TEAM) == []
    assert ask(server, "forest", "reader", TEAM)[1]["totals"]["versions"] == 0
    assert ask(server, "tree?name=sentiment", ADMIN, TEAM)[0] == 404


@pytest.mark.parametrize(
    "path",
    ["lineage?version=1&name=", "lineage?version=999&name=", "tree?name=", "export?name=", "decisions?version=1&name="],
)
def test_a_hidden_model_looks_like_one_that_does_not_exist(server: Server, path: str) -> None:
    hidden, absent = ask(server, f"{path}road-signs"), ask(server, f"{path}nonsense")
    assert hidden == absent and hidden[0] == 403


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_nobody_gets_an_answer_without_signing_in(server: Server, route: Any) -> None:
    if route.method == "POST":
        assert send(server, route.path, READS, user=None)[0] == 401
    else:
        assert ask(server, f"{route.path}?name={MINE}&version=1", user=None)[0] == 401
    assert server.get(f"{API}/{DESCRIPTION}")[0] == 401


def test_pages_and_scripts_hold_no_data(server: Server) -> None:
    for path in ("/", "/mother/"):
        assert server.get(path)[0] == 401
        status, page = server.get(path, user="reader")
        assert status == 200 and not [name for name in (MINE, *OTHERS) if name in str(page)]


@pytest.mark.parametrize("path", ["reanalyse", "decisions"])
def test_only_who_may_update_a_model_writes(server: Server, path: str) -> None:
    body = {**READS, **({"kind": "corrected", "parent": None} if path == "decisions" else {})}
    for user in ("reader", "nobody", "vetoed", "elsewhere"):
        status, _, text = send(server, path, body, user)
        assert status == 403 and "PERMISSION_DENIED" in text
        assert (
            send(server, path, {**body, "name": "road-signs"}, user)[2]
            == send(server, path, {**body, "name": "nonsense"}, user)[2]
        )
    assert send(server, path, {**body, "name": "road-signs", "version": "1"}, "editor")[0] == 403
    assert send(server, path, body, "editor")[0] in (201, 202)


def test_the_tab_is_told_what_its_user_may_do(server: Server) -> None:
    for user, may in (("reader", False), ("editor", True), (ADMIN, True)):
        for path in (f"lineage?name={MINE}&version=1", f"tree?name={MINE}"):
            assert ask(server, path, user)[1]["can"] == {"reanalyse": may, "decide": may}


def test_a_decision_bears_the_name_of_who_signed_in(server: Server) -> None:
    body = {"name": MINE, "version": "2", "kind": "confirmed", "parent": f"models:/{MINE}/1"}
    assert json.loads(send(server, "decisions", body, "editor")[2])["by"] == "editor"
    hidden = send(server, "decisions", {**body, "parent": "models:/road-signs/1"}, "editor")
    absent = send(server, "decisions", {**body, "parent": "models:/nonsense/1"}, "editor")
    assert hidden[0] == 400 and hidden[2] == absent[2]


@pytest.mark.parametrize("path", ["reanalyse", "decisions"])
def test_other_sites_cannot_write(server: Server, path: str) -> None:
    body = {**READS, "kind": "corrected"} if path == "decisions" else READS
    before = server.query("SELECT count(*) FROM mother_decisions"), server.query("SELECT * FROM mother_work")
    assert send(server, path, body, ADMIN, Origin="http://evil.example")[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert send(server, path, body, ADMIN, **{"Content-Type": kind})[0] == 400
    assert before == (server.query("SELECT count(*) FROM mother_decisions"), server.query("SELECT * FROM mother_work"))


def test_processes_beside_this_server_are_told_to_withhold_names(server: Server) -> None:
    left = "SELECT registry, notice FROM mother_notices"
    wait_until(lambda: server.query(left) == [("own", NAMES_WITHHELD)], 30, server)
