"""``mother-basic-auth`` is prepared before there are workers, and says what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow_servers import PASSWORD
from registry_samples import free_port


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("MLFLOW_FLASK_SERVER_SECRET_KEY", "A static secret key needs to be set"),
        pytest.param("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", marks=pytest.mark.full),
    ],
)
def test_a_server_that_lacks_a_secret_ends_with_one_clear_error(
    tmp_path: Path, template: Path, missing: str, said: str
) -> None:
    secrets = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "key", "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}
    environment = {**os.environ, **{name: value for name, value in secrets.items() if name != missing}}
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "mother-basic-auth", "--port", str(free_port())]
    shutil.copyfile(template, tmp_path / "mlflow.db")
    done = subprocess.run(
        [*command, "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Uvicorn running" not in done.stderr
