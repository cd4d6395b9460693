"""Many processes at once, and processes that are killed: nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, event
from store_processes import context, in_processes
from store_samples import REGISTRY, fingerprint, lineage, ref

from mlflow_mother.store import Claim, Registration, Store
from mlflow_mother.types import ModelVersionRef, Status


@pytest.fixture(params=["sqlite", "sqlite-wal", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


SHARED_WEIGHTS = 10
"""How many versions hold the same weights."""


def registrations(count: int) -> list[Registration]:
    return [Registration(ref(f"m{i % 20}", i), f"s3://{i}", float(i)) for i in range(count)]


def digest_of(version: ModelVersionRef) -> str:
    return f"digest-{int(version.version) // SHARED_WEIGHTS}"


def analyse(store: Store, claim: Claim, owner: str, world: Path) -> None:
    """The steps of a worker; ``world`` plays MLflow (a file a version) and a hook (a line a call)."""
    version = claim.ref
    coarse = np.random.default_rng(int(version.version)).standard_normal(8).astype(np.float32)
    store.put_fingerprint(version, fingerprint(digest_of(version), coarse.tolist()))
    found = store.candidates(REGISTRY, coarse, 5)
    digests = sorted({candidate.digest for candidate in found})
    store.put_comparisons({(a, b): b"{}" for a in digests for b in digests if a <= b}, engine="1")
    parent = ref("m0", 0).uri
    store.record_inference(
        version, lineage(version, *([(parent, version.uri)] if parent != version.uri else [])), engine="1"
    )
    for inference in store.pending_write_backs(REGISTRY, "tags", refs=[version]):
        (world / f"{version.name}-{version.version}.tags").write_text(str(inference.number))
        store.mark_written(version, inference.number, "tags")
    for inference in store.take_notifications(owner, registry=REGISTRY):
        with (world / "calls").open("a") as calls:
            calls.write(f"{inference.ref.uri} {inference.number}\n")
    store.finish(claim, Status.DONE)


def work_off(store: Store, owner: str, world: Path, lease: float) -> None:
    while True:
        claims = store.claim(owner, lease, registry=REGISTRY)
        for claim in claims:
            analyse(store, claim, owner, world)
        if not claims:
            counts = store.counts(REGISTRY)
            if counts.queued + counts.claimed == 0:
                return
            time.sleep(0.02)


def register_and_work(number: int, uri: str, world: Path, count: int) -> None:
    with Store.open(uri, local=False) as store:
        mine = registrations(count)
        random.Random(number).shuffle(mine)
        for item in mine[: count // 4]:  # several processes hear of the same registration
            store.enqueue(item.ref, source=item.source, registered_at=item.registered_at)
        for item in registrations(count)[number::8]:
            store.enqueue(item.ref, source=item.source, registered_at=item.registered_at)
        work_off(store, f"worker-{number}", world, lease=60)


def assert_all_done_once(store: Store, world: Path, count: int, *, calls_may_be_lost: bool = False) -> None:
    versions = store.versions(REGISTRY)
    assert [v.ref for v in versions] == [item.ref for item in registrations(count)]
    assert {v.status for v in versions} == {Status.DONE}
    assert [v.source for v in versions] == [item.source for item in registrations(count)]
    for version in versions:
        assert len(store.history(version.ref)) == 1
        assert version.digest == digest_of(version.ref)
        assert (world / f"{version.ref.name}-{version.ref.version}.tags").read_text() == "1"
    assert store.get_fingerprints([digest_of(v.ref) for v in versions]).keys() == {digest_of(v.ref) for v in versions}
    assert len(store.descendants(ref("m0", 0))) == count - 1
    assert store.pending_write_backs(REGISTRY, "tags") == ()
    calls = Counter((world / "calls").read_text().splitlines())
    assert set(calls.values()) == {1}
    assert store.counts(REGISTRY).unnotified == 0
    if not calls_may_be_lost:
        assert calls.keys() == {f"{v.ref.uri} 1" for v in versions}


@pytest.mark.parametrize(
    ("backend", "count"),
    [
        ("sqlite", 60),
        ("postgresql", 60),
        *(pytest.param(one, 200, marks=pytest.mark.full) for one in ("sqlite", "postgresql", "sqlite-wal")),
    ],
    indirect=["backend"],
)
def test_eight_processes_register_and_analyse_each_version_once(
    store: Store, uri: str, tmp_path: Path, count: int
) -> None:
    in_processes(8, register_and_work, uri, tmp_path, count)
    assert_all_done_once(store, tmp_path, count)


def die_at_edge(number: int) -> None:
    """Lets this process kill itself at the n-th edge of a transaction, before it begins or before it commits.

    A transaction is either in the database or not, so that these are all the states that a killed process can leave.
    """
    left = [number]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "begin", count)
    event.listen(Engine, "commit", count)


def kill_at_every_edge(_number: int, uri: str, world: Path) -> None:
    """Forks one worker after the other, each with a version of its own, until one gets through alive."""
    first, *others = registrations(500)
    with Store.open(uri, local=False) as store:
        store.enqueue_many([first])
        work_off(store, "first", world, lease=60)  # the workers inherit the compiled statements
        for number, item in enumerate(others, 1):
            store.enqueue_many([item])
            worker = os.fork()
            if worker == 0:
                die_at_edge(number)
                for claim in store.claim(f"killed-{number}", 0.05, refs=[item.ref]):
                    analyse(store, claim, f"killed-{number}", world)
                os._exit(0)
            how = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
            if how == 0:
                (world / "survivor").write_text(str(number))
                return
            assert how == -signal.SIGKILL
    raise AssertionError("no worker got through")


def test_a_worker_killed_at_any_edge_of_a_transaction_leaves_work_that_ends_once(
    store: Store, uri: str, tmp_path: Path
) -> None:
    in_processes(1, kill_at_every_edge, uri, tmp_path)
    survivor = int((tmp_path / "survivor").read_text())
    assert survivor > 15
    time.sleep(0.1)
    work_off(store, "finisher", tmp_path, lease=60)
    assert_all_done_once(store, tmp_path, survivor + 1, calls_may_be_lost=True)


def work_under_fire(number: int, uri: str, world: Path) -> None:
    with Store.open(uri, local=False) as store:
        work_off(store, f"worker-{number}-{os.getpid()}", world, lease=0.5)


@pytest.mark.parametrize(
    "backend", ["sqlite", "postgresql", pytest.param("sqlite-wal", marks=pytest.mark.full)], indirect=True
)
def test_workers_killed_at_random_lose_nothing(store: Store, uri: str, tmp_path: Path) -> None:
    store.enqueue_many(registrations(60))
    dice = random.Random(1)
    crowd = [context.Process(target=work_under_fire, args=(i, uri, tmp_path)) for i in range(4)]
    for process in crowd:
        process.start()
    for _ in range(16):
        time.sleep(dice.uniform(0.02, 0.15))
        victim = dice.randrange(len(crowd))
        crowd[victim].kill()
        crowd[victim].join()
        crowd[victim] = context.Process(target=work_under_fire, args=(victim, uri, tmp_path))
        crowd[victim].start()
    for process in crowd:
        process.join()
        assert process.exitcode == 0
    assert_all_done_once(store, tmp_path, 60, calls_may_be_lost=True)


def fork_and_enqueue(_number: int, uri: str) -> None:
    with Store.open(uri, local=False) as store:
        store.enqueue(ref("a"))
        child = os.fork()
        if child == 0:
            store.enqueue(ref("b"))
            store.close()
            os._exit(0)
        os.waitpid(child, 0)
        store.enqueue(ref("c"))


def test_a_forked_child_does_not_share_its_parents_connections(store: Store, uri: str) -> None:
    in_processes(1, fork_and_enqueue, uri)
    assert [v.ref.name for v in store.versions(REGISTRY)] == ["a", "b", "c"]
