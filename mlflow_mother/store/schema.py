"""Schema revisions: what the database holds, what this release needs, and how to get from one to the other.

Alembic runs only when there is something to migrate; looking up a revision is one SELECT.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from pathlib import Path

from sqlalchemy import Connection, inspect, select, text

from mlflow_mother.errors import SchemaOutdatedError, StoreError
from mlflow_mother.store import tables
from mlflow_mother.store.database import Database
from mlflow_mother.store.versions import forget_registries

REVISION = "0003"
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


def check_not_newer(database: Database) -> None:
    """Makes sure that this release knows the tables, if there are any, whatever state they are in.

    Raises:
        SchemaOutdatedError: They were made by a newer release.
    """
    with database.read() as connection:
        _refuse_newer(database, connection)


def drop(database: Database, registries: Collection[str] | None = None) -> frozenset[str]:
    """Drops Mother's tables, as many as there are, and nothing else.

    Args:
        database: Where they are.
        registries: Drop what is known of these, and the tables only when no other registry is in them. Tables that
            are damaged, or not of this release's revision, are dropped whoever is in them.

    Returns:
        The other registries, for which the tables stay.

    Raises:
        SchemaOutdatedError: The tables were made by a newer release, which may have more of them.
    """
    with database.write(alone=True) as connection:
        _refuse_newer(database, connection)
        others = frozenset[str]() if registries is None else _registries(connection).difference(registries)
        if others and registries is not None:
            forget_registries(connection, registries)
        else:
            tables.metadata.drop_all(connection)
            connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
        return others


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


def _registries(connection: Connection) -> frozenset[str]:
    """The registries in the tables; none where these cannot be used as they are."""
    try:
        usable = _revision(connection) == REVISION
    except StoreError:
        usable = False
    return frozenset(connection.scalars(select(tables.versions.c.registry).distinct()) if usable else ())


def _refuse_newer(database: Database, connection: Connection) -> None:
    found = _noted(connection)
    if found is not None and not can_migrate(found):
        raise _newer(database, found)


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
