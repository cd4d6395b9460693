"""A client leaves the work to a server that does it, and to no other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.utils.credentials import get_default_host_creds

from mlflow_mother.registry.standdown import STATUS_ROUTE, server_has_mother


@contextmanager
def server(status: int, body: str, delay: float = 0) -> Iterator[tuple[RestStore, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(delay)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        uri = f"http://127.0.0.1:{listening.server_port}"
        yield RestStore(partial(get_default_host_creds, uri)), asked
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "stands_down"),
    [
        (200, json.dumps({"worker": True}), True),
        (200, json.dumps({"worker": False}), False),
        (200, json.dumps(["worker"]), False),
        (200, "<html>", False),
        (404, json.dumps({"worker": True}), False),
        (500, "", False),
    ],
)
def test_only_a_server_that_says_so_is_left_the_work(status: int, body: str, stands_down: bool) -> None:
    with server(status, body) as (store, asked):
        assert server_has_mother(store, time.monotonic() + 5) is stands_down
        assert server_has_mother(store, time.monotonic() + 5) is stands_down
        assert asked == [STATUS_ROUTE], "asked once"


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    with server(200, json.dumps({"worker": True}), delay=1) as (store, _):
        began = time.monotonic()
        assert server_has_mother(store, began + 0.2) is False
        assert time.monotonic() - began < 0.9


def test_a_database_has_no_server() -> None:
    assert server_has_mother(object(), time.monotonic()) is False
