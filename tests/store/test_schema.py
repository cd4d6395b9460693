from __future__ import annotations

import socket
import sqlite3
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url, text
from store_processes import in_processes
from store_samples import REGISTRY, ref

from mlflow_mother.errors import SchemaOutdatedError, StoreError
from mlflow_mother.store import Store, schema, tables
from mlflow_mother.store import database as databases
from mlflow_mother.store.database import Database, remedy_for
from mlflow_mother.store.notices import NAMES_WITHHELD


def _open_local(number: int, uri: str) -> None:
    with Store.open(uri, local=True) as store:
        assert store.enqueue(ref(f"a{number}"))


def _upgrade(_number: int, uri: str) -> None:
    Store.upgrade(uri)


def query(uri: str, sql: str) -> list[tuple[object, ...]]:
    engine = create_engine(uri)
    with engine.begin() as connection:
        result = connection.execute(text(sql))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


def table_names(uri: str) -> set[str]:
    engine = create_engine(uri)
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


def journal_mode(path: Path) -> object:
    return query(f"sqlite:///{path}", "PRAGMA journal_mode")[0][0]


def test_a_local_file_makes_itself(tmp_path: Path) -> None:
    path = tmp_path / "home" / "registry.db"
    for _ in range(2):
        with Store.open(f"sqlite:///{path}", local=True) as store:
            store.enqueue(ref("a"))
            assert len(store.versions(REGISTRY)) == 1
    assert journal_mode(path) == "wal"


