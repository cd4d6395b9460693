"""Keeps one worker of the deployment going: every process of the server has a supervisor, one of them a worker.

Whose worker it is, is a lease in the database; servers of several registries may share that, and have a lease each. The
holder starts the worker, prolongs the lease for as long as the worker lives, and starts another at once when it died.
When the holder itself is gone, so is its worker, the lease runs out, and the next supervisor takes it: at most two
workers for a moment, to which the claims on versions see.

A supervisor is a thread that asks the database a question a second. It touches nothing that a request needs, and
whatever goes wrong in it stays in it.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from mlflow_mother.errors import MotherError
from mlflow_mother.server.services import Services

log = logging.getLogger(__name__)

LEASE_SECONDS = 5.0
TICK_SECONDS = 1.0
HEALTHY_SECONDS = 20.0
"""A worker that lived longer than this is started again at once."""

LONGEST_PAUSE = 30.0
NICENESS = 10


def lease_of(deployment: str) -> str:
    """The name of a deployment's lease in Mother's store.

    Args:
        deployment: What is served; see :attr:`Registry.deployment`.
    """
    return f"worker of {deployment}"


class Supervisor:
    """Sees to it that somebody works.

    Args:
        services: Where the store is.
        arguments: For the worker's command line.
    """

    def __init__(self, services: Services, *arguments: str) -> None:
        self._services = services
        self._arguments = arguments
        self._owner = ""
        self._worker: subprocess.Popen[bytes] | None = None
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._started_at = 0.0
        self._pause = 0.0
        self._not_before = 0.0
        self._said = ""
        self._stopped = threading.Event()

    def start(self) -> None:
        """Starts the thread, for as long as this process lives."""
        threading.Thread(target=self.run, name="mother-supervisor", daemon=True).start()
        atexit.register(self.stop)

    def run(self) -> None:
        """Supervises until it is stopped."""
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        while not self._stopped.is_set():
            try:
                self._tick()
                self._said = ""
            except MotherError as error:
                self._say_once(f"Mother waits; MLflow is served without her. {error}")
            except Exception as error:
                self._say_once(f"Mother waits; MLflow is served without her. {type(error).__name__}: {error}")
            self._stopped.wait(TICK_SECONDS)

    def stop(self) -> None:
        """Ends the worker and gives the lease back; for the process's end."""
        self._stopped.set()
        if self._worker is None:
            return
        self._forget_worker()
        try:
            self._services.store.return_lease(self._lease, self._owner)
        except MotherError as error:
            log.info("Mother's lease runs out by itself: %s", error)

    @cached_property
    def _lease(self) -> str:
        return lease_of(self._services.deployment)

    def _tick(self) -> None:
        self._leaving = [worker for worker in self._leaving if worker.poll() is None]
        store = self._services.store
        if self._worker is None:
            held = store.lease(self._lease)
            if time.monotonic() < self._not_before or (held is not None and held.held and held.owner != self._owner):
                return
            if store.take_lease(self._lease, self._owner, LEASE_SECONDS):
                self._start()
        elif self._worker.poll() is not None:
            self._ended(self._worker.returncode)
        elif not store.take_lease(self._lease, self._owner, LEASE_SECONDS):
            log.warning("Mother's worker moves to another process: the database was out of reach for too long")
            self._forget_worker()

    def _start(self) -> None:
        command = [sys.executable, "-m", "mlflow_mother.server.worker", *self._arguments]
        single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        # A session of its own: Ctrl-C reaches the server, which then ends its worker in good order.
        self._worker = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.PIPE, env={**single, **os.environ}, start_new_session=True
        )
        self._started_at = time.monotonic()
        _put_behind(self._worker.pid)

    def _ended(self, code: int) -> None:
        self._forget_worker()
        if code == 0 or time.monotonic() - self._started_at > HEALTHY_SECONDS:
            self._pause = 0.0
        else:
            self._pause = min(LONGEST_PAUSE, max(TICK_SECONDS, 2 * self._pause))
            # Somewhere else it may go better.
            self._services.store.return_lease(self._lease, self._owner)
        if code != 0:
            log.warning("Mother's worker ended with status %d; the next one starts in %g s", code, self._pause)
        self._not_before = time.monotonic() + self._pause

    def _forget_worker(self) -> None:
        """Lets go of the worker, which ends when its standard input does."""
        if self._worker is not None and self._worker.stdin is not None:
            self._worker.stdin.close()
            self._leaving.append(self._worker)
        self._worker = None

    def _say_once(self, message: str) -> None:
        if message != self._said:
            log.warning("%s", message)
            self._said = message


def _put_behind(process: int) -> None:
    """Lowers the priority of a process, which leads a session."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process, NICENESS)
    # Where Linux groups processes by session, it weighs niceness within a session only, and sessions alike.
    with suppress(OSError):
        Path(f"/proc/{process}/autogroup").write_text(str(NICENESS), encoding="ascii")
