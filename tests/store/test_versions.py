from __future__ import annotations

import numpy as np
import pytest
from store_samples import REGISTRY, fingerprint, lineage, ref

from mlflow_mother.errors import StoreError
from mlflow_mother.store import DeclaredParent, Store
from mlflow_mother.types import ModelVersionRef, Status


def analysed(store: Store, version: ModelVersionRef, parent: ModelVersionRef | None = None, digest: str = "") -> None:
    """Brings one version through the whole pipeline."""
    store.enqueue(version)
    (claim,) = store.claim("w", 60, refs=[version])
    store.put_fingerprint(version, fingerprint(digest or f"digest of {version.uri}"))
    store.record_inference(version, lineage(version, *([(parent.uri, version.uri)] if parent else [])), engine="1")
    store.finish(claim, Status.DONE)


def forget_all_but(store: Store, *present: ModelVersionRef) -> set[ModelVersionRef]:
    return set(store.sync(REGISTRY, present, listed_at=store.now() + 1))


def test_versions_are_listed_by_registration_status_and_name(store: Store) -> None:
    store.enqueue(ref("b"), registered_at=2.0)
    store.enqueue(ref("a"), registered_at=1.0)
    store.enqueue(ref("a", registry="another"))
    store.finish(store.claim("w", 60, refs=[ref("b")])[0], Status.FAILED)
    assert [v.ref for v in store.versions(REGISTRY)] == [ref("a"), ref("b")]
    assert [v.ref for v in store.versions(REGISTRY, status=Status.FAILED)] == [ref("b")]
    assert [v.ref for v in store.versions(REGISTRY, names=["a"])] == [ref("a")]
    assert store.version(ref("c")) is None


def test_counts_add_up(store: Store) -> None:
    analysed(store, ref("a"))
    for name in "bcd":
        store.enqueue(ref(name))
    store.claim("w", 60)
    store.set_ignored(ref("d"), True)
    counts = store.counts(REGISTRY)
    assert counts.by_status == {
        Status.PENDING: 3,
        Status.DONE: 1,
        Status.UNDECIDED: 0,
        Status.UNSUPPORTED: 0,
        Status.FAILED: 0,
    }
    assert (counts.ignored, counts.claimed, counts.queued, counts.unnotified) == (1, 1, 1, 1)


def test_an_ignored_version_is_neither_claimed_nor_a_candidate(store: Store) -> None:
    analysed(store, ref("a"))
    store.enqueue(ref("a"), again=True)
    store.set_ignored(ref("a"), True)
    assert store.claim("w", 60) == ()
    assert store.candidates(REGISTRY, np.ones(3, np.float32), 5) == ()
    store.set_ignored(ref("a"), False)
    assert len(store.claim("w", 60)) == 1
    with pytest.raises(StoreError, match="does not know models:/b/1"):
        store.set_ignored(ref("b"), True)


def test_a_deleted_version_takes_everything_along(store: Store) -> None:
    analysed(store, ref("parent"), digest="p")
    analysed(store, ref("child"), parent=ref("parent"), digest="c")
    store.set_declared(ref("parent"), [DeclaredParent("x", "card")])
    store.decide(ref("parent"), "confirmed", None, by="ann")
    store.put_comparisons({("c", "p"): b"both"}, engine="1")
    assert forget_all_but(store, ref("child")) == {ref("parent")}
    assert store.version(ref("parent")) is None
    assert store.get_fingerprint("p") is None
    assert store.get_fingerprint("c") is not None
    assert store.comparisons(["c", "p"], engine="1") == {}
    assert store.history(ref("parent")) == ()
    assert store.declared(REGISTRY) == {}
    assert store.decisions(REGISTRY) == {}
    assert store.ancestors(ref("child")) == ()


def test_versions_that_descend_from_a_deleted_one_are_done_again(store: Store) -> None:
    analysed(store, ref("parent"))
    analysed(store, ref("child"), parent=ref("parent"))
    analysed(store, ref("stranger"))
    forget_all_but(store, ref("child"), ref("stranger"))
    assert [claim.ref for claim in store.claim("w", 60, 9)] == [ref("child")]


