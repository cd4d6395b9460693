"""Several processes that register into one SQLite file at once lose nothing and slow nobody beyond the bound."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "registration.py"


@pytest.mark.full
def test_eight_processes_lose_no_version() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", BENCHMARK, "--processes", "8", "--versions", "24", "--seconds", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    for count in ("versions in MLflow", "known to Mother", "distinct names and versions", "fingerprints"):
        assert found[count] == 24, found
    assert found["done after reconcile"] == 24, found
    assert found["with the true parent"] == 20, found
    assert found["waiting"] == 0, found
