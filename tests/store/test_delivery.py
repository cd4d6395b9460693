from __future__ import annotations

from store_samples import REGISTRY, lineage, ref

from mlflow_mother.store import Store


def record(store: Store, name: str, *parents: str, engine: str = "1") -> None:
    store.enqueue(ref(name))
    edges = [(ref(parent).uri, ref(name).uri) for parent in parents]
    store.record_inference(ref(name), lineage(ref(name), *edges), engine=engine)


def test_a_result_is_pending_until_it_is_known_to_be_written(store: Store) -> None:
    record(store, "a")
    for _ in range(2):
        assert [i.ref for i in store.pending_write_backs(REGISTRY, "tags")] == [ref("a")]
    store.mark_written(ref("a"), 1, "tags")
    store.mark_written(ref("a"), 1, "tags")
    assert store.pending_write_backs(REGISTRY, "tags") == ()
    assert [i.ref for i in store.pending_write_backs(REGISTRY, "artifacts")] == [ref("a")]


def test_a_revision_is_to_be_written_again(store: Store) -> None:
    record(store, "a")
    store.mark_written(ref("a"), 1, "tags")
    record(store, "a", "b")
    (pending,) = store.pending_write_backs(REGISTRY, "tags")
    assert pending.number == 2


def test_a_late_writer_of_an_older_result_is_put_right(store: Store) -> None:
    record(store, "a")
    record(store, "a", "b")
    store.mark_written(ref("a"), 2, "tags")
    store.mark_written(ref("a"), 1, "tags")
    assert [i.number for i in store.pending_write_backs(REGISTRY, "tags")] == [2]


def test_pending_write_backs_keep_to_what_is_asked_for(store: Store) -> None:
    for name in "abc":
        record(store, name)
    assert [i.ref.name for i in store.pending_write_backs(REGISTRY, "tags", limit=2)] == ["a", "b"]
    assert [i.ref.name for i in store.pending_write_backs(REGISTRY, "tags", refs=[ref("c")])] == ["c"]
    assert store.pending_write_backs("another", "tags") == ()


def test_every_committed_result_is_announced_once(store: Store) -> None:
    record(store, "a")
    record(store, "a")
    record(store, "a", "b")
    record(store, "c")
    taken = store.take_notifications("w", registry=REGISTRY)
    assert [(i.ref.name, i.number) for i in taken] == [("a", 1), ("a", 2), ("c", 1)]
    assert store.take_notifications("other", registry=REGISTRY) == ()


def test_notifications_keep_to_the_registry_and_the_limit(store: Store) -> None:
    for name in "ab":
        record(store, name)
    assert store.take_notifications("w", registry="another") == ()
    assert [i.ref.name for i in store.take_notifications("w", registry=REGISTRY, limit=1)] == ["a"]
    assert [i.ref.name for i in store.take_notifications("w", registry=REGISTRY, limit=1)] == ["b"]


def test_a_result_is_written_anew_when_it_may_say_more_or_less_than_before(store: Store) -> None:
    record(store, "a")
    store.mark_written(ref("a"), 1, "tags")
    assert [i.ref for i in store.pending_write_backs(REGISTRY, "own tags")] == [ref("a")]
    store.mark_written(ref("a"), 1, "own tags")
    assert store.pending_write_backs(REGISTRY, "own tags") == ()
    assert [i.ref for i in store.pending_write_backs(REGISTRY, "tags")] == [ref("a")]
