from __future__ import annotations

import time
from dataclasses import replace

from store_samples import REGISTRY, ref

from mlflow_mother.store import Registration, Store
from mlflow_mother.types import Status

EXPIRED = 0.0
"""A lease that has run out as soon as it is given."""


def test_queueing_twice_is_queueing_once(store: Store) -> None:
    assert store.enqueue(ref("a"), source="s3://a", registered_at=10.0)
    assert not store.enqueue(ref("a"), source="s3://a", registered_at=10.0)
    assert len(store.claim("w", 60, limit=9)) == 1


def test_a_claimed_version_is_nobody_elses(store: Store) -> None:
    store.enqueue(ref("a"))
    assert store.claim("first", 60)
    assert store.claim("second", 60) == ()


def test_a_claim_tells_what_a_worker_needs(store: Store) -> None:
    store.enqueue(ref("a"), source="s3://a", registered_at=10.0)
    (claim,) = store.claim("w", 60)
    assert (claim.ref, claim.source, claim.registered_at, claim.attempt) == (ref("a"), "s3://a", 10.0, 1)
    assert 50 < claim.lease_until - store.now() <= 60


def test_work_whose_lease_ran_out_is_found_again(store: Store) -> None:
    store.enqueue(ref("a"))
    store.claim("killed", EXPIRED)
    (again,) = store.claim("w", 60)
    assert (again.ref, again.attempt) == (ref("a"), 2)


def test_only_the_later_of_two_holders_can_finish(store: Store) -> None:
    store.enqueue(ref("a"))
    (slow,) = store.claim("w", EXPIRED)
    (quick,) = store.claim("w", 60)
    assert not store.heartbeat(slow, 60)
    assert not store.release(slow)
    assert not store.finish(slow, Status.FAILED, "too late")
    assert store.finish(quick, Status.DONE)
    version = store.version(ref("a"))
    assert version is not None
    assert (version.status, version.reason) == (Status.DONE, "")


def test_a_finished_version_is_not_queued_again_unless_asked(store: Store) -> None:
    store.enqueue(ref("a"))
    store.finish(store.claim("w", 60)[0], Status.UNSUPPORTED, "no reader")
    assert not store.enqueue(ref("a"))
    assert store.claim("w", 60) == ()
    assert store.enqueue(ref("a"), again=True)
    assert [claim.ref for claim in store.claim("w", 60)] == [ref("a")]


def test_a_request_during_the_work_means_another_round(store: Store) -> None:
    store.enqueue(ref("a"))
    (claim,) = store.claim("w", 60)
    store.enqueue(ref("a"), again=True)
    assert store.claim("other", 60) == ()
    assert store.finish(claim, Status.DONE)
    (second,) = store.claim("w", 60)
    assert second.attempt == 1
    assert store.finish(second, Status.DONE)
    assert store.claim("w", 60) == ()


def test_a_claim_that_was_ended_is_worth_nothing_to_its_own_holder(store: Store) -> None:
    store.enqueue(ref("a"))
    (first,) = store.claim("w", 60)
    store.enqueue(ref("a"), again=True)
    store.finish(first, Status.DONE)
    (second,) = store.claim("w", 60)
    assert not store.finish(first, Status.FAILED)
    assert not store.release(first)
    assert store.finish(second, Status.DONE)
    store.enqueue(ref("a"), again=True)
    store.claim("w", 60)
    assert not store.finish(second, Status.FAILED)


def test_a_heartbeat_prolongs_the_lease(store: Store) -> None:
    store.enqueue(ref("a"))
    (claim,) = store.claim("w", 0.3)
    assert store.heartbeat(claim, 60)
    time.sleep(0.4)
    assert store.claim("other", 60) == ()


def test_a_released_version_waits_until_its_retry(store: Store) -> None:
    store.enqueue(ref("a"))
    (claim,) = store.claim("w", 60)
    assert store.release(claim, reason="storage was down", retry_in=0.3)
    assert store.claim("w", 60) == ()
    time.sleep(0.4)
    (again,) = store.claim("w", 60)
    version = store.version(ref("a"))
    assert version is not None
    assert again.attempt == 2
    assert (version.status, version.reason) == (Status.PENDING, "storage was down")


def test_the_oldest_registration_is_served_first(store: Store) -> None:
    store.enqueue(ref("unknown-time"))
    store.enqueue(ref("late"), registered_at=20.0)
    store.enqueue(ref("early"), registered_at=10.0)
    assert [claim.ref.name for claim in store.claim("w", 60, limit=3)] == ["early", "late", "unknown-time"]


def test_claims_keep_to_the_registry_and_versions_asked_for(store: Store) -> None:
    store.enqueue_many([Registration(ref("a", v)) for v in range(1, 6)])
    store.enqueue(ref("a", registry="another"))
    assert {claim.ref for claim in store.claim("w", 60, 9, registry="another")} == {ref("a", registry="another")}
    chosen = [ref("a", 2), ref("a", 4)]
    assert {claim.ref for claim in store.claim("w", 60, 9, refs=chosen)} == set(chosen)
    assert store.claim("w", 60, 9, refs=[]) == ()
    assert {claim.ref.version for claim in store.claim("w", 60, 2, registry=REGISTRY)} <= {"1", "3", "5"}


def test_a_thousand_versions_are_queued_at_once(store: Store) -> None:
    registrations = [Registration(ref("a", v), registered_at=float(v)) for v in range(1000)]
    assert len(store.enqueue_many(registrations)) == 1000
    assert store.enqueue_many(registrations) == ()
    assert len(store.claim("w", 60, 2000, refs=[item.ref for item in registrations])) == 1000


def test_a_version_deleted_and_registered_anew_starts_afresh(store: Store) -> None:
    store.enqueue(ref("a"), registered_at=10.0)
    store.finish(store.claim("w", 60)[0], Status.DONE)
    assert store.enqueue(ref("a"), registered_at=500.0)
    version = store.version(ref("a"))
    assert version is not None
    assert (version.status, version.registered_at) == (Status.PENDING, 500.0)


def test_what_a_later_trigger_knows_is_filled_in(store: Store) -> None:
    store.enqueue(ref("a"))
    store.enqueue(ref("a"), source="s3://a", registered_at=10.0)
    store.enqueue(ref("a"))
    version = store.version(ref("a"))
    assert version is not None
    assert (version.source, version.registered_at) == ("s3://a", 10.0)


def test_text_that_databases_refuse_is_cleaned(store: Store) -> None:
    store.enqueue(ref("a"))
    assert store.finish(store.claim("w", 60)[0], Status.FAILED, "header \x00\udcff of ümlaut.pth")
    version = store.version(ref("a"))
    assert version is not None
    assert version.reason == "header ? of ümlaut.pth"


def test_finishing_a_deleted_version_does_nothing(store: Store) -> None:
    store.enqueue(ref("a"))
    (claim,) = store.claim("w", 60)
    store.sync(REGISTRY, [], listed_at=store.now() + 1)
    assert not store.finish(claim, Status.DONE)
    assert not store.finish(replace(claim, ref=ref("never")), Status.DONE)
    assert store.versions(REGISTRY) == ()
