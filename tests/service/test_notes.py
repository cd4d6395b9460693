"""What a server's process takes note of reaches the queue, and no request waits for it."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mlflow_mother.registry.identity import StoreAddress
from mlflow_mother.registry.versions import RegisteredVersion
from mlflow_mother.service.notes import EXIT_SECONDS, GATHER_SECONDS, Notes
from mlflow_mother.store import Store
from mlflow_mother.types import ModelVersionRef


def address_of(file: Path) -> StoreAddress:
    return StoreAddress(f"sqlite:///{file}", False, "own")


def version_of(number: int) -> RegisteredVersion:
    ref = ModelVersionRef(registry="own", name="m", version=str(number))
    return RegisteredVersion(ref=ref, source=f"file:///{number}", created=1000.0 + number)


def queued(file: Path) -> set[str]:
    with Store.open(f"sqlite:///{file}", local=True) as store:
        return {known.ref.version for known in store.versions("own")}


def wait_for(file: Path, versions: set[str]) -> None:
    deadline = time.monotonic() + 20
    while queued(file) != versions:
        assert time.monotonic() < deadline, queued(file)
        time.sleep(0.05)


def test_noted_versions_are_queued_a_moment_later(tmp_path: Path) -> None:
    notes, file = Notes(), tmp_path / "store.db"
    for number in (1, 2, 1):
        notes.take(address_of(file), version_of(number))
    wait_for(file, {"1", "2"})
    notes.take(address_of(file), version_of(3))
    wait_for(file, {"1", "2", "3"})


def test_a_database_out_of_reach_costs_a_warning_and_no_later_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notes, file = Notes(), tmp_path / "store.db"
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING, "mlflow_mother"):
        notes.take(address_of(tmp_path / "file" / "store.db"), version_of(1))
        notes.take(address_of(file), version_of(2))
        wait_for(file, {"2"})
    assert "Mother leaves models:/m/1 to `mlflow-mother reconcile`" in caplog.text
    notes.take(address_of(file), version_of(3))
    wait_for(file, {"2", "3"})


FORKING = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_notes import address_of, version_of
from mlflow_mother.service.notes import notes

file = Path(sys.argv[1])
notes.take(address_of(file), version_of(1))
child = os.fork()
notes.take(address_of(file), version_of(2 if child else 3))
if child:
    os.waitpid(child, 0)
"""


def test_a_fork_takes_notes_of_its_own_and_an_exit_waits_for_the_last(tmp_path: Path) -> None:
    assert GATHER_SECONDS < EXIT_SECONDS
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path / "store.db")], check=True)
    assert queued(tmp_path / "store.db") == {"1", "2", "3"}
