"""Receives the webhooks of an MLflow server that one does not control.

A delivery is believed when it is signed, recent and new (:mod:`mlflow_mother.service.deliveries`). All that is taken
from it is a name and a version's number: a hint to ask the registry. So the answer comes at once, whatever the
registry does, and a delivery that is lost costs a delay until the registry is looked at anyway.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mlflow_mother.errors import MotherError
from mlflow_mother.service.deliveries import DeliveryRefusedError, MemoryFullError, SeenDeliveries, verify

log = logging.getLogger(__name__)

PATH = "/webhook"
HEALTH = "/health"

MAX_BODY = 1_000_000
"""Longest delivery in bytes. MLflow's hold the version's tags; a version with more is left to the next look."""

BODY_SECONDS = 10.0
"""Longest time that a sender may take for a delivery's body."""

COMPLAINT_SECONDS = 60.0
"""Longest time between lines in the log about deliveries that were refused; anybody can send such."""

MAX_CONNECTIONS = 100
STOP_SECONDS = 10.0

_NUMBER = re.compile(r"[0-9]{1,18}")
_MAX_NAME = 256

Hint = Callable[[str, str], None]


def application(secret: str, hint: Hint, health: Callable[[], dict[str, Any]], workspace: str | None) -> Starlette:
    """The receiver as an ASGI application.

    Args:
        secret: What deliveries are signed with.
        hint: Told of a version's name and number; must return at once.
        health: What the health route says, beside ``"ok": true``.
        workspace: Deliveries of other MLflow workspaces are left alone.
    """
    seen, complaints = SeenDeliveries(), _Complaints()

    async def receive(request: Request) -> JSONResponse:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _answer(415, "A delivery is application/json.")
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS)
        except (asyncio.TimeoutError, ClientDisconnect):
            return _answer(408, "The body did not arrive in time.")
        if body is None:
            return _answer(413, f"A delivery has at most {MAX_BODY} bytes.")
        now = time.time()
        try:
            delivery = verify(secret, request.headers, body, now)
        except DeliveryRefusedError as error:
            complaints.add(error)
            return _answer(401, error.what)
        try:
            version = _version_in(body, workspace)
        except ValueError as error:
            return _answer(400, str(error))
        try:
            new = seen.add(delivery, now)
        except MemoryFullError as error:
            complaints.add(error)
            return _answer(503, error.what)
        if not new:
            return _answer(200, "This delivery came before.")
        if version is None:
            return _answer(200, "Nothing for Mother.")
        hint(*version)
        return _answer(202, "Mother will look at the version.")

    async def healthy(_request: Request) -> JSONResponse:
        return JSONResponse({"ok": True, **health()})

    return Starlette(routes=[Route(PATH, receive, methods=["POST"]), Route(HEALTH, healthy, methods=["GET"])])


@contextmanager
def listening(listener: socket.socket, app: Callable[..., Awaitable[None]]) -> Iterator[None]:
    """Serves an application from a thread of its own for as long as the context lasts.

    Args:
        listener: A bound socket.
        app: The ASGI application.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="mother-webhooks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)


class _Complaints:
    """Says at once why a delivery is refused, and after that once in a while how many more were."""

    def __init__(self) -> None:
        self._more = 0
        self._quiet = False
        self._latest: MotherError | None = None

    def add(self, error: MotherError) -> None:
        """Takes note of a refused delivery; within the event loop."""
        if self._quiet:
            self._more, self._latest = self._more + 1, error
            return
        log.warning("Refused a webhook: %s", error)
        self._be_quiet()

    def _be_quiet(self) -> None:
        self._quiet = True
        asyncio.get_running_loop().call_later(COMPLAINT_SECONDS, self._sum_up)

    def _sum_up(self) -> None:
        self._quiet = False
        if self._more:
            log.warning("Refused %d more webhooks in %g s; the last: %s", self._more, COMPLAINT_SECONDS, self._latest)
            self._more = 0
            self._be_quiet()


async def _body(request: Request) -> bytes | None:
    """The request's body; None when it is too long."""
    announced = request.headers.get("content-length", "0")
    if not _NUMBER.fullmatch(announced) or int(announced) > MAX_BODY:
        return None
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def _version_in(body: bytes, workspace: str | None) -> tuple[str, str] | None:
    """Name and number of the version that a delivery announces; None when it announces something else.

    Raises:
        ValueError: It is no delivery of MLflow's.
    """
    try:
        said = json.loads(body)
        entity, action, data = said["entity"], said["action"], said["data"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise ValueError("The body is not a delivery of MLflow's.") from error
    if (entity, action) != ("model_version", "created"):
        return None
    if (said.get("workspace") or "default") != (workspace or "default"):
        return None
    name, number = (data.get("name"), data.get("version")) if isinstance(data, dict) else (None, None)
    if not (isinstance(name, str) and 0 < len(name) <= _MAX_NAME and _NUMBER.fullmatch(str(number))):
        raise ValueError("The delivery names no model version.")
    return name, str(int(str(number)))


def _answer(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": message}, status)
