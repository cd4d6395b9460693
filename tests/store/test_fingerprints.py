from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from store_samples import REGISTRY, fingerprint, ref

from mlflow_mother.errors import StoreError
from mlflow_mother.store import Registration, Store, StoredFingerprint


def put(store: Store, name: str, coarse: list[float], digest: str = "") -> None:
    store.enqueue(ref(name))
    store.put_fingerprint(ref(name), fingerprint(digest or name, coarse))


def near(store: Store, coarse: list[float], limit: int = 9, **options: object) -> list[str]:
    found = store.candidates(REGISTRY, np.array(coarse, np.float32), limit, **options)  # type: ignore[arg-type]
    return [candidate.digest for candidate in found]


def test_a_fingerprint_comes_back_as_it_went_in(store: Store) -> None:
    store.enqueue(ref("a"))
    data = bytes(range(256)) * 4000
    store.put_fingerprint(ref("a"), StoredFingerprint("d", data, np.ones(1024, np.float32), parameters=1 << 40))
    assert store.get_fingerprint("d") == data
    assert store.get_fingerprint("e") is None
    version = store.version(ref("a"))
    assert version is not None
    assert (version.digest, version.spec) == ("d", store.spec)


def test_equal_weights_share_one_fingerprint(store: Store) -> None:
    put(store, "a", [1, 0], digest="same")
    put(store, "b", [1, 0], digest="same")
    (candidate,) = store.candidates(REGISTRY, np.array([1, 0], np.float32), 9)
    assert candidate.refs == (ref("a"), ref("b"))
    assert candidate.signature == "shapes"


def test_a_copy_takes_over_a_known_fingerprint(store: Store) -> None:
    put(store, "a", [1, 0])
    store.enqueue(ref("copy"))
    assert not store.share_fingerprint(ref("copy"), "unknown")
    assert store.share_fingerprint(ref("copy"), "a")
    assert store.same_weights(REGISTRY, "a") == (ref("a"), ref("copy"))


def test_a_fingerprint_needs_a_known_version(store: Store) -> None:
    with pytest.raises(StoreError, match="does not know models:/a/1"):
        store.put_fingerprint(ref("a"), fingerprint("d"))
    with pytest.raises(StoreError, match="does not know models:/a/1"):
        store.share_fingerprint(ref("a"), "d")
    assert store.get_fingerprint("d") is None


def test_a_coarse_vector_of_more_than_4_kb_is_refused(store: Store) -> None:
    store.enqueue(ref("a"))
    with pytest.raises(StoreError, match="1 to 1024 values"):
        store.put_fingerprint(ref("a"), fingerprint("d", [1.0] * 1025))


def test_the_nearest_come_first_whatever_their_sign_and_length(store: Store) -> None:
    put(store, "far", [0, 1])
    put(store, "near", [30, 1])
    put(store, "opposite", [-1, 0.01])
    put(store, "middle", [1, 1])
    assert near(store, [2, 0]) == ["opposite", "near", "middle", "far"]
    assert near(store, [2, 0], limit=2) == ["opposite", "near"]
    assert near(store, [2, 0], exclude=["opposite"]) == ["near", "middle", "far"]
    cosines = [c.cosine for c in store.candidates(REGISTRY, np.array([2, 0], np.float32), 3)]
    assert cosines == pytest.approx([-0.99995, 0.999445, 0.70711], abs=1e-5)


def test_candidates_follow_what_other_processes_add_and_delete(store: Store, uri: str) -> None:
    put(store, "a", [1, 0])
    assert near(store, [1, 0]) == ["a"]
    with Store.open(uri, local=False) as other:
        put(other, "b", [1, 0.1])
        assert near(store, [1, 0]) == ["a", "b"]
        other.sync(REGISTRY, [ref("b")], listed_at=other.now() + 1)
    assert near(store, [1, 0]) == ["b"]


def test_candidates_stay_inside_the_registry_and_the_spec(store: Store, uri: str) -> None:
    put(store, "a", [1, 0])
    elsewhere = ref("b", registry="another")
    store.enqueue(elsewhere)
    store.put_fingerprint(elsewhere, fingerprint("b", [1, 0]))
    assert near(store, [1, 0]) == ["a"]
    with Store.open(uri, local=False, spec="next") as newer:
        assert near(newer, [1, 0]) == []
        assert newer.get_fingerprint("a") is None


def test_a_vector_without_a_direction_is_nobodys_relative(store: Store) -> None:
    put(store, "empty", [0, 0])
    put(store, "nan", [float("nan"), 1])
    put(store, "other", [1, 0])
    found = store.candidates(REGISTRY, np.array([1, 0], np.float32), 9)
    assert [(c.digest, c.cosine) for c in found] == [("other", 1.0), ("empty", 0.0), ("nan", 0.0)]
    assert {c.cosine for c in store.candidates(REGISTRY, np.zeros(2, np.float32), 9)} == {0.0}


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(vectors=arrays(np.float32, (6, 5), elements=st.floats(-1, 1, width=32)))
def test_candidates_are_those_of_a_plain_search(store: Store, vectors: np.ndarray) -> None:
    registry = f"registry of {vectors.tobytes().hex()}"
    names = [f"{i}-{hash(vectors.tobytes())}" for i in range(5)]
    store.enqueue_many([Registration(ref(name, registry=registry)) for name in names])
    for name, vector in zip(names, vectors, strict=False):
        store.put_fingerprint(ref(name, registry=registry), fingerprint(name, vector.tolist()))
    norms = np.linalg.norm(vectors.astype(float), axis=1)
    units = vectors / np.where(norms == 0, 1, norms)[:, None]
    expected = np.abs(units[:5] @ units[5])
    found = store.candidates(registry, vectors[5], 5)
    assert [abs(c.cosine) for c in found] == pytest.approx(sorted(expected, reverse=True), abs=1e-5)
    assert {c.digest: abs(c.cosine) for c in found} == pytest.approx(dict(zip(names, expected, strict=True)), abs=1e-5)


def test_many_fingerprints_are_read_in_one_call(store: Store) -> None:
    for name in "abc":
        put(store, name, [1, 0])
    assert store.get_fingerprints(["a", "c", "x"]) == {"a": b"fingerprint of a", "c": b"fingerprint of c"}


def test_comparisons_are_found_by_their_two_ends(store: Store) -> None:
    store.put_comparisons({("a", "b"): b"ab", ("a", "c"): b"ac", ("b", "b"): b"bb"}, engine="1")
    assert store.comparisons(["a", "b"], engine="1") == {("a", "b"): b"ab", ("b", "b"): b"bb"}
    assert store.comparisons([], engine="1") == {}
    many = ["a", "c", *(f"x{i}" for i in range(700))]
    assert store.comparisons(many, engine="1") == {("a", "c"): b"ac"}


def test_a_newer_engines_comparison_replaces_the_older_ones(store: Store) -> None:
    store.put_comparisons({("a", "b"): b"old"}, engine="1")
    store.put_comparisons({("a", "b"): b"new"}, engine="2")
    assert store.comparisons(["a", "b"], engine="1") == {}
    assert store.comparisons(["a", "b"], engine="2") == {("a", "b"): b"new"}
