"""Commands on an MLflow registry."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from family_samples import VERSIONS
from safetensors.numpy import save_file

from mlflow_mother.types import ModelTree, lineage_json_schema


@pytest.fixture(autouse=True)
def registry(registered_family, monkeypatch: pytest.MonkeyPatch):
    for name, value in registered_family.environment.items():
        monkeypatch.setenv(name, value)
    return registered_family


def test_tree_of_a_registered_model_shows_its_family_and_nobody_else(run) -> None:
    tree = ModelTree.model_validate_json(run("tree", "models:/family", "--format", "json").stdout)
    assert {(edge.parent, edge.child) for edge in tree.edges} == {
        (VERSIONS["base"], VERSIONS["tuned"]),
        (VERSIONS["tuned"], VERSIONS["further"]),
        (VERSIONS["base"], VERSIONS["other"]),
    }
    assert VERSIONS["stranger"] not in {node.id for node in tree.nodes}


def test_tree_of_the_whole_registry(run) -> None:
    tree = ModelTree.model_validate_json(run("tree", "models:/", "--format", "json").stdout)
    assert {node.id for node in tree.nodes} == set(VERSIONS.values())


def test_a_file_is_found_among_registered_models(run, checkpoints: Path) -> None:
    file = f"{checkpoints}/further.safetensors"
    result = run("tree", "models:/family", VERSIONS["stranger"], file, "--format", "json")
    assert result.exit_code == 0, result.stderr
    tree = ModelTree.model_validate_json(result.stdout)
    copies = [edge for edge in tree.edges if edge.relation == "copy"]
    assert {copies[0].parent, copies[0].child} == {file, VERSIONS["further"]}


def test_a_rearranged_file_is_compared_with_a_registered_version(run, family, tmp_path: Path) -> None:
    weights = dict(family["tuned"])
    order = np.random.default_rng(0).permutation(96)
    for i in range(0, 12, 2):
        weights[f"layers.{i}.weight"] = weights[f"layers.{i}.weight"][order]
        weights[f"layers.{i}.bias"] = weights[f"layers.{i}.bias"][order]
        weights[f"layers.{i + 1}.weight"] = np.ascontiguousarray(weights[f"layers.{i + 1}.weight"][:, order])
    save_file(weights, tmp_path / "moved.safetensors")
    names = {"tuned": "models:/family/2", "further": "models:/family@champion"}
    for name, address in names.items():
        result = run("compare", address, "moved.safetensors", "--deep", "--format", "json")
        assert result.exit_code == 0, result.stderr
        pair = json.loads(result.stdout)
        assert pair["deep"]["verdict"] == {"tuned": "copy", "further": "related"}[name]
        assert [{edge["parent"], edge["child"]} for edge in pair["deep"]["tree"]["edges"]] == [
            {address, "moved.safetensors"}
        ]
    for address in ("models:/family", "models:/family/99", "models:/", "runs:/abc/model"):
        result = run("compare", "moved.safetensors", address, "--deep")
        assert result.exit_code == 3
        assert result.stderr.startswith("Error: ")


def test_show_tells_parent_evidence_and_declared_parent(run) -> None:
    result = run("show", VERSIONS["other"])
    assert result.exit_code == 0, result.stderr
    assert f"finetune of {VERSIONS['base']} (probability 0." in result.stdout
    assert "projection" in result.stdout
    assert f"Declared: {VERSIONS['stranger']}" in result.stdout


def test_show_as_json_is_a_lineage(run) -> None:
    content = json.loads(run("show", "models:/family@champion", "--format", "json").stdout)
    jsonschema.validate(content, lineage_json_schema())
    assert content["subject"] == VERSIONS["further"]


def test_show_of_a_root_says_that_it_has_no_parent(run) -> None:
    assert "no parent among the known models" in run("show", VERSIONS["base"]).stdout


@pytest.mark.parametrize("uri", ["models:/family/99", "models:/nowhere/1", "models:/family@nobody", "family"])
def test_show_of_what_is_not_there_ends_with_3(run, uri: str) -> None:
    result = run("show", uri)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")


def test_ancestors_and_descendants_nearest_first(run) -> None:
    up = json.loads(run("ancestors", VERSIONS["further"], "--format", "json").stdout)
    assert up["relatives"] == [
        {"uri": VERSIONS["tuned"], "generations": 1},
        {"uri": VERSIONS["base"], "generations": 2},
    ]
    assert up["tree"]["roots"] == [VERSIONS["base"]]
    down = run("descendants", VERSIONS["base"])
    rows = [line.split() for line in down.stdout.splitlines()[1:]]
    assert rows == [[VERSIONS["other"], "1"], [VERSIONS["tuned"], "1"], [VERSIONS["further"], "2"]]


def test_ancestors_of_a_root_are_none(run) -> None:
    result = run("ancestors", VERSIONS["base"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no known ancestor" in result.stderr
    assert "flowchart" in run("ancestors", VERSIONS["base"], "--export", "mermaid").stdout


def test_audit_gives_a_verdict_to_every_version(run) -> None:
    rows = {row["uri"]: row for row in json.loads(run("audit", "--format", "json").stdout)}
    verdicts = {name: rows[uri]["verdict"] for name, uri in VERSIONS.items()}
    assert verdicts == {
        "base": "unrelated",
        "tuned": "confirmed",
        "further": "undocumented",
        "other": "conflict",
        "stranger": "unrelated",
    }


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [((), 0), (("undecided",), 0), (("conflict",), 1), (("undecided", "undocumented"), 1)],
)
def test_audit_fails_on_the_verdicts_that_it_is_told_to(run, verdicts: tuple[str, ...], status: int) -> None:
    result = run("audit", *(word for verdict in verdicts for word in ("--fail-on", verdict)))
    assert result.exit_code == status
    assert "1 conflict" in result.stderr


def test_audit_writes_a_report(run, tmp_path: Path) -> None:
    result = run("audit", "--html", "report.html")
    assert result.exit_code == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "conflict" in page
    assert VERSIONS["other"] in page
    assert run("audit", "--html", "no/such/folder/report.html").exit_code == 3


def test_reconcile_has_nothing_left_to_do(run) -> None:
    plan = json.loads(run("reconcile", "--dry-run", "--format", "json").stdout)
    assert plan["versions"] == 0
    report = run("reconcile", "--limit", "1", "--model", "family", "--since", "2020-01-31")
    assert report.exit_code == 0, report.stderr
    assert "analysed now   0" in report.stdout


def test_reconcile_does_what_is_missing(run, checkpoints: Path, tmp_path: Path, monkeypatch) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/fresh.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model("family")
    for name in ("tuned", "base"):
        client.create_model_version("family", str(checkpoints / f"{name}.safetensors"))
    dry = run("reconcile", "--dry-run")
    assert dry.stdout.splitlines()[1].split()[0] == "2"
    assert run("tree", "models:/family").exit_code == 3
    assert "analysed now   2" in run("reconcile").stdout
    assert client.get_model_version("family", "1").tags["mother.parent"] == "models:/family/2"
    _purge(run, uri, client)


def _purge(run, uri: str, client) -> None:
    declined = run("purge", input="n\n")
    assert declined.exit_code == 130
    assert _tables(uri)
    done = run("purge", input="y\n")
    assert done.exit_code == 0, done.stderr
    assert "Cleaned 2 versions" in done.stderr
    assert _tables(uri) == []
    assert not [tag for tag in client.get_model_version("family", "1").tags if tag.startswith("mother.")]


def _tables(uri: str) -> list[str]:
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as connection:
        query = "SELECT name FROM sqlite_master WHERE name LIKE 'mother%'"
        return [row[0] for row in connection.execute(query)]


def test_db_upgrade_makes_the_tables_and_may_be_repeated(run, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/own.db"
    for _ in range(2):
        result = run("db", "upgrade", "--uri", uri)
        assert result.exit_code == 0, result.stderr
    assert "mother_versions" in _tables(uri)


def test_db_upgrade_of_an_unsupported_database_ends_with_4(run) -> None:
    result = run("db", "upgrade", "--uri", "mysql://localhost/x")
    assert result.exit_code == 4
    assert "Traceback" not in result.stderr


def test_without_a_registry_nothing_is_created(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{missing}")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{missing}")
    for command in (("show", "models:/a/1"), ("audit",), ("reconcile",), ("purge", "--yes"), ("tree", "models:/a")):
        result = run(*command)
        assert result.exit_code == 3, command
        assert "MLFLOW_TRACKING_URI" in result.stderr
    assert run("doctor").exit_code == 0
    assert not missing.exists()


def test_an_unreachable_server_is_one_clear_error(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    result = run("reconcile", "--dry-run")
    assert result.exit_code == 3
    assert "could not be listed" in result.stderr
    assert "Traceback" not in result.stderr
    doctor = run("doctor", "--format", "json")
    assert doctor.exit_code == 1
    (problem,) = [check for check in json.loads(doctor.stdout) if not check["ok"]]
    assert problem["name"] == "registry"
    assert problem["remedy"]


def test_doctor_finds_everything_in_order(run) -> None:
    result = run("doctor")
    assert result.exit_code == 0, result.stdout
    assert "problem" not in result.stdout
    assert "revision" in result.stdout


def test_doctor_names_a_device_that_is_not_there(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_DEVICE", "abacus")
    result = run("doctor")
    assert result.exit_code == 1
    assert "MLFLOW_MOTHER_DEVICE" in result.stdout