def test_weights_that_another_version_holds_stay(store: Store) -> None:
    analysed(store, ref("a"), digest="same")
    analysed(store, ref("b"), digest="same")
    assert store.same_weights(REGISTRY, "same") == (ref("a"), ref("b"))
    forget_all_but(store, ref("b"))
    assert store.get_fingerprint("same") is not None
    forget_all_but(store)
    assert store.get_fingerprint("same") is None


def test_a_version_that_came_after_the_listing_is_kept(store: Store) -> None:
    listed_at = store.now()
    store.enqueue(ref("new"))
    assert store.sync(REGISTRY, [], listed_at=listed_at) == ()
    assert store.version(ref("new")) is not None


def test_a_partial_listing_forgets_only_what_it_covers(store: Store) -> None:
    for name in "ab":
        store.enqueue(ref(name))
    store.enqueue(ref("a", registry="another"))
    assert store.sync(REGISTRY, [], listed_at=store.now() + 1, names=["a"]) == (ref("a"),)
    assert store.version(ref("b")) is not None
    assert store.version(ref("a", registry="another")) is not None


def test_an_interrupted_fingerprint_of_nobody_is_swept(store: Store) -> None:
    analysed(store, ref("a"), digest="before")
    store.put_fingerprint(ref("a"), fingerprint("after"))
    assert store.get_fingerprint("before") is not None
    forget_all_but(store, ref("a"))
    assert store.get_fingerprint("before") is None


def test_a_renamed_model_keeps_what_is_known_and_its_kin_are_done_again(store: Store) -> None:
    analysed(store, ref("base"))
    analysed(store, ref("base", 2), parent=ref("base"))
    analysed(store, ref("child"), parent=ref("base"))
    analysed(store, ref("base-2"))
    store.decide(ref("child"), "confirmed", ref("base").uri, by="ann")
    store.set_declared(ref("child"), [DeclaredParent(ref("base").uri, "card")])
    assert store.rename(REGISTRY, "base", "trunk") == 2
    assert [v.ref.name for v in store.versions(REGISTRY)] == ["trunk", "trunk", "child", "base-2"]
    assert {kin.ref for kin in store.descendants(ref("trunk"))} == {ref("trunk", 2), ref("child")}
    assert store.decisions(REGISTRY)[ref("child")][0].parent == "models:/trunk/1"
    assert store.declared(REGISTRY)[ref("child")][0].parent == "models:/trunk/1"
    assert store.history(ref("child"))[0].lineage.edges[0].parent == "models:/base/1"
    assert {claim.ref for claim in store.claim("w", 60, 9)} == {ref("trunk"), ref("trunk", 2), ref("child")}


def test_renaming_over_a_deleted_models_name_replaces_it(store: Store) -> None:
    analysed(store, ref("old"), digest="old")
    analysed(store, ref("new"), digest="new")
    store.rename(REGISTRY, "old", "new")
    (version,) = store.versions(REGISTRY)
    assert (version.ref, version.digest) == (ref("new"), "old")


def test_renaming_stays_inside_the_registry(store: Store) -> None:
    elsewhere = ref("a", registry="another")
    store.enqueue(elsewhere)
    assert store.rename(REGISTRY, "a", "b") == 0
    assert store.version(elsewhere) is not None


def test_versions_of_an_older_spec_or_engine_are_outdated(uri: str) -> None:
    with Store.open(uri, local=False, spec="fp/1") as old:
        analysed(old, ref("a"))
        assert old.outdated(REGISTRY) == ()
        assert old.outdated(REGISTRY, engine="1") == ()
        assert old.outdated(REGISTRY, engine="2") == (ref("a"),)
    with Store.open(uri, local=False, spec="fp/2") as new:
        new.enqueue(ref("never-done"))
        assert new.outdated(REGISTRY) == (ref("a"),)
