"""A small slice of the tab's benchmark: it draws what the tab draws."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import tab


@pytest.mark.slow
def test_a_small_tree_is_painted() -> None:
    if shutil.which("chromium") is None:
        pytest.skip("needs Chromium: make system")
    found = tab.measure(30, 1)
    assert found["nodes"] == 30
    assert 0 < found["drawn, median ms"] <= found["painted, median ms"]
