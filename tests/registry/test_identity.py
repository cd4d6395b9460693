"""One registry has one id in every process, without secrets, and one store."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_mother.registry.identity import canonical, store_address
from mlflow_mother.settings import Settings


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:////data/mlflow.db", "sqlite:////data/mlflow.db"),
        ("sqlite:////data/mlflow.db?timeout=5", "sqlite:////data/mlflow.db"),
        ("HTTP://User:secret@Host.example:80/ml/?token=x", "http://host.example/ml"),
        ("https://host.example:8443", "https://host.example:8443"),
        ("postgresql+psycopg2://u:p@db:5432/mlflow?sslmode=require", "postgresql://db:5432/mlflow"),
        ("mysql+pymysql://u:p@db/mlflow", "mysql://db/mlflow"),
        ("file:///data/mlruns", "file:///data/mlruns"),
        ("/data/mlruns", "file:///data/mlruns"),
        ("databricks", "databricks"),
        ("sqlite://", "sqlite://"),
    ],
)
def test_addresses_have_one_spelling_and_no_secret(uri: str, expected: str) -> None:
    assert canonical(uri) == expected


def test_a_relative_sqlite_file_means_the_same_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = store_address("sqlite:///mlflow.db", None, Settings())
    assert address.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert canonical("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("uri", "own", "shared"),
    [
        ("sqlite:////data/mlflow.db", True, False),
        ("postgresql://u:p@db/mlflow", True, True),
        ("mysql://u:p@db/mlflow", False, False),
        ("http://host:5000", False, False),
        ("file:///data/mlruns", False, False),
        ("sqlite://", False, False),
    ],
)
def test_the_store_is_the_registrys_own_database_or_a_local_file(
    tmp_path: Path, uri: str, own: bool, shared: bool
) -> None:
    address = store_address(uri, None, Settings(home=tmp_path))
    assert (address.registry == "own", address.shared) == (own, shared)
    assert address.uri == uri if own else address.uri.startswith(f"sqlite:///{tmp_path}/")
    if not own:
        assert address.registry == canonical(uri)


def test_registries_on_one_host_get_files_of_their_own(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    uris = ["http://host:5000", "http://host:5001", "http://host:5000/a", "http://host:5000/b"]
    assert len({store_address(uri, None, settings).uri for uri in uris}) == len(uris)
    assert store_address("http://host:5000/", None, settings) == store_address("http://HOST:5000", None, settings)


def test_workspaces_are_registries_of_their_own_and_default_is_none(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    plain = store_address("http://host:5000", None, settings)
    assert store_address("http://host:5000", "default", settings) == plain
    team = store_address("http://host:5000", "team", settings)
    assert (team.uri, team.registry) == (plain.uri, f"{plain.registry}#team")


def test_a_store_set_by_hand_tells_registries_apart() -> None:
    settings = Settings(store_uri="postgresql://u:p@db/mother")
    address = store_address("http://host:5000", None, settings)
    assert (address.uri, address.shared, address.registry) == (settings.store_uri, True, "http://host:5000")
    assert store_address("postgresql://db/mother", None, settings).registry == "own"
