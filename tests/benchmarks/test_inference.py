"""A small slice of the inference benchmark: its registry is sound, and the steps that it times exist."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference import STAGES, Registry, child_of, fill_cache, root_fingerprint, stage_times
from mlflow_mother.fingerprint.format import from_bytes, to_bytes
from mlflow_mother.heritage import compare, recover

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def test_drawn_fingerprints_are_those_of_children() -> None:
    chance = np.random.default_rng(0)
    root = root_fingerprint(layers=2)
    child = from_bytes(to_bytes(child_of(root, 0.1, chance)))
    grandchild = child_of(child, 0.1, chance)
    pair = compare(root, child)
    assert math.isclose(pair.cosine, 1 / math.sqrt(1 + 0.1**2), abs_tol=0.01)
    tree = recover({"a": grandchild, "b": root, "c": child})
    assert {(edge.parent, edge.child) for edge in tree.edges} == {("b", "c"), ("c", "a")}


def test_a_new_version_finds_its_relatives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    monkeypatch.setenv("MLFLOW_MOTHER_HOME", str(tmp_path / "home"))
    registry = Registry(tmp_path / "registry", relatives=12, layers=1)
    registry.build()
    service = registry.service()
    (ref,) = registry.newcomers(service, 1, seed=2)
    fill_cache(registry, service, [ref], "steady")
    with stage_times() as stages:
        lineage = service.infer(ref)
    assert any(ref.uri in (edge.parent, edge.child) for edge in lineage.edges)
    assert len(lineage.nodes) == 13
    assert set(stages) == set(STAGES)
    assert all(seconds > 0 for seconds in stages.values())
    registry.forget(service)
    assert service.store.version(ref) is None
    service.store.close()
