"""Bulk reading: what has changed, and what many versions are like, at once."""

from __future__ import annotations

import numpy as np
from store_samples import REGISTRY, fingerprint, lineage, ref

from mlflow_mother.fingerprint.format import to_bytes
from mlflow_mother.fingerprint.record import SPEC
from mlflow_mother.store import FingerprintFacts, Store, StoredFingerprint
from mlflow_mother.testing import trees
from mlflow_mother.types import Status


def test_a_stamp_says_which_versions_have_changed(store: Store) -> None:
    for name in "abc":
        store.enqueue(ref(name))
    before = store.stamp(REGISTRY)
    assert store.stamp(REGISTRY) == before and store.stamp("another").rows == {}
    (claim,) = store.claim("w", 60, refs=[ref("b")])
    assert store.stamp(REGISTRY) == before
    store.finish(claim, Status.FAILED, "torn")
    after = store.stamp(REGISTRY)
    (key,) = after.changed(before) or ()
    assert after != before and after.version(key) == store.version(ref("b"))
    store.decide(ref("a"), "corrected", None, by="ada")
    assert store.stamp(REGISTRY) != after and store.stamp(REGISTRY).changed(after) == set()
    store.enqueue(ref("d"))
    assert len(store.stamp(REGISTRY).changed(after) or ()) == 1


def test_a_stamp_does_not_bridge_what_is_gone_or_renamed(store: Store) -> None:
    for name in "ab":
        store.enqueue(ref(name))
    before = store.stamp(REGISTRY)
    store.rename(REGISTRY, "a", "z")
    renamed = store.stamp(REGISTRY)
    assert renamed.changed(before) is None
    store.sync(REGISTRY, [ref("b")], listed_at=store.now() + 1)
    assert store.stamp(REGISTRY).changed(renamed) is None


def test_edges_come_by_version_and_without_evidence(store: Store) -> None:
    for name in "abc":
        store.enqueue(ref(name))
    store.record_inference(ref("b"), lineage(ref("b"), ("models:/a/1", "models:/b/1")), engine="e")
    store.record_inference(ref("c"), lineage(ref("c"), ("models:/b/1", "models:/c/1")), engine="e")
    found = store.edges_by_version(REGISTRY)
    stamp = store.stamp(REGISTRY)
    by_name = {stamp.version(key).ref.name: [edge.parent for edge in edges] for key, edges in found.items()}
    assert by_name == {"b": ["models:/a/1"], "c": ["models:/b/1"]}
    last = max(found)
    assert store.edges_by_version(REGISTRY, [last]) == {last: found[last]}
    assert store.edges_by_version(REGISTRY, []) == {} == store.edges_by_version("another")


def test_facts_come_from_the_heads_of_fingerprints(store: Store) -> None:
    real = trees.fingerprint(trees.root(0))
    store.spec = SPEC
    for name in "ab":
        store.enqueue(ref(name))
    coarse = np.ones(3, np.float32)
    store.put_fingerprint(ref("a"), StoredFingerprint("d", to_bytes(real), coarse, "s", real.parameters))
    store.put_fingerprint(ref("b"), fingerprint("garbage"))
    facts = store.fingerprint_facts(["d", "garbage", "unknown"])
    assert facts == {"d": FingerprintFacts(real.parameters, len(real.names), real.format)}


def test_when_inferences_were_made(store: Store) -> None:
    for name in "ab":
        store.enqueue(ref(name))
    store.record_inference(ref("a"), lineage(ref("a")), engine="one")
    store.record_inference(ref("a"), lineage(ref("a")), engine="two")
    found = store.made(REGISTRY, [ref("a"), ref("b")])
    assert found[ref("a")].engine == "two" and found[ref("a")].at > 0 and set(found) == {ref("a")}


def test_a_versions_place_in_the_queue(store: Store) -> None:
    for number, name in enumerate("cab"):
        store.enqueue(ref(name), registered_at=float(number))
    store.enqueue(ref("other", registry="another"), registered_at=0.5)
    assert store.waiting(ref("unknown")) is None
    place = store.waiting(ref("b"))
    assert place is not None and not place.working
    assert place.ahead == (ref("c"), ref("other", registry="another"), ref("a"))
    store.set_ignored(ref("c"), True)
    (claim,) = store.claim("w", 60, refs=[ref("b")])
    place = store.waiting(ref("b"))
    assert place is not None and (place.ahead, place.working) == ((), True)
    store.finish(claim, Status.DONE)
    assert store.waiting(ref("b")) is None and store.waiting(ref("c")) is None
