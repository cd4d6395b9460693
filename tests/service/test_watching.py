"""Stopping in the middle, hints, and what is new at the top of the list."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from registry_samples import Bench, finetuned, network

from mlflow_mother.registry import news
from mlflow_mother.registry.news import News
from mlflow_mother.service import Service, watching, worker
from mlflow_mother.service.watching import Watcher

ROOT = network(0, width=32, layers=3)


def _watcher(service: Service, say: Callable[[str], None], full_every: float = 3600) -> Watcher:
    return Watcher(service, interval=3600, full_every=full_every, say=say)


def test_a_stop_ends_with_the_version_at_hand_and_holds_on_to_nothing(quiet: Bench, service: Service) -> None:
    uris = [quiet.register("a", finetuned(ROOT, seed)) for seed in range(4)]
    finished: list[int] = []
    for asked in range(3, 8):
        # Asked whether to stop: before a batch, before each reading, after the readings, after each conclusion.
        answers = iter([False] * asked)
        service.reconciler(stopping=lambda answers=answers: next(answers, True)).run()
        finished.append(sum(quiet.mother(uri).get("status", "pending") != "pending" for uri in uris))
        counts = service.store.counts(service.registry.id)
        assert counts.claimed == 0
        assert counts.queued >= len(uris) - finished[-1]
        if finished[-1] == len(uris):
            break
    assert finished[0] == 1, "the one that was at hand, and no other"
    service.reconcile()
    assert "pending" not in {quiet.mother(uri)["status"] for uri in uris}


def test_hints_are_followed_at_once_and_a_flood_of_them_means_everything(
    quiet: Bench, service: Service, monkeypatch
) -> None:
    monkeypatch.setattr(watching, "MOST_HINTS", 3)
    said: list[str] = []
    heard = threading.Condition()

    def say(event: str) -> None:
        with heard:
            said.append(event)
            heard.notify_all()

    def waits_for(*words: str) -> None:
        with heard:
            assert heard.wait_for(lambda: any(all(word in event for word in words) for event in said), 30), said

    watcher = _watcher(service, say)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        waits_for("reconciled")
        quiet.register("a", ROOT)
        watcher.hint("a", "1")
        waits_for("models:/a/1 done")
        watcher.hint("nobody", "1")
        waits_for("models:/nobody/1", "not in the registry")
        said.clear()
        quiet.register("b", finetuned(ROOT, 1))
        for number in range(20):
            watcher.hint("nobody", str(number))
        waits_for("reconciled: 1 analysed")
    finally:
        watcher.stop()
        thread.join(30)
    assert said[-1] == "stopped"


def test_news_are_what_came_since_the_last_look(quiet: Bench, service: Service, monkeypatch) -> None:
    monkeypatch.setattr(news, "PAGE", 2)
    quiet.register("a", ROOT)
    top = News(service.registry)
    assert top.look() == [], "the first look only remembers"
    for _ in range(5):
        quiet.register("b", ROOT)
    quiet.client.set_registered_model_tag("b", "mother.ignore", "true")
    found = top.look()
    assert {version.ref.uri for version in found} == {f"models:/b/{number}" for number in range(1, 6)}
    assert all(version.ignored for version in found)
    assert top.look() == []
    quiet.client.delete_registered_model("a")
    quiet.client.delete_registered_model("b")
    quiet.register("b", ROOT)
    assert [version.ref.uri for version in top.look()] == ["models:/b/1"], "registered anew under its number"


def test_prompts_are_no_news(quiet: Bench, service: Service) -> None:
    top = News(service.registry)
    top.look()
    quiet.client.register_prompt("greeting", "Hello {{name}}")
    assert top.look() == []


def test_a_version_that_cannot_be_done_now_is_tried_less_and_less_often(
    quiet: Bench, service: Service, monkeypatch
) -> None:
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(worker, "LONGEST_RETRY_SECONDS", 0.2)
    ref = service.registry.parse(quiet.register("a", ROOT))
    service.enqueue(ref)
    pauses: list[float] = []
    for _ in range(4):
        while not (claims := service.worker().claim(1, [ref])):
            time.sleep(0.01)
        pauses.append(time.monotonic())
        service.worker().work(claims, max_bytes=0)
    gaps = [later - earlier for earlier, later in pairwise(pauses)]
    assert all(gap >= least for gap, least in zip(gaps, (0.05, 0.1, 0.2), strict=True)), gaps
    known = service.store.version(ref)
    assert known is not None and known.status.value == "pending" and known.reason


def test_a_hint_at_what_one_may_not_read_or_name_is_left_out_alone(
    quiet: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet.register("a", ROOT)
    client, refused = service.registry.client, threading.Event()
    get = client.get_model_version

    def forbid(name: str, version: str) -> object:
        if name == "secret":
            refused.set()
            raise MlflowException("Permission denied", error_code=PERMISSION_DENIED)
        return get(name, version)

    monkeypatch.setattr(client, "get_model_version", forbid)
    said: list[str] = []
    watcher = _watcher(service, said.append)
    watcher.hint("secret", "1")
    watcher.hint("no/name", "1")
    watcher.hint("a", "1")
    watcher._next_full = watcher._next_news = time.monotonic() + 3600  # everything was reconciled just now
    watcher._rest(time.monotonic() + 1)
    watcher._look()
    assert refused.is_set()
    assert quiet.mother("models:/a/1")["status"] == "done", "the others go on"
    assert [event for event in said if "models:/secret/1" in event and "Permission denied" in event]
    assert [event for event in said if "models:/no/name/1" in event and "left out" in event]


def test_a_version_that_was_postponed_is_read_before_it_is_compared(
    quiet: Bench, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of a batch may take longer than the pause of a version that could not be read."""
    monkeypatch.setattr(worker, "RETRY_SECONDS", 0.0)
    ref = service.registry.parse(quiet.register("a", ROOT))
    service.enqueue(ref)
    service.worker().work(service.worker().claim(1, [ref]), max_bytes=0)
    known = service.store.version(ref)
    assert known is not None and known.status.value == "pending", known
