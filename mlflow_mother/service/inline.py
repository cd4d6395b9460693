"""What a captured registration runs: everything up to its tags, within the bound, and never a moment longer.

The work runs in a thread, with the context variables of the registering one (MLflow keeps the workspace there). When
the bound is over the registration returns; the thread stops at its next checkpoint and the version stays ``pending``
for ``mlflow-mother reconcile``. Native code must not run while the interpreter goes down, so its exit waits a moment
for threads that have not stopped yet.

A server does not wait at all: it takes note of the version, see ``notes``, and answers its client.
"""

from __future__ import annotations

import atexit
import contextvars
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from mlflow_mother.errors import MotherError
from mlflow_mother.registry.connection import Registry
from mlflow_mother.registry.standdown import server_has_mother
from mlflow_mother.registry.versions import RegisteredVersion, from_mlflow
from mlflow_mother.service.notes import notes
from mlflow_mother.settings import Settings, load_settings
from mlflow_mother.store import Store

log = logging.getLogger(__name__)

EXIT_SECONDS = 3.0
"""Longest time that the interpreter's exit waits for work that was stopped."""

_running: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


class OutOfTimeError(MotherError):
    """The bound on a registration's wait is over; raised by a checkpoint, and never out of the package."""


def captured(store: Any, version: Any, *, began: float, enqueue_only: bool) -> None:
    """Analyses a version that MLflow has just registered.

    Args:
        store: MLflow's registry store.
        version: MLflow's version.
        began: ``time.monotonic()`` when the registration was done.
        enqueue_only: Whether somebody else does the work: this process is a server.
    """
    settings = load_settings()
    registry = Registry.of_store(store, settings)
    registered = from_mlflow(registry, version)
    if enqueue_only:
        notes.take(registry.store, registered)
        return
    deadline = began + settings.inline_seconds
    thread = _start(registered, lambda: _analyse(store, registry, registered, settings, deadline))
    thread.join(max(0.0, deadline - time.monotonic()))


def _analyse(
    mlflow_store: Any, registry: Registry, version: RegisteredVersion, settings: Settings, deadline: float
) -> None:
    if server_has_mother(mlflow_store, deadline):
        return
    store = Store.open(registry.store.uri, local=not registry.store.shared)
    store.enqueue(version.ref, source=version.source, registered_at=version.created or None)
    # Only now: a process that leaves the work to a server never loads the engine.
    from mlflow_mother.service.service import Service

    def checkpoint() -> None:
        if time.monotonic() > deadline:
            raise OutOfTimeError(
                f"{version.ref.uri} took longer than the {settings.inline_seconds:g} s of a registration.",
                "Run `mlflow-mother reconcile`.",
            )

    worker = Service(registry, settings=settings, store=store).worker(checkpoint)
    worker.work(worker.claim(1, [version.ref]), max_bytes=settings.inline_bytes)


def _start(version: RegisteredVersion, work: Callable[[], None]) -> threading.Thread:
    """Runs work in a thread of its own; what goes wrong there is logged and no more."""
    context = contextvars.copy_context()
    uri = version.ref.uri

    def run() -> None:
        try:
            context.run(work)
        except OutOfTimeError as error:
            log.info("%s", error)
        except MotherError as error:
            log.warning("Mother leaves %s to `mlflow-mother reconcile`: %s", uri, error)
        except Exception as error:
            log.warning("Mother leaves %s to `mlflow-mother reconcile`: %s", uri, error, exc_info=True)

    thread = threading.Thread(target=run, name=f"mother-capture {uri}", daemon=True)
    _running.add(thread)
    thread.start()
    return thread


def _wait_for_stopped_work() -> None:
    until = time.monotonic() + EXIT_SECONDS
    for thread in list(_running):
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            uri = thread.name.partition(" ")[2]
            log.warning(
                "Mother leaves %s to `mlflow-mother reconcile`: the process ended in the middle of the work. If that "
                "happens again, `mlflow-mother doctor` may say what it waits for.",
                uri,
            )


atexit.register(_wait_for_stopped_work)
