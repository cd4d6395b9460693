"""The test that the documentation shows to the authors of plugins runs and passes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


def test_the_documented_test_of_a_veto_passes() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    plugin = next(block for block in blocks if "sandbox" in block and "@hookimpl" in block)
    test = next(block for block in blocks if "mlflow_mother.testing.trees" in block)
    module: dict[str, Any] = {}
    exec(compile(plugin + test, str(PAGE), "exec"), module)
    module["test_a_sandbox_has_no_heirs"]()
