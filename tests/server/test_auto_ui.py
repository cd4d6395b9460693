"""A server whose app nobody could choose gets Mother by a variable; one without the variable does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow_servers import ADMIN, API, Config, client_of, is_done, register, running, tags, wait_until
from registry_samples import network

ON = {"MLFLOW_MOTHER_AUTO_UI": "true"}

pytestmark = pytest.mark.full


def test_a_plain_server(tmp_path: Path, database: Callable[[str], str]) -> None:
    with running(Config(), tmp_path, database("sqlite"), environment=ON, app="") as server, client_of(server):
        assert server.get(f"{API}/status")[1]["worker"] is True
        assert "static-files/mother/tab.js" in server.get("/")[1]
        version = register("m", network(0), tmp_path)
        wait_until(lambda: is_done(version), 60, server)


@pytest.mark.parametrize("interface", ["uvicorn", "gunicorn"])
def test_mlflows_own_sign_in(tmp_path: Path, database: Callable[[str], str], interface: str) -> None:
    config = Config(interface, auth=True)
    with running(config, tmp_path, database("sqlite"), environment=ON, app="basic-auth") as server:
        assert server.get(f"{API}/status")[0] == 401
        assert server.get("/mother/")[0] == 401
        assert server.get(f"{API}/status", user=ADMIN)[1]["worker"] is True
        with client_of(server):
            version = register("m", network(0), tmp_path)
            wait_until(lambda: is_done(version), 60, server)
            assert "parent" not in tags(version)


def test_a_plain_server_without_the_variable(tmp_path: Path, database: Callable[[str], str]) -> None:
    with running(Config(), tmp_path, database("sqlite"), app="") as server:
        assert server.get(f"{API}/status")[0] == 404
        assert "mother" not in server.get("/")[1]
