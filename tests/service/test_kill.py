"""A reconciliation that is killed at any point loses nothing and doubles nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("every", [41, pytest.param(5, marks=pytest.mark.full)])
def test_a_kill_at_any_step_is_made_good_by_the_next_reconciliation(
    tmp_path: Path, empty_database: Path, every: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "kill_loop.py", tmp_path, empty_database, str(every)],
        env={
            **os.environ,
            "PYTHONPATH": str(HERE.parent / "registry"),
            "MLFLOW_MOTHER_ENABLED": "false",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(outcomes) > 100 // every, "the pipeline has over a hundred moments, some of which are tried"
    for kill, found in enumerate(outcomes):
        assert found["statuses"] == ["done"] * 3, (kill, found)
        assert found["left"] == [0, 0, 0], (kill, found)
        assert found["unwritten"] == 0, (kill, found)
        assert found["tags"] == outcomes[-1]["tags"], (kill, found)
        assert all(1 <= number <= 2 for number in found["histories"].values()), (kill, found)
    assert outcomes[-1]["tags"]["child"]["mother.parent"] == "models:/root/1"
    assert outcomes[-1]["tags"]["copy"]["mother.relation"] == "copy"
