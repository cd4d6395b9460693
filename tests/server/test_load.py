"""Many clients at a server that is killed: a slice of ``benchmarks.server_load``, and its large runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mlflow_servers import Config

from benchmarks.server_load import crash, overhead
from benchmarks.server_load.surroundings import Databases, databases


@pytest.mark.full
def test_no_version_is_lost_with_the_worker(tmp_path: Path, template: Path) -> None:
    made = Databases(template, None)
    found = crash.measure(tmp_path, made, config=Config(workers=2), versions=12, clients=3, kills=[(0.4, crash.WORKER)])
    assert found["holds"], found
    assert [kill["claimed"] > 0 for kill in found["kills"]] == [True]
    assert found["parents"] == {"right": found["in MLflow"]}


@pytest.mark.full
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("kind", "workers"), [("postgresql", 4), ("sqlite", 2)])
def test_no_version_of_500_is_lost_with_the_server(tmp_path: Path, kind: str, workers: int) -> None:
    config = Config(workers=workers, database=kind)
    with databases(kind, tmp_path) as made:
        found = crash.measure(tmp_path, made, config=config, versions=500, clients=8)
    assert found["holds"], found
    assert [kill["killed"] for kill in found["kills"]] == [what for _, what in crash.KILLS]
    assert all(kill["registered"] < 500 for kill in found["kills"] if kill["killed"] == crash.SERVER)


def test_what_is_lost_is_told() -> None:
    sound = {
        "acknowledged": 4,
        "in MLflow": 5,
        "acknowledged and not in MLflow": 0,
        "known to Mother": 5,
        "with exactly one current result": 5,
        "waiting": 0,
        "status tags": {"done": 4, "undecided": 1},
        "tags about the version itself": 5,
        "tags and artifacts that show the current result": 10,
        "lineage.json files about the version": 5,
    }
    assert crash.broken(sound, 4) == []
    for what in set(sound) - {"in MLflow"}:
        worse = {"pending": 1} if what == "status tags" else 3
        assert crash.broken({**sound, what: worse}, 4) == [what]
    assert "known to Mother" in crash.broken({**sound, "in MLflow": 6}, 4)


def test_the_interval_is_about_the_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overhead, "DRAWS", 500)
    random = np.random.default_rng(0)
    old = [random.exponential(1.0 + pair, 400) for pair in range(6)]
    new = [random.exponential(2.0 + 2 * pair, 400) for pair in range(6)]
    ratio, low, high = overhead.bootstrap(new, old, 95)
    assert low < ratio < high
    assert 1.6 < low < 2 < high < 2.4
    same, low, high = overhead.bootstrap(old, old, 95)
    assert same == 1 and low < 1 < high
