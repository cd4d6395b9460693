"""Turns at a SQLite file: one after the other, but nobody waits for a process that does not go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlflow_mother.store.turns import LONGEST_WAIT, turn

HOLD = """
import sys, time
from pathlib import Path
from mlflow_mother.store.turns import turn
with turn(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(file: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(file), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_turn_begins_when_another_process_has_had_its_own(tmp_path: Path) -> None:
    with holder(tmp_path / "db", 1.0) as process:
        began = time.monotonic()
        with turn(tmp_path / "db"):
            assert 0.5 < time.monotonic() - began < LONGEST_WAIT
        process.wait()


def test_a_process_that_was_stopped_in_its_turn_holds_nobody_up_for_long(tmp_path: Path) -> None:
    with holder(tmp_path / "db", 60.0) as process:
        os.kill(process.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with turn(tmp_path / "db"):
                assert LONGEST_WAIT - 0.1 < time.monotonic() - began < LONGEST_WAIT + 2
        finally:
            process.kill()


def _someone_elses(folder: Path, _elsewhere: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)


def _open_to_all(folder: Path, _elsewhere: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def _link_to_a_folder(folder: Path, elsewhere: Path) -> None:
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)


def _no_folder(folder: Path, _elsewhere: Path) -> None:
    folder.touch()


def _links_in_the_folder(folder: Path, elsewhere: Path) -> None:
    with turn(folder.parent / "db"):
        (lock,) = folder.iterdir()
    lock.unlink()
    lock.symlink_to(elsewhere)


AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")


@pytest.mark.parametrize(
    "plant",
    [
        pytest.param(_someone_elses, marks=AS_ROOT),
        _open_to_all,
        _link_to_a_folder,
        _no_folder,
        _links_in_the_folder,
    ],
)
def test_what_another_user_may_have_left_for_the_folder_of_locks_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: Callable[[Path, Path], None]
) -> None:
    """Anybody may make files in the shared temporary folder, and knows the name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder, elsewhere = tmp_path / f"mlflow-mother-{os.geteuid()}", tmp_path / "elsewhere"
    plant(folder, elsewhere)
    before = sorted(tmp_path.rglob("*"))
    with turn(tmp_path / "db"):
        assert sorted(tmp_path.rglob("*")) == before
