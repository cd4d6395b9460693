"""``doctor`` names what is wrong with the machine, in plain words, and what to do about it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pytest

from mlflow_mother.store import Store

Problems = Callable[[], dict[str, str]]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A registry in a folder with one version, whose tables are in a file of Mother's own."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    client = mlflow.MlflowClient()
    run = client.create_run("0")
    client.create_registered_model("a")
    client.create_model_version("a", "nowhere", run.info.run_id)
    from mlflow_mother.registry.connection import Registry

    address = Registry.current().store
    Store.open(address.uri, local=True).close()
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    yield SimpleNamespace(tables=Path(address.uri.removeprefix("sqlite:///")), artifacts=artifacts)
    mlflow.set_tracking_uri(before)


@pytest.fixture
def problems(run, registry: SimpleNamespace) -> Problems:
    """What ``doctor`` finds to be wrong, with the remedy, by the name of the check."""

    def look() -> dict[str, str]:
        checks = json.loads(run("doctor", "--format", "json").stdout)
        return {check["name"]: f"{check['detail']} {check['remedy']}" for check in checks if not check["ok"]}

    return look


def test_a_sound_machine_has_no_problems(problems: Problems, registry: SimpleNamespace) -> None:
    before = registry.tables.read_bytes()
    assert problems() == {}
    assert registry.tables.read_bytes() == before


def test_a_home_in_a_file(problems: Problems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "file" / "home"))
    found = problems()
    assert set(found) == {"tables"}
    assert "is a file" in found["tables"] and "MLFLOW_MOTHER_HOME" in found["tables"]


def test_folders_that_may_not_be_written(registry: SimpleNamespace) -> None:
    """As another user: root may write everywhere."""
    program = (
        "import os, sys, mlflow\n"
        "from mlflow_mother.cli import doctor\n"
        "from pathlib import Path\n"
        "os.geteuid() or os.setuid(65534)\n"
        "for check in (doctor._check_room, lambda path: doctor._check_folder(path, 'models:/a/1')):\n"
        "    try:\n"
        "        check(Path(sys.argv[1], 'file.db'))\n"
        "    except doctor.MotherError as error:\n"
        "        print(error)\n"
    )
    folder = registry.tables.parent / "locked"
    folder.mkdir(mode=0o555)
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    room, place = done.stdout.splitlines()
    assert "read-only to this user" in room and "MLFLOW_MOTHER_HOME" in room
    assert "read-only to this user" in place and "mlflow-mother reconcile" in place


def test_tables_of_a_newer_release(problems: Problems, registry: SimpleNamespace) -> None:
    with sqlite3.connect(registry.tables) as connection:
        connection.execute("UPDATE mother_alembic_version SET version_num = '9999'")
    found = problems()
    assert set(found) == {"tables"}
    assert "newer release" in found["tables"] and "Upgrade mlflow-mother" in found["tables"]


def test_some_tables_missing(problems: Problems, registry: SimpleNamespace) -> None:
    with sqlite3.connect(registry.tables) as connection:
        connection.execute("DROP TABLE mother_work")
    assert "mother_work is missing" in problems()["tables"]


def test_a_file_that_is_no_database(problems: Problems, registry: SimpleNamespace) -> None:
    registry.tables.write_bytes(b"no database" * 1000)
    assert "not a database" in problems()["tables"] and "moved away" in problems()["tables"]


def test_a_database_that_somebody_locks(problems: Problems, registry: SimpleNamespace) -> None:
    holder = sqlite3.connect(registry.tables, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    found = problems()
    holder.close()
    assert set(found) == {"tables"}
    assert "locked" in found["tables"] and "wait for it or end it" in found["tables"]


def test_a_place_for_artifacts_that_is_taken(problems: Problems, registry: SimpleNamespace) -> None:
    registry.artifacts.mkdir(parents=True, exist_ok=True)
    (registry.artifacts / "mother").touch()
    found = problems()
    assert set(found) == {"artifacts"}
    assert "models:/a/1" in found["artifacts"] and "is a file" in found["artifacts"]


@pytest.mark.parametrize(("name", "value"), [("CANDIDATES", "abc"), ("DISABLED_PLUGINS", "foo")])
def test_a_setting_that_makes_no_sense_is_named(run, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"MLFLOW_MOTHER_{name}", value)
    for command in ("reconcile", "audit"):
        result = run(command)
        assert result.exit_code == 4
        assert name in result.stderr.upper() and "Traceback" not in result.stderr


@pytest.mark.parametrize(("name", "value"), [("CANDIDATES", "abc"), ("DISABLED_PLUGINS", "foo"), ("LOG_LEVEL", "loud")])
def test_a_setting_that_makes_no_sense_is_one_line_of_the_table(
    run, registry: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"MLFLOW_MOTHER_{name}", value)
    result = run("doctor", "--format", "json")
    assert result.exit_code == 1
    first, *others = json.loads(result.stdout)
    assert first["name"] == "settings" and not first["ok"]
    assert name in first["detail"].upper() and first["remedy"]
    assert {check["detail"] for check in others if not check["ok"]} == {"Not looked at, since a setting is wrong."}


def test_a_misspelt_setting_is_shown(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_CANDIDATE", "5")
    assert "misspelt: MLFLOW_MOTHER_CANDIDATE" in " ".join(run("doctor").stdout.split())
