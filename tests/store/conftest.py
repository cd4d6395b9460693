"""Stores on both databases: every test here runs on SQLite and on a private PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import create_engine, text

from mlflow_mother.store import Store
from mlflow_mother.store.tables import metadata

BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """URI of the PostgreSQL database that tests share, one after the other: making one takes long."""
    uri = postgres.create_database()
    Store.upgrade(uri)
    return uri


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty_uri(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """URI of an empty database."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path}/mother.db"
    return str(request.getfixturevalue("postgres").create_database())


@pytest.fixture
def uri(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """URI of a database that holds Mother's tables."""
    if backend == "postgresql":
        shared = str(request.getfixturevalue("migrated"))
        engine = create_engine(shared)
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE " + ", ".join(table.name for table in metadata.sorted_tables)))
        engine.dispose()
        return shared
    made = f"sqlite:///{tmp_path}/mother.db"
    if backend == "sqlite-wal":
        Store.open(made, local=True).close()
    else:
        Store.upgrade(made)
    return made


@pytest.fixture
def store(uri: str) -> Iterator[Store]:
    with Store.open(uri, local=False) as opened:
        yield opened
