"""The reader that the documentation shows works, and passes the conformance tests as shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlflow_mother.plugins import Plugins

PAGE = Path(__file__).parents[2] / "docs" / "readers.md"

shown: dict[str, Any] = {"__name__": "shown"}
for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
    exec(compile(block, str(PAGE), "exec"), shown)

TestRawReader = shown["TestRawReader"]


def test_the_plugin_that_is_shown_offers_its_reader():
    plugins = Plugins(discover=False)
    plugins.register(type("Module", (), {"mother_weight_readers": staticmethod(shown["mother_weight_readers"])})(), "x")
    assert [reader.name for reader in plugins.weight_readers()] == ["raw-f32"]


def test_every_bound_is_documented():
    from mlflow_mother.weights import limits

    page = PAGE.read_text()
    for name in ("HEADER_BYTES", "METADATA_BYTES", "YAML_BYTES", "ZIP_DIRECTORY_BYTES", "PICKLE_BYTES", "VIEW_SLACK"):
        assert f"{getattr(limits, name) >> 20} MiB" in page, name
    for name in ("TENSORS", "ZIP_ENTRIES", "NAME_CHARACTERS", "NESTING", "INFLATED_RATIO", "VIEW_RATIO", "DIMENSIONS"):
        assert f"{getattr(limits, name):,}" in page, name
