from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_samples import KINDS, Bench, bench


@pytest.fixture(autouse=True)
def surroundings(at_home: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_MOTHER_INLINE_SECONDS", "60")


@pytest.fixture(params=KINDS)
def registry(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path) -> Iterator[Bench]:
    """Each kind of registry."""
    address = str(request.getfixturevalue("server")) if request.param == "http" else ""
    with bench(request.param, tmp_path, server=address, template=empty_database) as made:
        yield made
