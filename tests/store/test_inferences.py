from __future__ import annotations

import zlib

import pytest
from sqlalchemy import create_engine, update
from store_samples import REGISTRY, lineage, ref

from mlflow_mother.errors import StoreError
from mlflow_mother.store import DeclaredParent, Kin, Store
from mlflow_mother.store.tables import inferences
from mlflow_mother.types import Relation


@pytest.fixture
def family(store: Store) -> Store:
    """base -> a -> (unregistered) -> leaf, base -> b, and a ? c undecided."""
    for name in ("base", "a", "b", "c", "leaf"):
        store.enqueue(ref(name))
    base, a, b, c, leaf = (ref(name).uri for name in ("base", "a", "b", "c", "leaf"))
    store.record_inference(ref("base"), lineage(ref("base"), (base, a), (base, b)), engine="1")
    store.record_inference(ref("a"), lineage(ref("a"), (base, a)), engine="1")
    store.record_inference(ref("b"), lineage(ref("b"), (base, b)), engine="1")
    store.record_inference(ref("c"), lineage(ref("c"), (a, c), undecided=True), engine="1")
    hidden = "unregistered:1"
    store.record_inference(ref("leaf"), lineage(ref("leaf"), (hidden, leaf), (a, hidden), (base, a)), engine="1")
    return store


def test_an_identical_result_is_committed_once(store: Store) -> None:
    store.enqueue(ref("a"))
    result = lineage(ref("a"), (ref("b").uri, ref("a").uri))
    assert store.record_inference(ref("a"), result, engine="1", reason="registered")
    assert not store.record_inference(ref("a"), result, engine="1", reason="again")
    (only,) = store.history(ref("a"))
    assert (only.number, only.lineage, only.engine, only.reason) == (1, result, "1", "registered")


def test_history_keeps_every_result_and_the_newest_is_current(store: Store) -> None:
    store.enqueue(ref("a"))
    first = lineage(ref("a"))
    second = lineage(ref("a"), (ref("b").uri, ref("a").uri))
    for result in (first, second, first):
        assert store.record_inference(ref("a"), result, engine="1")
    assert store.record_inference(ref("a"), first, engine="2")
    assert [(i.number, i.lineage, i.engine) for i in store.history(ref("a"))] == [
        (1, first, "1"), (2, second, "1"), (3, first, "1"), (4, first, "2"),
    ]  # fmt: skip
    current = store.current_inference(ref("a"))
    assert current is not None
    assert current.number == 4
    assert store.edges(REGISTRY) == ()


def test_current_inferences_come_for_the_whole_registry_or_some_versions(family: Store) -> None:
    assert len(family.current_inferences(REGISTRY)) == 5
    assert set(family.current_inferences(REGISTRY, [ref("a"), ref("unknown")])) == {ref("a")}
    assert family.current_inference(ref("unknown")) is None


def test_a_lineage_of_another_subject_is_refused(store: Store) -> None:
    store.enqueue(ref("a"))
    with pytest.raises(StoreError, match="A lineage of models:/b/1 cannot be models:/a/1's"):
        store.record_inference(ref("a"), lineage(ref("b")), engine="1")


def test_a_result_for_a_forgotten_version_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match="does not know models:/a/1"):
        store.record_inference(ref("a"), lineage(ref("a")), engine="1")


def test_a_result_that_this_release_cannot_read_is_left_out(store: Store, uri: str) -> None:
    store.enqueue(ref("a"))
    store.record_inference(ref("a"), lineage(ref("a")), engine="1")
    engine = create_engine(uri)
    with engine.begin() as connection:
        connection.execute(update(inferences).values(lineage=zlib.compress(b'{"from": "the future"}')))
    engine.dispose()
    assert store.current_inference(ref("a")) is None
    assert store.record_inference(ref("a"), lineage(ref("a")), engine="1")
    assert [i.number for i in store.history(ref("a"))] == [2]


