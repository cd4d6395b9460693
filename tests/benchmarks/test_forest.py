"""A small slice of the forest benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import forest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
def test_a_small_registry_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", "")
    found = forest.measure(tmp_path, 120, 3, 0)
    assert found["totals"]["versions"] == 120 and found["totals"]["families"] > 3
    for route in forest.ROUTES:
        assert 0 < found[route]["same"]["processor p50"] < forest.GOAL_MS
        assert 0 < found[route]["hidden, changed"]["processor p50"] < forest.GOAL_MS
