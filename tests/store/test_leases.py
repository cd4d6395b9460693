"""Of all processes that want a name, one has it."""

from __future__ import annotations

from pathlib import Path

from store_processes import in_processes
from store_samples import REGISTRY, ref

from mlflow_mother.store import Store


def test_a_name_has_one_holder(store: Store) -> None:
    assert store.lease("worker") is None
    assert store.take_lease("worker", "first", 60)
    assert not store.take_lease("worker", "second", 60)
    assert store.take_lease("another", "second", 60)
    found = store.lease("worker")
    assert found is not None
    assert (found.owner, found.held) == ("first", True)


def test_a_holder_prolongs_and_is_heard_of(store: Store) -> None:
    store.take_lease("worker", "first", 60)
    before = store.lease("worker")
    assert store.take_lease("worker", "first", 60)
    after = store.lease("worker")
    assert before is not None
    assert after is not None
    assert after.renewed_at > before.renewed_at


def test_a_holder_that_is_not_heard_of_loses_the_name(store: Store) -> None:
    store.take_lease("worker", "killed", 0)
    found = store.lease("worker")
    assert found is not None
    assert not found.held
    assert store.take_lease("worker", "second", 60)
    assert not store.take_lease("worker", "killed", 60)


def test_only_the_holder_gives_a_name_back(store: Store) -> None:
    store.take_lease("worker", "first", 60)
    store.return_lease("worker", "second")
    assert not store.take_lease("worker", "second", 60)
    store.return_lease("worker", "first")
    assert store.lease("worker") is None
    assert store.take_lease("worker", "second", 60)


def _want(number: int, uri: str, folder: str) -> None:
    with Store.open(uri, local=False) as store:
        if store.take_lease("worker", f"process {number}", 60):
            Path(folder, str(number)).touch()


def test_of_eight_processes_one_gets_the_name(uri: str, tmp_path: Path) -> None:
    holders = tmp_path / "holders"
    holders.mkdir()
    in_processes(8, _want, uri, str(holders))
    assert len(list(holders.iterdir())) == 1


def test_due_work_is_named_by_its_registry(store: Store) -> None:
    assert store.due() == frozenset()
    store.enqueue(ref("a"))
    assert store.due() == {REGISTRY}
    (claim,) = store.claim("w", 60)
    assert store.due() == frozenset()
    store.release(claim, retry_in=60)
    assert store.due() == frozenset()
