"""Registers from many clients while the server's worker, then the whole server, is killed; counts what is left.

Kills come when a share of all the work is done, registering and analysing alike, so that they hit both. A worker is
killed while it holds claims. The server is killed with all of its processes at once; the worker has to notice.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from benchmarks.server_load.clients import Block, Rest, Task, reported, source_number, started
from benchmarks.server_load.models import SHAPES, parent
from benchmarks.server_load.surroundings import Config, Databases, Server, running

WORKER, SERVER = "worker", "server"
KILLS = ((0.1, WORKER), (0.2, SERVER), (0.3, WORKER), (0.45, WORKER), (0.6, WORKER), (0.8, WORKER))
"""What is killed, and after which share of the work."""

STALL_SECONDS = 300.0
"""What has not come forward for as long as this is lost."""

LOOK_SECONDS = 0.2


class Run:
    """One server, its clients, and the kills.

    Args:
        server: A running server with Mother.
        folder: Where clients report.
        versions: How many are to be registered.
    """

    def __init__(self, server: Server, folder: Path, versions: int) -> None:
        self.server = server
        self.folder = folder
        self.versions = versions
        self.killed: list[dict[str, Any]] = []
        self._engine = create_engine(server.database, pool_pre_ping=True)

    def register(self, tasks: Sequence[Task], kills: Sequence[tuple[float, str]]) -> float:
        """Lets the clients register, kills, and waits until nothing is to be done; seconds that it went on for."""
        began = moved = time.monotonic()
        coming, state = list(kills), ()
        with started(tasks) as clients:
            while any(client.poll() is None for client in clients) or coming or not self._is_over():
                failed = [client.returncode for client in clients if client.returncode]
                assert not failed, f"clients ended with {failed}: see {self.folder}"
                now = self._state()
                if now != state:
                    state, moved = now, time.monotonic()
                elif time.monotonic() - moved > STALL_SECONDS:
                    break
                if coming and sum(now[:2]) >= coming[0][0] * 2 * self.versions and self._kill(coming[0][1]):
                    coming.pop(0)
                time.sleep(LOOK_SECONDS)
        return time.monotonic() - began

    def count(self, sql: str) -> int:
        """The number that a query answers."""
        return int(self.rows(sql)[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """A query's rows."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def close(self) -> None:
        self._engine.dispose()

    def _state(self) -> tuple[int, ...]:
        """Versions registered and analysed, results, write-backs: something of it changes while anything goes on."""
        return (len(reported(self.folder)), *(self.count(sql) for sql in (ANALYSED, RESULTS, WRITTEN)))

    def _kill(self, what: str) -> bool:
        """Kills; False when there is no worker yet, or it has nothing in its hands."""
        worker = self.server.worker()
        if worker is None:
            return False
        held = self.count(f"SELECT count(*) FROM mother_work WHERE owner LIKE '%:{worker}:%'")
        if what == WORKER and not held:
            return False
        registered, analysed = self._state()[:2]
        self.killed.append({"killed": what, "registered": registered, "analysed": analysed, "claimed": held})
        if what == WORKER:
            os.kill(worker, signal.SIGKILL)
        else:
            self.server.kill()
            self.server.restart()
        return True

    def _is_over(self) -> bool:
        """Whether Mother knows as many versions as MLflow, and nothing waits: analyses or write-backs."""
        held = self.count("SELECT count(*) FROM model_versions")
        if held != self.count("SELECT count(*) FROM mother_versions") or self.count("SELECT count(*) FROM mother_work"):
            return False
        return self.count(WRITTEN) == 2 * held


ANALYSED = "SELECT count(*) FROM mother_versions WHERE inference > 0"
RESULTS = "SELECT count(*) FROM mother_inferences"
WRITTEN = (
    "SELECT count(*) FROM mother_versions v JOIN mother_write_backs w"
    " ON w.version_id = v.id AND w.number = v.inference AND w.target IN ('tags', 'artifacts')"
)
"""Tags and artifacts that show their version's current result."""


