"""The one process of a server that analyses: ``python -m mlflow_mother.server.worker``, started by ``supervisor``.

It takes what is queued in every workspace, and looks for what nobody queued in a thread of its own, so that a look
over a large registry holds no registration up. It stays behind the server's traffic: a low priority, one
thread for arithmetic. It ends when its standard input does, which is when its supervisor ends, however that went.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Collection
from importlib import import_module
from pathlib import Path

from mlflow_mother.errors import MotherError
from mlflow_mother.registry.workspaces import all_workspaces, working_in
from mlflow_mother.server import environment, logs
from mlflow_mother.server.services import Services
from mlflow_mother.service.inline import OutOfTimeError
from mlflow_mother.service.worker import Worker
from mlflow_mother.settings import Settings, load_settings
from mlflow_mother.store import Claim

log = logging.getLogger("mlflow_mother.worker")  # run as a program, this module has no name of its own

POLL_SECONDS = 0.5
"""How often the queue is looked at: what a registration waits for at most when nothing else is to be done."""

BATCH = 16
"""Versions that are read before they are compared."""

SUSPECT = 3
HOPELESS = 10
"""Attempts after which a version is worked on alone, and after which not at all if none ended with a reason."""

WORKSPACES_SECONDS = 5.0
"""How long a list of workspaces is good for."""

RELUCTANCE = 20.0
"""A look at the whole registry is due again after this many times what the last one took."""

TROUBLE_SECONDS = 5.0
GRACE_SECONDS = 5.0
"""How long work in progress may take to stop when the supervisor is gone."""


class ServerWorker:
    """Analyses what is registered with this server, in all of its workspaces.

    Args:
        services: The use cases.
        stop: Set by whoever ends the work.
        tell: Told the versions done in all and those that wait, whenever that changes.
    """

    def __init__(self, services: Services, stop: threading.Event, tell: Callable[[int, int], None]) -> None:
        self._services = services
        self._stop = stop
        self._tell = tell
        self._done = 0
        self._workspaces: tuple[float, tuple[str | None, ...]] = (float("-inf"), ())

    def run(self) -> None:
        """Works until it is stopped, or has grown too large."""
        looking = threading.Thread(target=self._look_for_ever, name="mother-reconciler", daemon=True)
        looking.start()
        while not self._stop.is_set() and _memory() < self._services.settings.worker_memory:
            try:
                done = self._drain()
            except OutOfTimeError:
                break
            except MotherError as error:
                log.warning("Mother's worker goes on in %g s: %s", TROUBLE_SECONDS, error)
                self._stop.wait(TROUBLE_SECONDS)
                continue
            if not done:
                self._stop.wait(POLL_SECONDS)
        self._stop.set()
        looking.join(GRACE_SECONDS)

    def _drain(self) -> int:
        """Analyses a batch of every workspace that has work; returns how many versions that were."""
        due = self._services.store.due()
        done = 0
        for workspace in self._all_workspaces() if due else ():
            service = self._services.of(workspace)
            if service.registry.id not in due:
                continue
            with working_in(workspace):
                worker = service.worker(self._checkpoint)
                claims = worker.claim(BATCH)
                self._work(worker, claims)
            done += len(claims)
            self._done += len(claims)
            counts = service.store.counts(service.registry.id)
            self._tell(self._done, counts.queued + counts.claimed)
        return done

    def _work(self, worker: Worker, claims: Collection[Claim]) -> None:
        """Analyses claimed versions. One that may have cost earlier workers their life comes last, and alone."""
        fresh = [claim for claim in claims if claim.attempt < SUSPECT]
        if fresh:
            worker.work(fresh)
        for claim in claims:
            known = worker.store.version(claim.ref) if claim.attempt >= SUSPECT else None
            if claim.attempt >= HOPELESS and known is not None and not known.reason:
                what = f"The worker ended {claim.attempt - 1} times while it was analysing {claim.ref.uri}."
                remedy = "See the server's log; more memory may help. Then analyse it again on its Lineage tab."
                worker.give_up(claim, MotherError(what, remedy))
            elif known is not None:
                worker.work([claim])

    def _look_for_ever(self) -> None:
        """Queues what nobody queued, writes back what could not be written, in every workspace, again and again."""
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                for workspace in self._all_workspaces():
                    with working_in(workspace):
                        self._services.of(workspace).reconcile(limit=0)
            except MotherError as error:
                log.warning("Mother could not look through the registry: %s", error)
            except Exception as error:
                log.warning("Mother could not look through the registry: %s", error, exc_info=True)
            took = time.monotonic() - began
            self._stop.wait(max(self._services.settings.reconcile_seconds, RELUCTANCE * took))

    def _all_workspaces(self) -> tuple[str | None, ...]:
        listed, names = self._workspaces
        if time.monotonic() - listed > WORKSPACES_SECONDS:
            names = all_workspaces(environment.tracking_uri())
            self._workspaces = time.monotonic(), names
        return names

    def _checkpoint(self) -> None:
        if self._stop.is_set():
            raise OutOfTimeError("The worker was stopped.", "The next one goes on.")


def main(arguments: list[str]) -> None:
    """The process's work.

    Args:
        arguments: ``--bar`` for a person who watches; else progress goes to the log.
    """
    settings = _modest(load_settings())
    logs.set_up(settings)
    stop = threading.Event()
    threading.Thread(target=_stop_with_supervisor, args=(stop,), daemon=True).start()
    tell = _Bar() if "--bar" in arguments else _log_progress
    import_module("mlflow_mother.fingerprint.compute")  # now, so that no registration waits for it
    log.info("Mother's worker (process %d) started", os.getpid())
    status = 0
    try:
        ServerWorker(Services(settings), stop, tell).run()
    except Exception:
        log.exception("Mother's worker cannot go on")
        status = 1
    # Without the interpreter's farewell: threads may still be in native code.
    logging.shutdown()
    os._exit(status)


def _modest(settings: Settings) -> Settings:
    """Leaves the machine to the server, but for what somebody set on purpose."""
    return settings if "threads" in settings.model_fields_set else settings.model_copy(update={"threads": 1})


def _stop_with_supervisor(stop: threading.Event) -> None:
    """Waits for the end of standard input, then stops the work, then the process."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop.set()
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _log_progress(done: int, waiting: int) -> None:
    log.info("Analysed since the start: %d; waiting: %d", done, waiting)


class _Bar:
    """A line on the terminal that says how far the work is."""

    def __call__(self, done: int, waiting: int) -> None:
        sys.stderr.write(f"\r\x1b[KAnalysed: {done}; waiting: {waiting}")
        sys.stderr.flush()


def _memory() -> int:
    """Memory of this process in bytes, without files that are mapped; 0 where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(found[0]) * 1024 if found else 0


if __name__ == "__main__":
    main(sys.argv[1:])
