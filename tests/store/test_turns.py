"""Turns at a SQLite file: one after the other, but nobody waits for a process that does not go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
