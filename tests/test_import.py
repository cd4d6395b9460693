"""Importing the package is quick and brings in neither torch nor MLflow."""

from __future__ import annotations

import re
import subprocess
import sys

import mlflow_mother

_HEAVY = ("torch", "mlflow", "sqlalchemy", "pydantic", "numpy")


def _import_times() -> dict[str, float]:
    """Cumulative milliseconds by module, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import mlflow_mother"], capture_output=True, text=True, check=True
    )
    rows = re.findall(r"import time:\s+\d+ \|\s+(\d+) \|\s*(\S+)", done.stderr)
    return {module: int(microseconds) / 1000 for microseconds, module in rows}


def test_importing_takes_less_than_50_ms_and_nothing_heavy() -> None:
    best = float("inf")
    # The clock runs on while other processes have the processor, so the quickest of several runs counts.
    for _ in range(20):
        times = _import_times()
        assert not {module.partition(".")[0] for module in times}.intersection(_HEAVY)
        best = min(best, times["mlflow_mother"])
        if best < 50:
            return
    raise AssertionError(f"import mlflow_mother took {best} ms at best")


def test_help_of_the_command_needs_neither_torch_nor_mlflow() -> None:
    program = """
import sys
from mlflow_mother.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in ("torch", "mlflow", "sqlalchemy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_public_name_exists_and_is_listed_once() -> None:
    assert sorted(mlflow_mother.__all__) == sorted([*mlflow_mother._PUBLIC, "__version__"])
    assert dir(mlflow_mother) == mlflow_mother.__all__
    for name in mlflow_mother.__all__:
        assert getattr(mlflow_mother, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(mlflow_mother, "nonsense")
