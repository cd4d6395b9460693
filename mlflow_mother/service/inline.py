"""What a captured registration runs: everything up to its tags, within the bound, and never a moment longer.

The work runs in a thread, with the context variables of the registering one (MLflow keeps the workspace there). When
the bound is over the registration returns; the thread stops at its next checkpoint and the version stays ``pending``
for ``mlflow-mother reconcile``. Native code must not run while the interpreter goes down, so its exit waits a moment
for threads that have not stopped yet.
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
from mlflow_mother.registry.versions import from_mlflow
from mlflow_mother.service.service import Service
from mlflow_mother.service.worker import OutOfTimeError
from mlflow_mother.settings import Settings, load_settings

log = logging.getLogger(__name__)

EXIT_SECONDS = 3.0
"""Longest time that the interpreter's exit waits for work that was stopped."""

_running: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def captured(store: Any, version: Any, *, began: float, enqueue_only: bool) -> None:
    """Analyses a version that MLflow has just registered.

    Args:
        store: MLflow's registry store.
        version: MLflow's version.
        began: ``time.monotonic()`` when the registration was done.
        enqueue_only: Whether somebody else does the work: this process is a server.
    """
    settings = load_settings()
    deadline = began + settings.inline_seconds

    def work() -> None:
        _analyse(store, version, settings, deadline, enqueue_only)

    _run_within(deadline, work)


def _analyse(store: Any, version: Any, settings: Settings, deadline: float, enqueue_only: bool) -> None:
    registry = Registry.of_store(store, settings)
    if not enqueue_only and server_has_mother(store, deadline):
        return
    registered = from_mlflow(registry, version)
    service = Service(registry, settings=settings)
    service.enqueue(registered.ref, source=registered.source, registered_at=registered.created or None)
    if enqueue_only:
        return

    def checkpoint() -> None:
        if time.monotonic() > deadline:
            raise OutOfTimeError(
                f"{registered.ref.uri} took longer than the {settings.inline_seconds:g} s of a registration.",
                "Run `mlflow-mother reconcile`.",
            )

    worker = service.worker(checkpoint)
    worker.work(worker.claim(1, [registered.ref]), max_bytes=settings.inline_bytes)


def _run_within(deadline: float, work: Callable[[], None]) -> None:
    """Runs work in a thread and waits for it until the deadline, not longer."""
    context = contextvars.copy_context()

    def run() -> None:
        try:
            context.run(work)
        except OutOfTimeError as error:
            log.info("%s", error)
        except MotherError as error:
            log.warning("Mother leaves a version to `mlflow-mother reconcile`: %s", error)
        except Exception as error:
            log.warning("Mother leaves a version to `mlflow-mother reconcile`: %s", error, exc_info=True)

    thread = threading.Thread(target=run, name="mother-capture", daemon=True)
    _running.add(thread)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))


def _wait_for_stopped_work() -> None:
    until = time.monotonic() + EXIT_SECONDS
    for thread in list(_running):
        thread.join(max(0.0, until - time.monotonic()))


atexit.register(_wait_for_stopped_work)