def test_edges_of_a_subject_are_those_that_lead_to_it(family: Store) -> None:
    edges = {(e.subject.name, e.parent, e.child, e.direction) for e in family.edges(REGISTRY)}
    assert edges == {
        ("a", "models:/base/1", "models:/a/1", "decided"),
        ("b", "models:/base/1", "models:/b/1", "decided"),
        ("c", "models:/a/1", "models:/c/1", "undecided"),
        ("leaf", "models:/a/1", "unregistered:1", "decided"),
        ("leaf", "unregistered:1", "models:/leaf/1", "decided"),
    }
    (edge,) = family.edges(REGISTRY, [ref("b")])
    assert (edge.relation, edge.probability, edge.weight) == (Relation.FINETUNE, 0.9, 1.0)


def test_ancestors_lead_over_unregistered_ones_and_not_over_undecided_edges(family: Store) -> None:
    assert family.ancestors(ref("leaf")) == (Kin(ref("a"), 1), Kin(ref("base"), 2))
    assert family.ancestors(ref("base")) == ()
    assert family.ancestors(ref("c")) == ()


def test_descendants_are_found_generation_by_generation(family: Store) -> None:
    assert family.descendants(ref("base")) == (Kin(ref("a"), 1), Kin(ref("b"), 1), Kin(ref("leaf"), 2))
    assert [edge.subject for edge in family.children(ref("a"))] == [ref("leaf")]
    assert family.children(ref("leaf")) == ()


def test_a_cycle_of_contradicting_inferences_ends(store: Store) -> None:
    for name, parent in (("a", "b"), ("b", "a")):
        store.enqueue(ref(name))
        store.record_inference(ref(name), lineage(ref(name), (ref(parent).uri, ref(name).uri)), engine="1")
    assert store.ancestors(ref("a")) == (Kin(ref("b"), 1),)
    assert store.descendants(ref("a")) == (Kin(ref("b"), 1),)


def test_a_merge_has_two_parents_and_is_met_once(store: Store) -> None:
    for name in ("root", "left", "right", "merge"):
        store.enqueue(ref(name))
    root, left, right, merge = (ref(name).uri for name in ("root", "left", "right", "merge"))
    store.record_inference(ref("left"), lineage(ref("left"), (root, left)), engine="1")
    store.record_inference(ref("right"), lineage(ref("right"), (root, right)), engine="1")
    store.record_inference(ref("merge"), lineage(ref("merge"), (left, merge), (right, merge)), engine="1")
    assert store.ancestors(ref("merge")) == (Kin(ref("left"), 1), Kin(ref("right"), 1), Kin(ref("root"), 2))
    assert store.descendants(ref("root"))[-1] == Kin(ref("merge"), 2)


def test_equal_names_in_another_registry_are_no_kin(family: Store) -> None:
    stranger = ref("a", registry="another")
    family.enqueue(stranger)
    assert family.descendants(stranger) == ()
    assert family.children(stranger) == ()


def test_declared_parents_are_replaced_as_a_whole(store: Store) -> None:
    store.enqueue(ref("a"))
    store.enqueue(ref("b"))
    store.set_declared(ref("a"), [DeclaredParent("old", "card")])
    both = (DeclaredParent("org/base", "model-card"), DeclaredParent("models:/b/1", "run-inputs"))
    store.set_declared(ref("a"), both)
    assert store.declared(REGISTRY) == {ref("a"): both}
    assert store.declared(REGISTRY, [ref("b")]) == {}
    store.set_declared(ref("a"), [])
    assert store.declared(REGISTRY) == {}


def test_decisions_are_kept_in_order_and_apart_from_inferences(store: Store) -> None:
    store.enqueue(ref("a"))
    store.record_inference(ref("a"), lineage(ref("a")), engine="1")
    store.decide(ref("a"), "rejected", "models:/b/1", by="ann", note="different data")
    last = store.decide(ref("a"), "corrected", None, by="bob")
    made = store.decisions(REGISTRY, [ref("a")])[ref("a")]
    assert [(d.kind, d.parent, d.by, d.note) for d in made] == [
        ("rejected", "models:/b/1", "ann", "different data"),
        ("corrected", None, "bob", ""),
    ]
    assert made[-1] == last
    assert made[0].at <= made[1].at
    assert len(store.history(ref("a"))) == 1
    with pytest.raises(StoreError, match="does not know"):
        store.decide(ref("b"), "confirmed", None, by="ann")
