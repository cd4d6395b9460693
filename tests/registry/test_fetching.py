"""A store that lies about lengths, or lists more than the disk holds, fills no disk."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from registry_samples import Bench

from mlflow_mother.errors import RegistryError
from mlflow_mother.registry.artifacts import files_at
from mlflow_mother.registry.connection import Registry
from mlflow_mother.weights.model import ModelFiles

ROUTE = "/api/2.0/mlflow-artifacts/artifacts"
PIECE = bytes(1 << 20)


class Store:
    """What the store says and does.

    Attributes:
        listed: Length that it lists for its one file.
        pieces: Megabytes that it sends.
        sent: Megabytes that it has sent.
    """

    def __init__(self, listed: int, pieces: int) -> None:
        self.listed, self.pieces, self.sent = listed, pieces, 0


@contextmanager
def served(store: Store) -> Iterator[ModelFiles]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            if self.path.startswith(f"{ROUTE}?"):
                files = [{"path": "w.safetensors", "is_dir": False, "file_size": store.listed}]
                self.wfile.write(json.dumps({"files": files}).encode())
                return
            try:
                for _ in range(store.pieces):
                    self.wfile.write(PIECE)
                    store.sent += 1
            except OSError:
                pass  # the reader hung up

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield files_at(Registry.current(), f"http://127.0.0.1:{server.server_port}{ROUTE}/m", "models:/m/1")
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def temporary(sqlite: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where fetched files go; nothing stays there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


def test_a_file_of_the_listed_length_is_fetched() -> None:
    with served(Store(3 << 20, 3)) as files, files.local("w.safetensors") as path:
        assert path.stat().st_size == files.sizes()["w.safetensors"]


def test_a_download_ends_where_the_listed_length_does() -> None:
    store = Store(3 << 20, 2000)
    with (
        served(store) as files,
        pytest.raises(RegistryError, match="longer than the 3,145,728 bytes"),
        files.local("w.safetensors"),
    ):
        pass
    assert store.sent < 100


def test_a_file_that_comes_short_is_refused() -> None:
    with (
        served(Store(3 << 20, 2)) as files,
        pytest.raises(RegistryError, match="2097152 of 3145728 bytes"),
        files.local("w.safetensors"),
    ):
        pass


def test_nothing_is_fetched_that_the_disk_cannot_hold(temporary: Path) -> None:
    store = Store(1 << 60, 1)
    with (
        served(store) as files,
        pytest.raises(RegistryError, match=f"{temporary} has .* left.*TMPDIR"),
        files.local("w.safetensors"),
    ):
        pass
    assert store.sent == 0
