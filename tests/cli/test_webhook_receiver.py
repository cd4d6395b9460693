"""What the receiver answers, over real HTTP: only signed, recent, new deliveries count, and nothing else costs much."""

from __future__ import annotations

import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from foreign_server import SECRET, eventually

from mlflow_mother.server import webhooks
from mlflow_mother.server.webhooks import MAX_BODY, application, listening
from mlflow_mother.service.deliveries import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign

CREATED = {"entity": "model_version", "action": "created", "data": {"name": "a", "version": "7", "source": "/etc"}}


@dataclass
class Receiver:
    """A listening receiver.

    Attributes:
        port: Where it listens.
        hints: What it took from deliveries.
    """

    port: int
    hints: list[tuple[str, str]] = field(default_factory=list)

    def deliver(
        self,
        body: bytes | str | dict[str, object],
        *,
        age: float = 0,
        delivery_id: str = "",
        secret: str = SECRET,
        content_type: str = "application/json",
        **headers: str,
    ) -> int:
        """Sends what MLflow would; the answer's status."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
        delivery_id, timestamp = delivery_id or str(uuid.uuid4()), str(int(time.time() - age))
        signed = {
            "Content-Type": content_type,
            ID_HEADER: delivery_id,
            TIMESTAMP_HEADER: timestamp,
            SIGNATURE_HEADER: sign(secret, delivery_id, timestamp, data),
        }
        kept = {key: value for key, value in {**signed, **headers}.items() if value}
        return self.request("POST", webhooks.PATH, data, kept)[0]

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextmanager
def new_receiver() -> Iterator[Receiver]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = Receiver(listener.getsockname()[1])
        app = application(SECRET, lambda *hint: receiver.hints.append(hint), lambda: {"more": 1}, None)
        with listening(listener, app):
            yield receiver


@pytest.fixture(scope="module")
def _listening() -> Iterator[Receiver]:
    with new_receiver() as receiver:
        yield receiver


@pytest.fixture
def receiver(_listening: Receiver) -> Receiver:
    _listening.hints.clear()
    return _listening


def test_a_delivery_is_a_hint_once(receiver: Receiver) -> None:
    sent = {"delivery_id": "once"}
    assert receiver.deliver(CREATED, **sent) == 202
    assert receiver.deliver(CREATED, **sent) == 200
    assert receiver.hints == [("a", "7")], "its name and number, and nothing else"


def test_a_refused_delivery_does_not_use_up_its_id(receiver: Receiver) -> None:
    assert receiver.deliver(CREATED, delivery_id="mine", secret="another secret, 16+") == 401
    assert receiver.deliver(CREATED, delivery_id="mine") == 202


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (401, {"secret": "a secret of somebody else"}),
        (401, {SIGNATURE_HEADER: ""}),
        (401, {ID_HEADER: ""}),
        (401, {TIMESTAMP_HEADER: "soon"}),
        (401, {"age": 301}),
        (401, {"age": -302}),
        (415, {"content_type": "text/plain"}),
        (415, {"content_type": ""}),
        (400, {"body": "no json"}),
        (400, {"body": "[" * 100_000}),
        (400, {"body": "[1]"}),
        (400, {"body": {**CREATED, "data": {"name": "a", "version": "../1"}}}),
        (400, {"body": {**CREATED, "data": {"name": "a" * 257, "version": "1"}}}),
        (400, {"body": {**CREATED, "data": ["a", "1"]}}),
        (413, {"body": b" " * (MAX_BODY + 1)}),
        (200, {"body": {**CREATED, "entity": "prompt_version"}}),
        (200, {"body": {**CREATED, "workspace": "elsewhere"}}),
    ],
)
def test_anything_else_is_no_hint(receiver: Receiver, status: int, sent: dict[str, object]) -> None:
    assert receiver.deliver(**{"body": CREATED, **sent}) == status
    assert receiver.hints == []


def test_a_body_without_an_announced_length_is_bounded_too(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.sendall(
            b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(MAX_BODY // 0x10000 + 1):
            connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_sender_that_dawdles_is_let_go(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "BODY_SECONDS", 0.1)
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as connection:
        connection.sendall(
            b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_other_methods_and_paths_are_refused_and_health_is_told(receiver: Receiver) -> None:
    assert receiver.request("GET", webhooks.PATH)[0] == 405
    assert receiver.request("POST", webhooks.HEALTH)[0] == 405
    assert receiver.request("POST", "/")[0] == 404
    assert receiver.request("GET", webhooks.HEALTH) == (200, b'{"ok":true,"more":1}')


def test_refused_deliveries_are_counted_and_not_logged_one_by_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "COMPLAINT_SECONDS", 0.5)
    with new_receiver() as receiver:
        for _ in range(5):
            assert receiver.deliver(CREATED, secret="a secret of somebody else") == 401
        eventually(lambda: "Refused 4 more webhooks in 0.5 s" in caplog.text)
        lines = [record.getMessage() for record in caplog.records if record.name == webhooks.__name__]
        assert len(lines) == 2 and all("signature is wrong" in line for line in lines)
        time.sleep(0.6)
        receiver.deliver(CREATED, secret="a secret of somebody else")
        eventually(lambda: caplog.text.count("Refused a webhook") == 2)


def test_the_secret_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with new_receiver() as receiver:
        receiver.deliver(CREATED)
        receiver.deliver(CREATED, secret="a secret of somebody else")
        eventually(lambda: "signature is wrong" in caplog.text)
    assert SECRET not in caplog.text
    assert sign(SECRET, "", "", b"")[:6] not in caplog.text, "no signature either"