def measure(
    folder: Path,
    databases: Databases,
    *,
    config: Config,
    versions: int,
    clients: int,
    kills: Sequence[tuple[float, str]] = KILLS,
    seed: int = 0,
) -> dict[str, Any]:
    """One crash run.

    Args:
        folder: An empty folder for everything.
        databases: Where the server gets its own from.
        config: The server.
        versions: How many to register.
        clients: How many processes register, every fourth with MLflow's Python client, the others with REST.
        kills: What is killed, and after which share of the work.
        seed: Of the order in which models are registered: many come before their parents.

    Returns:
        What was found; ``holds`` says whether all that must hold does, ``broken`` what does not.
    """
    numbers = random.Random(seed).sample(range(versions), versions)
    load = os.getloadavg()[0]
    reports = folder / "clients"
    reports.mkdir()
    with running(config, folder, databases.fresh(folder), app="mother") as server:
        owner = Rest(server.address)
        experiment = owner.create_experiment("load")
        for family in range(len(SHAPES)):
            owner.create_model(f"family-{family}")
        shares = [Block(server.address, experiment, numbers[n::clients]) for n in range(clients)]
        tasks = [Task(n, "rest" if n % 4 else "python", str(reports), [share]) for n, share in enumerate(shares)]
        run = Run(server, reports, versions)
        try:
            seconds = run.register(tasks, kills)
            found = _found(run, folder)
        finally:
            run.close()
    lost = broken(found, versions)
    about = {"server": str(config), "clients": clients, "asked for": versions, "load at the start": round(load, 1)}
    return {**about, **found, "seconds": round(seconds), "kills": run.killed, "broken": lost, "holds": not lost}


def _found(run: Run, folder: Path) -> dict[str, Any]:
    answered = reported(run.folder)
    held = {f"models:/{name}/{version}": source_number(source) for name, version, source in run.rows(_HELD)}
    tags: dict[str, dict[str, str]] = {uri: {} for uri in held}
    for name, version, key, value in run.rows(_TAGS):
        tags[f"models:/{name}/{version}"][key.removeprefix("mother.")] = value
    statuses = Counter(own.get("status", "none") for own in tags.values())
    of_itself = sum(own.get("subject", "").partition("#")[0] == uri for uri, own in tags.items())
    results = run.rows(_RESULTS)
    return {
        "acknowledged": len(answered),
        "calls that failed and were made again": sum(line["failures"] for line in answered),
        "in MLflow": len(held),
        "registered twice, the answer being lost": len(held) - len(set(held.values())),
        "acknowledged and not in MLflow": len({line["uri"] for line in answered} - set(held)),
        "known to Mother": run.count("SELECT count(*) FROM mother_versions"),
        "with exactly one current result": sum(current == 1 for _, current, _ in results),
        "analysed more than once": sum(own > 1 for _, _, own in results),
        "waiting": run.count("SELECT count(*) FROM mother_work"),
        "status tags": dict(statuses),
        "tags about the version itself": of_itself,
        "tags and artifacts that show the current result": run.count(WRITTEN),
        "lineage.json files about the version": _files(folder, held),
        "parents": dict(Counter(_judged(number, tags[uri], held) for uri, number in held.items())),
    }


_HELD = "SELECT name, version, source FROM model_versions"
_TAGS = "SELECT name, version, key, value FROM model_version_tags WHERE key LIKE 'mother.%'"
_RESULTS = (
    "SELECT v.id, sum(CASE WHEN i.number = v.inference THEN 1 ELSE 0 END),"
    " sum(CASE WHEN i.reason = '' THEN 1 ELSE 0 END)"
    " FROM mother_versions v LEFT JOIN mother_inferences i ON i.version_id = v.id GROUP BY v.id"
)
"""Of every version: its current results, and how many were made for its own sake and not for a relative's."""


def _files(folder: Path, held: dict[str, int]) -> int:
    subjects = (json.loads(file.read_text())["subject"] for file in folder.glob("artifacts/**/lineage.json"))
    return len(set(subjects) & set(held))


def _judged(number: int, tags: dict[str, str], held: dict[str, int]) -> str:
    """What the tags say of a version's parent, held against the truth."""
    true = {parent(number), number}  # the same model may have been registered twice
    said = tags.get("parent")
    if said is None:
        return "right" if parent(number) is None and tags.get("status") == "done" else "undecided"
    return "right" if held.get(said) in true else "wrong"


def broken(found: Mapping[str, Any], versions: int) -> list[str]:
    """What must hold and does not, of what :func:`measure` found of this many versions."""
    held = found["in MLflow"]
    right: dict[str, Callable[[Any], bool]] = {
        "acknowledged": lambda count: count == versions,
        "acknowledged and not in MLflow": lambda count: count == 0,
        "known to Mother": lambda count: count == held,
        "with exactly one current result": lambda count: count == held,
        "waiting": lambda count: count == 0,
        "status tags": lambda statuses: not set(statuses) - {"done", "undecided"},
        "tags about the version itself": lambda count: count == held,
        "tags and artifacts that show the current result": lambda count: count == 2 * held,
        "lineage.json files about the version": lambda count: count == held,
    }
    return [what for what, holds in right.items() if not holds(found[what])]
