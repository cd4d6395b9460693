"""Real processes, started quickly: forked from a server that has imported what they need."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable

from sqlalchemy import Engine, event

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["numpy", "alembic.command", "psycopg2", "mlflow_mother.store"])


@event.listens_for(Engine, "connect")
def _trust_the_disk(connection: object, _record: object) -> None:
    """Spares the tests SQLite's fsyncs: what a killed process has written survives without them."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def in_processes(count: int, function: Callable[..., None], *arguments: object) -> None:
    """Runs ``function(number, *arguments)`` in ``count`` processes at once; all must end well."""
    running = [context.Process(target=function, args=(number, *arguments)) for number in range(count)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * count
