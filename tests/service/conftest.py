from __future__ import annotations

import pytest
import torch
from registry_samples import Bench

from mlflow_mother.service import Service


@pytest.fixture(autouse=True)
def surroundings(at_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "60")
    torch.set_num_threads(1)


@pytest.fixture
def quiet(sqlite: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A registry whose registrations nobody looks at."""
    monkeypatch.setenv("MLFLOW_MOTHER_ENABLED", "false")
    return sqlite


@pytest.fixture
def service(sqlite: Bench) -> Service:
    return Service(lease_seconds=2)
