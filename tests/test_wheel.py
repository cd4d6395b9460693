"""The wheel holds the package, whole, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    # The backend is pinned in the environment: building in isolation would fetch another one.
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_holds_mlflow_mother_only(names: list[str]) -> None:
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"mlflow_mother"}


def test_wheel_holds_every_file_of_the_package(names: list[str]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "mlflow_mother"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    missing = {name for name in tracked if name and (ROOT / name).exists()} - set(names)
    assert not missing


def test_wheel_holds_types_migrations_and_entry_points(names: list[str]) -> None:
    assert "mlflow_mother/py.typed" in names
    assert "mlflow_mother/store/migrations/env.py" in names
    assert any(name.startswith("mlflow_mother/store/migrations/versions/0001") for name in names)
    assert any(name.endswith(".dist-info/entry_points.txt") for name in names)
    assert any("LICENSE" in name for name in names)
