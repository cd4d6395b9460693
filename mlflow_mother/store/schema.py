"""Schema revisions: what the database holds, what this release needs, and how to get from one to the other.

Alembic runs only when there is something to migrate; looking up a revision is one SELECT.
"""

from __future__ import annotations

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from mlflow_mother.errors import SchemaOutdatedError, StoreError
from mlflow_mother.store import tables
from mlflow_mother.store.database import Database

REVISION = "0002"
"""The revision that this release needs: the head of ``migrations/``."""

VERSION_TABLE = "mother_alembic_version"
MIGRATIONS = Path(__file__).parent / "migrations"

_alembic = threading.Lock()
"""Alembic keeps its context in module globals."""


def revision(database: Database) -> str | None:
    """The revision that the database holds; None without Mother's tables.

    Raises:
        StoreError: Some of the tables are missing.
    """
    with database.read() as connection:
        return _revision(connection)


def can_migrate(found: str) -> bool:
    """Whether this release knows a revision; a newer release's it does not."""
    return found in _known()


def check(database: Database) -> None:
    """Makes sure that the database holds the revision that this release needs.

    Raises:
        SchemaOutdatedError: It does not; the remedy says what to run.
    """
    file = database.file
    found = revision(database) if file is None or file.exists() else None
    if found == REVISION:
        return
    if found is not None and not can_migrate(found):
        raise _newer(database, found)
    state = "does not hold Mother's tables" if found is None else f"holds Mother's tables at revision {found}"
    raise SchemaOutdatedError(
        f"{database} {state}; this release needs {REVISION}.",
        "Back the database up, then run `mlflow-mother db upgrade` or start the server with Mother's app.",
    )


def upgrade(database: Database) -> None:
    """Brings Mother's tables to :data:`REVISION`; other tables are not looked at. Processes take turns.

    Raises:
        SchemaOutdatedError: The tables were made by a newer release.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _alembic, database.write(alone=True) as connection:
        found = _revision(connection)
        if found is None or (found != REVISION and can_migrate(found)):
            config.attributes["connection"] = connection
            command.upgrade(config, REVISION)
    check(database)


def drop(database: Database) -> None:
    """Drops Mother's tables, as many as there are, and nothing else.

    Raises:
        SchemaOutdatedError: The tables were made by a newer release, which may have more of them.
    """
    with database.write(alone=True) as connection:
        found = _noted(connection)
        if found is not None and not can_migrate(found):
            raise _newer(database, found)
        tables.metadata.drop_all(connection)
        connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))


def use_wal(database: Database) -> None:
    """Switches Mother's own SQLite file to write-ahead logging; a file with anybody else's tables keeps its mode."""
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101  (a pooled connection that is in use has one)
        names = {row[0] for row in driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if all(name.startswith(("mother_", "sqlite_")) for name in names):
            driver.execute("PRAGMA journal_mode = WAL")


def _known() -> set[str]:
    return {path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")}


def _newer(database: Database, found: str) -> SchemaOutdatedError:
    return SchemaOutdatedError(
        f"{database} holds Mother's tables at revision {found} of a newer release; this one knows {REVISION}.",
        "Upgrade mlflow-mother in this environment.",
    )


def _revision(connection: Connection) -> str | None:
    there = set(inspect(connection).get_table_names())
    ours = set(tables.metadata.tables)
    found = _noted(connection)
    # What an interrupted restore of a backup leaves: everything of Mother's is made in one transaction.
    missing = {VERSION_TABLE} if found is None and ours & there else ours - there if found == REVISION else set()
    if missing:
        raise StoreError(
            f"{connection.engine.url.render_as_string()} holds only some of Mother's tables: "
            f"{', '.join(sorted(missing))} is missing or empty.",
            "Restore them from a backup, or drop the rest with `mlflow-mother purge`; `mlflow-mother reconcile` "
            "makes them anew.",
        )
    return found


def _noted(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    return found
