"""A real HTTP endpoint on this machine that remembers what it was sent and answers as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Endpoint:
    url: str = ""
    answers: list[int] = field(default_factory=list)
    """Status codes of the next answers; 200 when exhausted."""
    received: list[Request] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    open_gate: threading.Event = field(default_factory=threading.Event)
    """Requests are answered while this is set."""

    def wait_for(self, count: int) -> list[Request]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, timeout=30), self.received
        return self.received


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    state = Endpoint()
    state.open_gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with state.arrived:
                state.received.append(Request(self.path, dict(self.headers), body))
                code = state.answers.pop(0) if state.answers else 200
                state.arrived.notify_all()
            state.open_gate.wait(30)
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is part of the tests."""

    server = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield state
    state.open_gate.set()
    server.shutdown()
    server.server_close()
    thread.join()
