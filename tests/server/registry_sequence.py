"""One sequence of registry operations, run as a program by interpreters with and without Mother.

    python registry_sequence.py FOLDER MODEL BEGIN|GO-ON [--mother]

``MODEL`` is a model folder. Prints what every operation answered, as JSON, made comparable: times and random ids are
replaced, and tags and artifacts that Mother may write are left out. ``GO-ON`` starts with ``mlflow db upgrade`` and
leaves nothing out.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.db import commands as db
from mlflow.exceptions import MlflowException

ANSWERS: dict[str, Any] = {}
_ids: dict[str, str] = {}
_keep_mother = False


def plain(value: Any) -> Any:
    """An answer as JSON that two registries have in common."""
    if isinstance(value, str):
        for address in (os.environ["MLFLOW_TRACKING_URI"], sys.argv[1]):
            value = value.replace(address, "<here>")
        return re.sub(r"[0-9a-f]{32}", lambda found: _ids.setdefault(found[0], f"<id {len(_ids)}>"), value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return "<time>" if value > 1e11 else value
    if isinstance(value, (list, tuple)):
        token = {"next page": plain(value.token)} if getattr(value, "token", None) else {}
        return [*map(plain, value), *([token] if token else [])]
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if _keep_mother or not str(key).startswith("mother.")}
        return {plain(str(key)): plain(item) for key, item in sorted(kept.items(), key=lambda pair: str(pair[0]))}
    return plain({key: getattr(value, key) for key in dir(value) if _is_field(value, key)})


def _is_field(value: Any, key: str) -> bool:
    return isinstance(getattr(type(value), key, None), property) and not key.startswith("_")


def step(name: str, call: Callable[[], Any]) -> Any:
    """Does one thing and keeps its answer, or its refusal."""
    assert name not in ANSWERS
    try:
        answer = call()
    except MlflowException as error:
        ANSWERS[name] = {"refused": error.error_code, "why": plain(str(error))}
        return None
    ANSWERS[name] = plain(answer)
    return answer


def begin(client: MlflowClient, model: str, *, wait: Callable[[str, str], None]) -> None:
    """Everything that people do with a registry."""
    step("create", lambda: client.create_registered_model("m", tags={"team": "vision"}, description="first"))
    step("create twice", lambda: client.create_registered_model("m"))
    step("create nameless", lambda: client.create_registered_model(""))
    step("create another", lambda: client.create_registered_model("n"))
    experiment = client.create_experiment("sequence")
    run = client.create_run(experiment, start_time=1, run_name="the run")
    client.log_artifacts(run.info.run_id, model, "model")
    step("register a run", lambda: mlflow.register_model(f"runs:/{run.info.run_id}/model", "m", tags={"k": "1"}))
    wait("m", "1")
    step("register a file", lambda: client.create_model_version("m", Path(model).as_uri()))
    source = f"{run.info.artifact_uri}/model"
    step("register an address", lambda: client.create_model_version("m", source, run.info.run_id, {"k": "2"}))
    step("register in nobody", lambda: client.create_model_version("nobody", source, run.info.run_id))

    step("describe", lambda: client.update_model_version("m", "1", "the first version"))
    step("tag", lambda: client.set_model_version_tag("m", "1", "stage.note", "ünïcode | = \n"))
    step("tag again", lambda: client.set_model_version_tag("m", "1", "k", "changed"))
    step("untag", lambda: client.delete_model_version_tag("m", "1", "stage.note"))
    step("tag nobody", lambda: client.set_model_version_tag("m", "99", "k", "v"))
    step("tag the model", lambda: client.set_registered_model_tag("m", "owner", "ann"))
    step("untag the model", lambda: client.delete_registered_model_tag("m", "team"))
    step("alias", lambda: client.set_registered_model_alias("m", "champion", "1"))
    step("by alias", lambda: client.get_model_version_by_alias("m", "champion"))
    step("by no alias", lambda: client.get_model_version_by_alias("m", "nobody"))
    step("move the alias", lambda: client.set_registered_model_alias("m", "champion", "2"))
    step("stage", lambda: client.transition_model_version_stage("m", "1", "Staging"))
    step("stage, archiving", lambda: client.transition_model_version_stage("m", "2", "Staging", True))
    step("no such stage", lambda: client.transition_model_version_stage("m", "1", "Heaven"))
    step("latest", lambda: sorted(client.get_latest_versions("m"), key=lambda version: version.current_stage))
    step("copy", lambda: client.copy_model_version("models:/m/1", "copied"))
    step("copy by alias", lambda: client.copy_model_version("models:/m@champion", "copied"))
    wait("copied", "1")
    step("copy nobody", lambda: client.copy_model_version("models:/m/99", "copied"))
    step("a prompt", lambda: client.register_prompt("greeting", "Hello {{name}}", tags={"a": "b"}))
    step("its template", lambda: client.get_prompt_version("greeting", "1").template)

    _searches(client)
    step("where", lambda: client.get_model_version_download_uri("m", "1"))
    step("files", lambda: _files(client, run.info.run_id))
    step("rename", lambda: client.rename_registered_model("n", "renamed"))
    step("rename over", lambda: client.rename_registered_model("renamed", "m"))
    step("rename one with versions", lambda: client.rename_registered_model("copied", "copies"))
    step("the old name", lambda: client.get_registered_model("copied"))
    step("delete a version", lambda: client.delete_model_version("m", "2"))
    step("delete it again", lambda: client.delete_model_version("m", "2"))
    step("its alias", lambda: client.get_model_version_by_alias("m", "champion"))
    step("delete a model", lambda: client.delete_registered_model("copies"))
    step("get what is deleted", lambda: client.get_model_version("copies", "1"))
    step("the next number", lambda: client.create_model_version("m", source, run.info.run_id).version)
    step("the model", lambda: client.get_registered_model("m"))
    for number in ("1", "3"):
        step(f"version {number} at last", lambda number=number: client.get_model_version("m", number))


def go_on(client: MlflowClient) -> None:
    """What people do with a registry that was there before."""
    db.main(["upgrade", os.environ["MLFLOW_TRACKING_URI"]], standalone_mode=False)
    _searches(client)
    step("the model", lambda: client.get_registered_model("m"))
    source = client.get_model_version("m", "1").source
    run_id = client.get_model_version("m", "1").run_id
    step("files", lambda: _files(client, run_id))
    step("register", lambda: client.create_model_version("m", source, run_id))
    step("tag", lambda: client.set_model_version_tag("m", "1", "k", "later"))
    step("copy", lambda: client.copy_model_version("models:/m/3", "copied again"))
    step("rename", lambda: client.rename_registered_model("m", "moved"))
    step("delete a version", lambda: client.delete_model_version("moved", "1"))
    step("delete", lambda: client.delete_registered_model("moved"))
    step("what is left", lambda: client.search_model_versions(order_by=["name ASC", "version_number ASC"]))


def _searches(client: MlflowClient) -> None:
    def versions(filter_string: str | None = None, **options: Any) -> Any:
        order = ["name ASC", "version_number DESC"]
        return client.search_model_versions(filter_string, order_by=order, **options)

    step("all models", lambda: client.search_registered_models(order_by=["name ASC"]))
    step("models like", lambda: client.search_registered_models("name LIKE 'm%'"))
    step("models by tag", lambda: client.search_registered_models("tags.owner = 'ann'"))
    step("all versions", versions)
    step("versions of", lambda: versions("name = 'm'"))
    step("versions by tag", lambda: versions("tags.k = 'changed'"))
    page = step("first page", lambda: versions(max_results=1))
    step("second page", lambda: versions(max_results=1, page_token=page.token))
    step("by nonsense", lambda: versions("nonsense = 1"))


def _files(client: MlflowClient, run_id: str) -> list[str]:
    """The run's artifacts."""
    found, folders = [], [""]
    while folders:
        for item in client.list_artifacts(run_id, folders.pop()):
            (folders if item.is_dir else found).append(item.path)
    return sorted(path for path in found if _keep_mother or not path.startswith("mother/"))


def _wait_for_mother(client: MlflowClient) -> Callable[[str, str], None]:
    def wait(name: str, version: str) -> None:
        until = time.monotonic() + 120
        while client.get_model_version(name, version).tags.get("mother.status", "pending") == "pending":
            assert time.monotonic() < until, "Mother never looked at it"
            time.sleep(0.1)

    return wait


if __name__ == "__main__":
    _, _, model, part, *options = sys.argv
    client = MlflowClient()
    if part == "BEGIN":
        wait = _wait_for_mother(client) if options else lambda name, version: None
        begin(client, model, wait=wait)
    else:
        _keep_mother = True
        go_on(client)
    installed = [entry.name for entry in entry_points(group="mlflow.model_registry_store")]
    print(json.dumps({"answers": ANSWERS, "installed": "mlflow-mother" in installed}))