def test_a_local_file_migrates_itself(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/registry.db"
    query(uri, f"CREATE TABLE {schema.VERSION_TABLE} (version_num VARCHAR(32) NOT NULL)")
    with Store.open(uri, local=True) as store:
        store.check()


def test_a_shared_database_is_only_upgraded_on_purpose(empty_uri: str) -> None:
    with pytest.raises(SchemaOutdatedError, match=r"does not hold Mother's tables.*`mlflow-mother db upgrade`"):
        Store.open(empty_uri, local=False)
    Store.upgrade(empty_uri)
    Store.upgrade(empty_uri)
    with Store.open(empty_uri, local=False) as store:
        assert store.versions(REGISTRY) == ()


def test_looking_for_a_shared_file_does_not_create_it(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    with pytest.raises(SchemaOutdatedError):
        Store.open(f"sqlite:///{path}", local=False)
    assert not path.exists()


@pytest.mark.parametrize("local", [True, False])
def test_a_newer_releases_tables_are_left_alone(uri: str, local: bool) -> None:
    query(uri, f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    try:
        with pytest.raises(SchemaOutdatedError, match=r"revision 9999 of a newer release.*Upgrade mlflow-mother"):
            Store.open(uri, local=local)
        with pytest.raises(SchemaOutdatedError, match="9999"):
            Store.upgrade(uri)
    finally:
        query(uri, f"UPDATE {schema.VERSION_TABLE} SET version_num = '{schema.REVISION}'")


def test_the_migrations_make_the_tables_of_the_code(empty_uri: str) -> None:
    Store.upgrade(empty_uri)
    engine = create_engine(empty_uri)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()


def test_the_code_needs_the_newest_migration() -> None:
    assert ScriptDirectory(str(schema.MIGRATIONS)).get_heads() == [schema.REVISION]


def test_every_table_carries_the_prefix() -> None:
    assert all(name.startswith("mother_") for name in [*tables.metadata.tables, schema.VERSION_TABLE])


def test_a_purge_leaves_nothing_of_mother_and_everything_else(empty_uri: str) -> None:
    query(empty_uri, "CREATE TABLE mother_in_law (id INTEGER)")
    Store.upgrade(empty_uri)
    with Store.open(empty_uri, local=False) as store:
        store.enqueue(ref("a"))
        store.purge()
        with pytest.raises(SchemaOutdatedError):
            store.check()
    assert table_names(empty_uri) == {"mother_in_law"}
    Store.upgrade(empty_uri)


def test_a_purge_for_one_registry_leaves_another_its_part(uri: str) -> None:
    mine, other = ref("a"), ref("a").model_copy(update={"registry": "other"})
    with Store.open(uri, local=False) as store:
        for one in (mine, other):
            store.enqueue(one)
            store.leave_notice(one.registry, NAMES_WITHHELD)
        assert schema.drop(store._database, {REGISTRY}) == {"other"}
        store.check()
        assert store.versions(REGISTRY) == ()
        assert [known.ref for known in store.versions("other")] == [other]
        assert [store.has_notice(one.registry, NAMES_WITHHELD) for one in (mine, other)] == [False, True]


def test_a_purge_for_all_registries_in_the_tables_drops_them(empty_uri: str) -> None:
    Store.upgrade(empty_uri)
    with Store.open(empty_uri, local=False) as store:
        store.enqueue(ref("a"))
        assert schema.drop(store._database, {REGISTRY, "empty"}) == frozenset()
    assert table_names(empty_uri) == set()


# MLflow's own mappers use a loader strategy that SQLAlchemy 2.1 deprecates.
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:sqlalchemy.exc.SADeprecationWarning")
def test_mlflow_and_mother_share_a_database_without_noticing(empty_uri: str, backend: str) -> None:
    from mlflow.store.db import utils as mlflow_db
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    with Store.open(empty_uri, local=True) as early:  # Mother may even come first
        assert early.versions(REGISTRY) == ()
    registry = SqlAlchemyStore(empty_uri)
    registry.create_registered_model("a")
    of_mlflow = table_names(empty_uri) - set(tables.metadata.tables) - {schema.VERSION_TABLE}
    engine = create_engine(empty_uri)
    mlflow_db._upgrade_db(engine)
    mlflow_db._verify_schema(engine)
    with Store.open(empty_uri, local=False) as store:
        registry.create_model_version("a", "s3://a")
        store.enqueue(ref("a"))
        assert store.versions(REGISTRY)[0].ref == ref("a")
        store.purge()
    mlflow_db._verify_schema(engine)
    assert table_names(empty_uri) == of_mlflow
    assert [v.version for v in registry.search_model_versions("name = 'a'")] == [1]
    engine.dispose()
    registry.engine.dispose()


def test_the_journal_mode_of_somebody_elses_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    query(f"sqlite:///{path}", "CREATE TABLE experiments (id INTEGER)")
    with Store.open(f"sqlite:///{path}", local=True) as store:
        store.enqueue(ref("a"))
    assert journal_mode(path) == "delete"


def test_eight_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/registry.db"
    in_processes(8, _open_local, uri)


def test_upgrading_a_shared_database_takes_turns(empty_uri: str) -> None:
    in_processes(8, _upgrade, empty_uri)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("mysql+pymysql://u:secret@host/db", "SQLite or PostgreSQL, not in mysql"),
        ("sqlite://", "cannot be kept in memory"),
        ("not a uri", "not a database URI"),
        ("postgresql+nosuchdriver://u:secret@host/db", r"driver of postgresql\+nosuchdriver is not installed"),
    ],
)
def test_other_databases_are_refused_with_a_remedy(bad: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        Store.open(bad, local=True)
    assert "secret" not in str(caught.value)


def test_a_plain_postgresql_uri_uses_whichever_driver_is_there() -> None:
    assert Database("postgresql://u@host/db").engine.driver in {"psycopg", "psycopg2"}


def test_an_unreachable_server_is_named_without_its_password() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9/db.*Check that the database is reachable") as caught:
        Store.open("postgresql+psycopg2://u:secret@127.0.0.1:9/db", local=False)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_a_server_that_does_not_answer_is_not_waited_for_long(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(driver)
    monkeypatch.setattr(databases, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel connects, and nobody speaks
        began = time.monotonic()
        with pytest.raises(StoreError):
            Store.open(f"postgresql+{driver}://u@127.0.0.1:{silent.getsockname()[1]}/db", local=False)
    assert 1 < time.monotonic() - began < 6


def test_whoever_says_how_long_to_wait_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_url("postgresql+psycopg2://u@host/db")
    assert databases._patience(plain) == {"connect_timeout": databases.CONNECT_SECONDS}
    assert databases._patience(plain.set(query={"connect_timeout": "60"})) == {}
    assert databases._patience(plain.set(drivername="postgresql+pg8000")) == {}, "it has another word for it"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "60")
    assert databases._patience(plain) == {}


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be made.*MLFLOW_MOTHER_HOME"):
        Store.open(f"sqlite:///{tmp_path}/file/home/registry.db", local=True)


def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(f"sqlite:///{path}", local=True)


@pytest.mark.parametrize("lost", [schema.VERSION_TABLE, "mother_work"])
def test_tables_of_which_some_are_missing_are_named_with_a_way_out(tmp_path: Path, lost: str) -> None:
    uri = f"sqlite:///{tmp_path}/registry.db"
    with Store.open(uri, local=True) as store:
        store.enqueue(ref("a"))
    query(uri, f"DROP TABLE {lost}")
    with pytest.raises(StoreError, match=rf"{lost} is missing.*`mlflow-mother purge`"):
        Store.open(uri, local=True)
    with pytest.raises(StoreError, match=lost):
        Store.upgrade(uri)


@pytest.mark.parametrize(
    ("complaint", "remedy"),
    [
        ("database is locked", "wait for it"),
        ("canceling statement due to lock timeout", "wait for it"),
        ("database or disk is full", "Make room"),
        ('could not extend file "base/1": No space left on device', "Make room"),
        ("attempt to write a readonly database", "MLFLOW_MOTHER_HOME"),
        ("database disk image is malformed", "backup"),
        ("connection refused", "reachable"),
    ],
)
def test_a_database_s_complaint_has_a_remedy(complaint: str, remedy: str) -> None:
    assert remedy in remedy_for(complaint)


def test_trying_to_write_changes_nothing_and_says_who_is_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    Store.open(f"sqlite:///{path}", local=True).close()
    before = path.read_bytes()
    database = Database(f"sqlite:///{path}", busy_seconds=0.1)
    database.try_write()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"locked.*wait for it or end it"):
        database.try_write()
    holder.close()
    database.close()
    assert path.read_bytes() == before
