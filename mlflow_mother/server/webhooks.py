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

from mlflow_mother.service.deliveries import DeliveryRefusedError, MemoryFullError, SeenDeliveries, verify

log = logging.getLogger(__name__)

PATH = "/webhook"
HEALTH = "/health"

MAX_BODY = 1_000_000
"""Longest delivery in bytes. MLflow's hold the version's tags; a version with more is left to the next look."""

BODY_SECONDS = 10.0
"""Longest time that a sender may take for a delivery's body."""

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
    seen = SeenDeliveries()

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
            log.warning("Refused a webhook: %s", error)
            return _answer(401, error.what)
        try:
            version = _version_in(body, workspace)
        except ValueError as error:
            return _answer(400, str(error))
        try:
            new = seen.add(delivery, now)
        except MemoryFullError as error:
            log.warning("Refused a webhook: %s", error)
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
