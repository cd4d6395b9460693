"""What a server does with a captured registration: it takes note of it, and queues it a moment later.

The request that registers waits for nothing of this, not even for a thread to start, and its answer is on the way
before the database is asked for anything. What a process has taken note of meanwhile goes to the queue in one
transaction. One that is killed before takes its notes along: the worker's next look at the registry finds the versions.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Collection
from functools import cache
from queue import Empty, SimpleQueue

from mlflow_mother.errors import MotherError
from mlflow_mother.registry.identity import StoreAddress
from mlflow_mother.registry.versions import RegisteredVersion
from mlflow_mother.store import Registration, Store

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.3
"""How long notes are gathered."""

EXIT_SECONDS = 3.0
"""Longest time that the interpreter's exit waits for the last notes."""

_Note = tuple[StoreAddress, RegisteredVersion]


class Notes:
    """One process's notes, and the thread that queues them; a forked process begins with none of either."""

    def __init__(self) -> None:
        self._process = 0
        self._starting = threading.Lock()

    def take(self, address: StoreAddress, version: RegisteredVersion) -> None:
        """Takes note of a version; it is queued within :data:`GATHER_SECONDS`, or left to the next reconciliation.

        Args:
            address: The store whose queue it belongs to.
            version: A version that was just registered.
        """
        if self._process != os.getpid():
            self._start()
        self._notes.put((address, version))

    def _start(self) -> None:
        with self._starting:
            if self._process == os.getpid():
                return
            self._notes: SimpleQueue[_Note | None] = SimpleQueue()
            self._thread = threading.Thread(target=self._queue_all, name="mother-notes", daemon=True)
            self._thread.start()
            self._process = os.getpid()
            atexit.register(self._end)

    def _queue_all(self) -> None:
        last = False
        while not last:
            found = [self._notes.get()]
            if found[0] is not None:
                time.sleep(GATHER_SECONDS)
            try:
                while True:
                    found.append(self._notes.get_nowait())
            except Empty:
                last = None in found
            _enqueue([note for note in found if note is not None])

    def _end(self) -> None:
        if self._process == os.getpid():
            self._notes.put(None)
            self._thread.join(EXIT_SECONDS)


notes = Notes()
"""This process's."""


@cache
def _kept_open(uri: str, shared: bool) -> Store:
    """A server's store: it is open for as long as the process lives."""
    return Store.open(uri, local=not shared)


def _enqueue(found: Collection[_Note]) -> None:
    """Queues what was noted; what goes wrong is logged and no more."""
    for address in {(address.uri, address.shared) for address, _ in found}:
        mine = [version for where, version in found if (where.uri, where.shared) == address]
        try:
            store = _kept_open(*address)
            store.enqueue_many([Registration(v.ref, v.source, v.created or None) for v in mine])
        except Exception as error:
            uris = ", ".join(version.ref.uri for version in mine)
            trace = not isinstance(error, MotherError)
            log.warning("Mother leaves %s to `mlflow-mother reconcile`: %s", uris, error, exc_info=trace)
