"""Every way in which people start a server ends in the same lineage for vanilla clients."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import mlflow
import pytest
from mlflow_servers import ADMIN, API, Config, Server, client_of, is_done, register, running, tags, wait_until
from registry_samples import finetuned, network

SHORT = [Config("uvicorn", 1, "/ml", "local", "postgresql", True, True)]
"""Part of ``make test``."""

LONG = [
    Config("gunicorn", 1, "/ml", "s3", "sqlite", True, False),
    Config("uvicorn", 1, "", "local", "sqlite", False, False),
    Config("uvicorn", 4, "", "s3", "sqlite", True, True),
    Config("uvicorn", 4, "/ml", "s3", "postgresql", False, False),
    Config("gunicorn", 1, "", "s3", "postgresql", False, True),
    Config("gunicorn", 4, "", "local", "postgresql", True, False),
    Config("gunicorn", 4, "/ml", "local", "sqlite", False, True),
    Config("uvicorn", 1, "", "direct-local", "sqlite", True, False),
    Config("gunicorn", 1, "", "direct-s3", "postgresql", False, False),
]
"""Part of ``make test-full``."""

CONFIGS = [*SHORT, *(pytest.param(config, marks=pytest.mark.full) for config in LONG)]


def test_any_two_choices_are_tried_together() -> None:
    tried = [config for config in [*SHORT, *LONG] if not config.artifacts.startswith("direct")]
    assert len([*SHORT, *LONG]) <= 12
    for one, other in itertools.combinations([field.name for field in fields(Config)], 2):
        pairs = {(getattr(config, one), getattr(config, other)) for config in tried}
        assert len(pairs) == 4, f"{one} and {other}: {pairs}"


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_registration_gets_its_lineage_from_the_server(
    config: Config, tmp_path: Path, database: Callable[[str], str], request: pytest.FixtureRequest
) -> None:
    endpoint = str(request.getfixturevalue("s3")) if config.artifacts.endswith("s3") else ""
    if endpoint:
        request.getfixturevalue("monkeypatch").setenv("MLFLOW_S3_ENDPOINT_URL", endpoint)
    with running(config, tmp_path, database(config.database), endpoint=endpoint) as server:
        workspace = _workspace(server)
        with client_of(server, workspace=workspace):
            root = register("root", network(0), tmp_path)
            wait_until(lambda: is_done(root), 60, server)  # the worker may still be starting
            child = register("child", finetuned(network(0), 1), tmp_path)
            took = wait_until(lambda: is_done(child), 30, server)
            wait_until(lambda: not _waiting(server), 30, server)
            assert took < 10
            _says_what_it_may(server, root, child)
            _is_shown(server, child, workspace)
            _was_done_once(server)
            if workspace is not None:
                _stays_in_its_workspace(server, tmp_path)


def _workspace(server: Server) -> str | None:
    """Makes a workspace, where there are any, and names it."""
    if not server.config.workspaces:
        return None
    with client_of(server):
        mlflow.create_workspace("team")
    return "team"


def _waiting(server: Server) -> bool:
    return bool(server.query("SELECT * FROM mother_work"))


def _says_what_it_may(server: Server, root: str, child: str) -> None:
    said = tags(child)
    run = mlflow.MlflowClient().get_model_version("child", "1").run_id
    files = {file.path.rpartition("/")[2] for file in mlflow.artifacts.list_artifacts(f"runs:/{run}/mother/child/1")}
    assert "fingerprint.safetensors" in files
    if server.config.auth:
        assert set(said) == {"status", "subject"}
        assert "lineage.json" not in files
    else:
        assert (said["parent"], said["relation"], said["root"]) == (root, "finetune", root)
        lineage = mlflow.artifacts.load_dict(f"runs:/{run}/mother/child/1/lineage.json")
        assert [(edge["parent"], edge["child"]) for edge in lineage["edges"]] == [(root, child)]


def _is_shown(server: Server, child: str, workspace: str | None) -> None:
    user = ADMIN if server.config.auth else None
    status, content = server.get(f"{API}/status", user=user, workspace=workspace)
    assert (status, content["worker"]) == (200, True)
    name, version = child.removeprefix("models:/").split("/")
    status, content = server.get(f"{API}/lineage?name={name}&version={version}", user=user, workspace=workspace)
    assert (status, content["state"]) == (200, "done")
    assert [edge["child"] for edge in content["tree"]["edges"]] == [child]
    assert server.get("/mother/", user=user)[0] == 200
    if server.config.auth:
        assert [server.get(path)[0] for path in (f"{API}/status", "/mother/")] == [401, 401]


def _was_done_once(server: Server) -> None:
    # The root's lineage was revised when its child came; nothing was analysed twice.
    analysed = server.query(
        "SELECT name, count(*) FROM mother_versions JOIN mother_inferences ON version_id = id"
        " WHERE mother_inferences.reason = '' GROUP BY name ORDER BY name"
    )
    assert analysed == [("child", 1), ("root", 1)]
    assert len(server.query("SELECT * FROM mother_fingerprints")) == 2
    assert server.worker() is not None


def _stays_in_its_workspace(server: Server, folder: Path) -> None:
    with client_of(server, workspace="default"):
        stranger = register("stranger", finetuned(network(0), 2), folder)
        wait_until(lambda: is_done(stranger), 30, server)
        assert set(tags(stranger)) == {"status", "subject", "root"}
        assert tags(stranger)["root"] == stranger
