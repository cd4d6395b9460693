"""How long a registration takes with Mother and without, in alternating runs on fresh databases.

Only the client's call that registers is timed; making the run and sending the files is not. Every client registers
some versions first, so that no process of the server answers for the first time, and with Mother these are analysed
before the clock runs: her worker is up then, and works on what is being timed while it is timed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.server_load.clients import Rest, Task, name_of, reported, started
from benchmarks.server_load.surroundings import Config, Databases, Server, running

GOAL = 1.1
WARMUP = 6
"""Versions that each client registers before the clock runs."""

READY_SECONDS = 300.0
DRAWS = 4000
_Times = npt.NDArray[np.float64]


def measure(
    folder: Path, databases: Databases, *, config: Config, versions: int, clients: int, pairs: int
) -> dict[str, Any]:
    """Runs in pairs, the order changing from one to the next.

    Args:
        folder: An empty folder for everything.
        databases: Where servers get theirs from.
        config: The server.
        versions: How many registrations are timed in a run.
        clients: How many processes register, each one version after the other.
        pairs: Runs with and without Mother.

    Returns:
        What was found; ``holds`` says whether the interval reaches the goal.
    """
    with_mother: list[_Times] = []
    without: list[_Times] = []
    loads = []
    for pair in range(pairs):
        for mother in ((True, False), (False, True))[pair % 2]:
            own = folder / f"{pair}-{'with' if mother else 'without'}"
            own.mkdir()
            loads.append(round(os.getloadavg()[0], 1))
            times = _run(own, databases.fresh(own), config, versions, clients, mother)
            (with_mother if mother else without).append(times)
    ratios = {q: bootstrap(with_mother, without, q) for q in (50, 95)}
    return {
        "server": str(config),
        "clients": clients,
        "registrations a run": len(without[0]),
        "load before each run": loads,
        "without, p50 and p95 in ms": [_ms(times) for times in without],
        "with, p50 and p95 in ms": [_ms(times) for times in with_mother],
        "ratio of p50, with 95 % interval": ratios[50],
        "ratio of p95, with 95 % interval": ratios[95],
        "goal": GOAL,
        "holds": ratios[95][1] <= GOAL,
    }


def bootstrap(new: Sequence[_Times], old: Sequence[_Times], percentile: float, seed: int = 0) -> list[float]:
    """The ratio of two percentiles, geometric mean over pairs of runs, and its 95 % interval.

    Pairs are drawn with replacement, and registrations within the runs drawn.

    Args:
        new: Seconds, run by run.
        old: Those of the other runs of the pairs.
        percentile: Which one.
        seed: Of the draws.

    Returns:
        The ratio, and the ends of its interval.
    """
    random, pairs = np.random.default_rng(seed), list(zip(new, old, strict=True))

    def drawn(times: _Times) -> float:
        return float(np.percentile(random.choice(times, len(times)), percentile))

    draws = [
        np.mean(
            [np.log(drawn(a) / drawn(b)) for a, b in (pairs[i] for i in random.integers(len(pairs), size=len(pairs)))]
        )
        for _ in range(DRAWS)
    ]
    whole = np.mean([np.log(np.percentile(a, percentile) / np.percentile(b, percentile)) for a, b in pairs])
    return [round(float(np.exp(value)), 3) for value in (whole, *np.percentile(draws, (2.5, 97.5)))]


def _run(folder: Path, database: str, config: Config, versions: int, clients: int, mother: bool) -> _Times:
    """Seconds of every registration of one run."""
    share = WARMUP + versions // clients
    tasks: list[Task] = []
    environment = {} if mother else {"MLFLOW_MOTHER_ENABLED": "false"}
    with running(config, folder, database, app="mother" if mother else "", environment=environment) as server:
        owner = Rest(server.address)
        experiment = owner.create_experiment("load")
        for client in range(clients):
            numbers = range(client, share * clients, clients)
            tasks.append(
                Task(server.address, experiment, client, "rest", numbers, str(folder), WARMUP, True, persistent=False)
            )
        for name in sorted({name_of(task, number) for task in tasks for number in task.numbers}):
            owner.create_model(name)
        with started(tasks) as processes:
            _wait(folder, clients, server, mother)
            (folder / "go").touch()
            codes = [process.wait(READY_SECONDS) for process in processes]
    assert not any(codes), f"clients ended with {codes}: see {folder}"
    return np.array([line["seconds"] for line in reported(folder) if line["warm"]])


def _wait(folder: Path, clients: int, server: Server, mother: bool) -> None:
    """Waits until all clients are warm, and Mother has done what they have registered."""
    deadline = time.monotonic() + READY_SECONDS
    while len(list(folder.glob("warm-*"))) < clients or (mother and not _is_idle(server, clients * WARMUP)):
        assert time.monotonic() < deadline, f"not ready: see {folder}"
        time.sleep(0.2)


def _is_idle(server: Server, versions: int) -> bool:
    (known,), (waiting,) = server.query(
        "SELECT count(*) FROM mother_versions UNION ALL SELECT count(*) FROM mother_work"
    )
    return known == versions and not waiting


def _ms(times: _Times) -> list[float]:
    return [round(float(np.percentile(times, q)) * 1000, 1) for q in (50, 95)]
