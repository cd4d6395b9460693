"""Deliveries against a real HTTP endpoint: signed, repeated within bounds, never in the way."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap

import pytest
from conftest import Endpoint

from mlflow_mother_notify.delivery import ATTEMPTS, Delivery
from mlflow_mother_notify.settings import NotifySettings
from mlflow_mother_notify.signature import verify


def _delivery(endpoint: Endpoint, *, timeout: float = 10.0, longest_queue: int = 1000) -> Delivery:
    settings = NotifySettings(url=endpoint.url, secret="key", timeout=timeout)  # type: ignore[arg-type]
    return Delivery(settings, longest_queue=longest_queue)


def test_message_arrives_signed(endpoint: Endpoint) -> None:
    delivery = _delivery(endpoint)
    assert delivery.post(b'{"a": 1}')
    assert delivery.finish()
    (request,) = endpoint.received
    headers = request.headers
    assert request.body == b'{"a": 1}'
    assert headers["Content-Type"] == "application/json"
    identity, timestamp = headers["X-Mlflow-Delivery-Id"], headers["X-Mlflow-Timestamp"]
    assert verify("key", identity, timestamp, request.body, headers["X-Mlflow-Signature"])


def test_without_a_secret_nothing_is_signed(endpoint: Endpoint) -> None:
    delivery = Delivery(NotifySettings(url=endpoint.url))  # type: ignore[arg-type]
    delivery.post(b"{}")
    assert delivery.finish()
    assert "X-Mlflow-Signature" not in endpoint.received[0].headers


@pytest.mark.parametrize("trouble", [503, 429])
def test_passing_trouble_is_tried_again_with_the_same_id(endpoint: Endpoint, trouble: int) -> None:
    endpoint.answers = [trouble, trouble]
    delivery = _delivery(endpoint)
    delivery.post(b"{}")
    assert delivery.finish()
    assert len(endpoint.received) == 3
    assert len({r.headers["X-Mlflow-Delivery-Id"] for r in endpoint.received}) == 1


def test_lasting_trouble_is_given_up_and_the_next_message_goes_out(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.answers = [500] * ATTEMPTS
    delivery = _delivery(endpoint)
    delivery.post(b"first")
    delivery.post(b"second")
    assert delivery.finish()
    assert [r.body for r in endpoint.received] == [b"first"] * ATTEMPTS + [b"second"]
    assert "answered 500" in caplog.text


@pytest.mark.parametrize("refusal", [400, 404, 302, 307])
def test_refusals_and_redirects_are_final(endpoint: Endpoint, refusal: int, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.answers = [refusal]
    delivery = _delivery(endpoint)
    delivery.post(b"{}")
    assert delivery.finish()
    assert [r.path for r in endpoint.received] == ["/hook"]
    assert f"answered {refusal}" in caplog.text


def test_posting_does_not_wait_for_the_endpoint(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    endpoint.open_gate.clear()
    delivery = _delivery(endpoint, longest_queue=2)
    delivery.post(b"under way")
    endpoint.wait_for(1)
    # The endpoint still holds the first request, so these return without any answer.
    assert delivery.post(b"waits")
    assert delivery.post(b"waits too")
    assert not delivery.post(b"one too many")
    assert "dropped" in caplog.text
    endpoint.open_gate.set()
    assert delivery.finish()
    assert [r.body for r in endpoint.received] == [b"under way", b"waits", b"waits too"]


def test_nobody_listening_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    delivery = Delivery(NotifySettings(url="http://127.0.0.1:1/"))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        delivery.post(b"{}")
        assert delivery.finish()
    assert "dropped" in caplog.text


def _short_process(endpoint: Endpoint, timeout: float) -> subprocess.CompletedProcess[str]:
    program = """
        from mlflow_mother_notify.delivery import Delivery
        from mlflow_mother_notify.settings import NotifySettings
        Delivery(NotifySettings()).post(b"last words")
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "MLFLOW_MOTHER_NOTIFY_URL": endpoint.url,
        "MLFLOW_MOTHER_NOTIFY_TIMEOUT": str(timeout),
    }
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)


def test_a_process_that_ends_at_once_still_sends(endpoint: Endpoint) -> None:
    _short_process(endpoint, timeout=20.0)
    assert [r.body for r in endpoint.received] == [b"last words"]


def test_an_endpoint_that_never_answers_does_not_keep_a_process_alive(endpoint: Endpoint) -> None:
    endpoint.open_gate.clear()
    done = _short_process(endpoint, timeout=0.2)
    assert "gives up 1" in done.stderr


# Newer Pythons warn of any fork beside threads, which is what this test is about.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_has_a_thread_of_its_own(endpoint: Endpoint) -> None:
    delivery = _delivery(endpoint)
    delivery.post(b"parent")
    assert delivery.finish()
    child = os.fork()
    if child == 0:
        delivery.post(b"child")
        os._exit(0 if delivery.finish() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert [r.body for r in endpoint.received] == [b"parent", b"child"]
