"""The rights in PostgreSQL that ``docs/server.md`` asks for are enough, and making tables needs more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres_server import PostgresServer
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from store_samples import REGISTRY, fingerprint, lineage, ref

from mlflow_mother.errors import StoreError
from mlflow_mother.store import Store
from mlflow_mother.types import Status

ROLE = "guest"


@pytest.fixture
def guest(postgres: PostgresServer) -> Iterator[str]:
    """URI of an empty database as somebody who owns nothing in it; their rights go with the test."""
    owner = postgres.create_database()
    database = str(make_url(owner).database)
    _execute(owner, f"CREATE ROLE {ROLE} LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield postgres.uri(database, ROLE)
    _execute(owner, f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}")


def test_who_may_not_make_tables_is_told_so(guest: str) -> None:
    with pytest.raises(StoreError, match="permission denied for schema public"):
        Store.upgrade(guest)


def test_who_may_read_and_write_them_needs_no_more(guest: str) -> None:
    owner = guest.replace(f"://{ROLE}@", "://mother@")
    Store.upgrade(owner)
    engine = create_engine(owner)
    inspected = inspect(engine)
    tables = [name for name in inspected.get_table_names() if name.startswith("mother_")]
    sequences = [name for name in inspected.get_sequence_names() if name.startswith("mother_")]
    engine.dispose()
    assert tables and sequences
    _execute(
        owner,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(tables)} TO {ROLE}",
        f"GRANT USAGE ON SEQUENCE {', '.join(sequences)} TO {ROLE}",
    )
    Store.upgrade(guest)  # nothing to migrate: what a server does when it starts
    with Store.open(guest, local=False) as store:
        assert store.take_lease("worker", "me", 60)
        store.enqueue(ref("a"))
        (claim,) = store.claim("me", 60)
        store.put_fingerprint(ref("a"), fingerprint("d"))
        store.record_inference(ref("a"), lineage(ref("a")), engine="1")
        store.finish(claim, Status.DONE)
        store.decide(ref("a"), "confirmed", None, by="ada")
        store.sync(REGISTRY, [], listed_at=store.now() + 1)
        assert store.versions(REGISTRY) == ()


def _execute(uri: str, *statements: str) -> None:
    engine = create_engine(uri)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()
