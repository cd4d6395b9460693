"""Connections and transactions: the differences between SQLite and PostgreSQL end here."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, func, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from mlflow_mother.errors import StoreError
from mlflow_mother.store import turns

BUSY_SECONDS = 30
"""How long a writer waits for another before it gives up."""

CONNECT_SECONDS = 5
"""How long a PostgreSQL server may take to let one in; the drivers' own default is for ever."""

_REMEDIES = (
    ("lock", "Another process holds its lock: wait for it or end it, then run `mlflow-mother reconcile`."),
    ("full|no space", "Make room on its disk, then run `mlflow-mother reconcile`."),
    ("disk i/o", "Make room on its disk or lift the limit on file sizes, then run `mlflow-mother reconcile`."),
    (
        "readonly|read-only",
        "Let this user write the file and its folder, or set MLFLOW_MOTHER_HOME to a folder that it may write.",
    ),
    ("unable to open", "Let this user write its folder, or set MLFLOW_MOTHER_HOME to a folder that it may write."),
    (
        "not a database|malformed",
        "Restore the file from a backup. One that holds nothing but Mother's tables may be moved away as well: "
        "`mlflow-mother reconcile` makes them anew.",
    ),
)
"""What to do about a database's complaint, by words in it; alternatives are separated by ``|``."""

_ADVISORY_KEY = 0x6D6F74686572  # "mother"
_BEGIN = "mother_begin"
_T = TypeVar("_T")


class Database:
    """An engine and its three kinds of transaction.

    * :meth:`read`: a snapshot.
    * :meth:`write`: writes rows of *one* version (or content-addressed rows, which never change).
    * :meth:`write` with ``alone``: writes rows of several versions; excludes every other write of Mother's.

    SQLite has one writer at a time, so that both writes are ``BEGIN IMMEDIATE``: the write lock is taken before the
    first read, and no reader ever has to be turned into a writer (which SQLite refuses under contention). On
    PostgreSQL they take an advisory lock, shared or exclusive, until the transaction ends.

    Args:
        uri: SQLAlchemy URI of a SQLite file or a PostgreSQL database.
        busy_seconds: How long a writer waits for another in a SQLite file.

    Raises:
        StoreError: Another kind of database, or an unreadable URI.
    """

    def __init__(self, uri: str, busy_seconds: float = BUSY_SECONDS) -> None:
        self.url = _parse(uri)
        self.engine = _engine(self.url, busy_seconds)
        self.dialect = self.url.get_backend_name()
        _engines.add(self.engine)
        weakref.finalize(self, self.engine.dispose)

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The file of a SQLite database."""
        return Path(self.url.database) if self.dialect == "sqlite" and self.url.database else None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction.

        Raises:
            StoreError: The database cannot be reached or read.
        """
        with self._explained(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, alone: bool = False) -> Iterator[Connection]:
        """A write transaction, committed when the block ends and rolled back when it raises.

        Args:
            alone: Whether every other write has to wait.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        with self.turn(), self._explained(), self.engine.connect() as plain:
            connection = plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
            with connection.begin():
                if self.dialect == "postgresql":
                    _take_turns(connection, alone)
                yield connection

    def try_write(self) -> None:
        """Begins a write and takes it back: fails as a write would, and changes nothing.

        Raises:
            StoreError: The database cannot be reached or written.
        """
        with self._explained(), self.engine.connect() as plain:
            plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"}).begin().rollback()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A time in which no other of Mother's processes writes to a SQLite file that MLflow writes to as well."""
        if self.file is None or not self._is_guest:
            yield
            return
        with turns.turn(self.file):
            yield

    @cached_property
    def _is_guest(self) -> bool:
        """Whether others write to this SQLite file: Mother's own ones are in write-ahead mode."""
        with self._explained(), self.engine.connect() as connection:
            return str(connection.exec_driver_sql("PRAGMA journal_mode").scalar()) != "wal"

    def now(self, connection: Connection) -> float:
        """Unix seconds by the clock that all of the database's users share."""
        if self.dialect == "sqlite":
            return time.time()
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def insert_missing(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that leaves rows alone whose key is there already."""
        if self.dialect == "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing()
        return postgresql.insert(table).on_conflict_do_nothing()

    def upsert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that overwrites rows whose primary key is there already."""
        insert = sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)
        keys = list(table.primary_key.columns)
        rest = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
        return insert.on_conflict_do_update(index_elements=keys, set_=rest)

    def close(self) -> None:
        """Closes all connections; the next use opens new ones."""
        self.engine.dispose()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            reason = " ".join(str(error.orig).split()).rstrip(".")
            raise StoreError(f"Mother's database {self}: {reason}.", remedy_for(reason)) from error


