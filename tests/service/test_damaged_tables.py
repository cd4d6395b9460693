"""Tables that cannot be used leave registrations alone, and there is a way out that loses no version."""

from __future__ import annotations

import sqlite3
import zlib

import pytest
from registry_samples import Bench, finetuned, network

from mlflow_mother.errors import SchemaOutdatedError, StoreError
from mlflow_mother.service import Service
from mlflow_mother.store import schema


@pytest.mark.parametrize("lost", [schema.VERSION_TABLE, "mother_work"])
def test_half_of_the_tables_are_dropped_by_a_purge_and_made_anew(
    sqlite: Bench, caplog: pytest.LogCaptureFixture, lost: str
) -> None:
    sqlite.register("a", network(0))
    _execute(sqlite, f"DROP TABLE {lost}")
    with caplog.at_level("WARNING", "mlflow_mother"):
        missed = sqlite.register("b", network(1))
    assert len(caplog.records) == 1, "one clear warning"
    assert lost in caplog.text and "mlflow-mother purge" in caplog.text
    with pytest.raises(StoreError, match=lost):
        Service().reconcile()
    assert Service().purge().versions == 2
    assert Service().reconcile().by_status["done"] == 2
    assert sqlite.mother(missed)["status"] == "done"


def test_a_newer_release_s_tables_outlive_a_purge_and_its_tags_too(sqlite: Bench) -> None:
    uri = sqlite.register("a", network(0))
    before = sqlite.mother(uri)
    _execute(sqlite, f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    later = sqlite.register("b", network(1))
    for use in (Service().reconcile, Service().purge):
        with pytest.raises(SchemaOutdatedError, match="Upgrade mlflow-mother"):
            use()
    assert sqlite.mother(uri) == before
    _execute(sqlite, f"UPDATE {schema.VERSION_TABLE} SET version_num = '{schema.REVISION}'")
    assert Service().reconcile().by_status["done"] == 2
    assert sqlite.mother(later)["status"] == "done"


@pytest.mark.parametrize("kept", [b"", b"no JSON", b'{"cosine": null}'])
def test_a_comparison_that_cannot_be_read_is_made_again(sqlite: Bench, kept: bytes) -> None:
    sqlite.register("a", network(0))
    service = Service()
    ref = service.registry.parse(sqlite.register("b", finetuned(network(0), 1)))
    before = service.show(ref).edges
    _execute(sqlite, "UPDATE mother_comparisons SET data = ?", zlib.compress(kept))
    assert service.infer(ref).edges == before
    assert before


def _execute(registry: Bench, sql: str, *values: bytes) -> None:
    connection = sqlite3.connect(registry.uri.removeprefix("sqlite:///"))
    connection.execute(sql, values)
    connection.commit()
    connection.close()
