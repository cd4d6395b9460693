"""What a server leaves word of stays until somebody withdraws it."""

from __future__ import annotations

from mlflow_mother.store import Store


def test_a_notice_is_of_one_registry_and_stays_until_it_is_withdrawn(store: Store) -> None:
    assert not store.has_notice("own", "quiet")
    for _ in range(2):
        store.leave_notice("own", "quiet")
    assert store.has_notice("own", "quiet")
    assert not store.has_notice("own", "loud")
    assert not store.has_notice("other", "quiet")
    for _ in range(2):
        store.withdraw_notice("own", "quiet")
    assert not store.has_notice("own", "quiet")