def remedy_for(reason: str) -> str:
    """What to do about a database driver's complaint."""
    fitting = (remedy for words, remedy in _REMEDIES if any(word in reason.lower() for word in words.split("|")))
    return next(fitting, "Check that the database is reachable and writable.")


def _take_turns(connection: Connection, alone: bool) -> None:
    # A client that hangs in the middle of a write must not hold everybody else up for ever. Set here, not as a
    # connection option, which connection poolers refuse.
    connection.execute(
        text(
            "SELECT set_config('lock_timeout', :wait, true),"
            " set_config('idle_in_transaction_session_timeout', :hang, true)"
        ),
        {"wait": f"{BUSY_SECONDS}s", "hang": f"{2 * BUSY_SECONDS}s"},
    )
    lock = func.pg_advisory_xact_lock if alone else func.pg_advisory_xact_lock_shared
    connection.execute(select(lock(_ADVISORY_KEY)))


def batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Cuts items into lists of at most ``size``, small enough for one statement's parameters."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def clean(value: str) -> str:
    """Text without what databases refuse: NUL characters and lone surrogates."""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _parse(uri: str) -> URL:
    try:
        url = make_url(uri)
    except ArgumentError as error:
        raise StoreError(
            "Mother's store URI is not a database URI.", "Use sqlite:///path or postgresql://..."
        ) from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(
            f"Mother keeps its tables in SQLite or PostgreSQL, not in {url.get_backend_name()}.",
            "Set MLFLOW_MOTHER_STORE_URI to a sqlite:/// or postgresql:// URI.",
        )
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise StoreError("Mother's store cannot be kept in memory.", "Use sqlite:///path/to/file.db.")
    return url


def _engine(url: URL, busy_seconds: float) -> Engine:
    if url.get_backend_name() == "postgresql":
        return _postgresql(url)
    engine = create_engine(url, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # The driver would begin transactions on its own, late and deferred; ``begin`` below does it instead.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))

    return engine


def _postgresql(url: URL) -> Engine:
    # Which driver a plain ``postgresql://`` means depends on SQLAlchemy's version; any that is installed will do.
    plain = url.drivername == "postgresql"
    drivers = ("postgresql", "postgresql+psycopg2", "postgresql+psycopg") if plain else (url.drivername,)
    for driver in drivers:
        with suppress(NoSuchModuleError, ModuleNotFoundError):
            named = url.set(drivername=driver)
            return create_engine(named, pool_pre_ping=True, pool_size=2, connect_args=_patience(named))
    raise StoreError(
        f"The driver of {url.drivername} is not installed.", "Run: pip install 'mlflow-mother[postgresql]'."
    )


def _patience(url: URL) -> dict[str, int]:
    """How long to wait for a connection, for a driver that speaks libpq's words, unless the user has said it."""
    said = "connect_timeout" in url.query or "PGCONNECT_TIMEOUT" in os.environ
    understood = url.get_dialect().driver in ("psycopg", "psycopg2")
    return {"connect_timeout": CONNECT_SECONDS} if understood and not said else {}


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _forget_parents_connections() -> None:
    """Lets a forked child open connections of its own instead of sharing its parent's sockets and file locks."""
    for engine in list(_engines):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents_connections)
