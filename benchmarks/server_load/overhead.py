"""How long a registration takes with Mother and without: two servers, timed in turns.

Both have fresh databases, which grow alike. Clients register a block of versions with the one, then a block of the
same models with the other, and so on; the order changes from pair to pair. So what else the machine does meanwhile
falls on both. A block without Mother begins when she has done all that the blocks before have given her to do: her
worker works on what is being timed, while it is timed. Only the client's call that registers is timed; making the run
and sending the files is not. A block for each server comes first and does not count, so that no process answers for
the first time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.server_load.clients import Block, Rest, Task, finished, name_of, release, reported, started
from benchmarks.server_load.surroundings import Config, Databases, Server, processor_seconds, running

GOAL = 1.1
READY_SECONDS = 600.0
DRAWS = 4000

_Times = npt.NDArray[np.float64]


def measure(
    folder: Path, databases: Databases, *, config: Config, versions: int, clients: int, pairs: int
) -> dict[str, Any]:
    """Times blocks in pairs.

    Args:
        folder: An empty folder for everything.
        databases: Where servers get theirs from.
        config: Both servers.
        versions: How many registrations are timed with each server, at least.
        clients: How many processes register, each one version after the other.
        pairs: Blocks with and without Mother.

    Returns:
        What was found; ``holds`` says whether the interval reaches the goal.
    """
    share = -(-versions // (clients * pairs))
    reports = folder / "clients"
    reports.mkdir()
    loads: list[float] = []
    taken = np.zeros((2, 2, 2))  # in whose blocks, by whose server, by its processes and its worker
    with ExitStack() as stack:
        servers = []
        for app in ("mother", ""):
            own = folder / (app or "plain")
            own.mkdir()
            off = {} if app else {"MLFLOW_MOTHER_ENABLED": "false"}
            servers.append(stack.enter_context(running(config, own, databases.fresh(own), app=app, environment=off)))
        order = [0, 1] + [server for pair in range(pairs) for server in ((0, 1), (1, 0))[pair % 2]]
        tasks = _tasks(servers, order, share, clients, reports)
        processes = stack.enter_context(started(tasks))
        for block, which in enumerate(order):
            loads.append(round(os.getloadavg()[0], 1))
            before = np.array([processor_seconds(server) for server in servers])
            if block:
                release(reports, block)
            _wait(lambda block=block: finished(reports, block) == clients, processes)
            if which == 0:
                known = clients * share * order[: block + 1].count(0)
                _wait(lambda known=known: _is_idle(servers[0], known), processes)
            if block > 1:
                taken[which] += np.array([processor_seconds(server) for server in servers]) - before
    lines = reported(reports)
    times = [np.array([line["seconds"] for line in lines if line["block"] == block]) for block in range(len(order))]
    with_mother = [times[block] for block in range(2, len(order)) if order[block] == 0]
    without = [times[block] for block in range(2, len(order)) if order[block] == 1]
    ratios = {q: bootstrap(with_mother, without, q) for q in (50, 95)}
    return {
        "server": str(config),
        "clients": clients,
        "pairs": pairs,
        "registrations with each": int(sum(map(len, without))),
        "load before each block": loads,
        "without, p50 and p95 in ms": _ms(without),
        "with, p50 and p95 in ms": _ms(with_mother),
        "ratio of p50, with 95 % interval": ratios[50],
        "ratio of p95, with 95 % interval": ratios[95],
        "processor ms of the server a version, without and with": [_each(taken[i, i, 0], without) for i in (1, 0)],
        "processor ms of Mother's worker a version": _each(taken[0, 0, 1], without),
        "processor ms of Mother's server, worker included, a version of the other's": _each(taken[1, 0].sum(), without),
        "goal": GOAL,
        "holds": ratios[95][1] <= GOAL,
    }


def bootstrap(new: Sequence[_Times], old: Sequence[_Times], percentile: float, seed: int = 0) -> list[float]:
    """The ratio of two percentiles, geometric mean over pairs of blocks, and its 95 % interval.

    Pairs are drawn with replacement, and registrations within the blocks drawn.

    Args:
        new: Seconds, block by block.
        old: Those of the other blocks of the pairs.
        percentile: Which one.
        seed: Of the draws.

    Returns:
        The ratio, and the ends of its interval.
    """
    random, pairs = np.random.default_rng(seed), list(zip(new, old, strict=True))

    def drawn(times: _Times) -> float:
        return float(np.percentile(random.choice(times, len(times)), percentile))

    draws = []
    for _ in range(DRAWS):
        chosen = [pairs[i] for i in random.integers(len(pairs), size=len(pairs))]
        draws.append(np.mean([np.log(drawn(a) / drawn(b)) for a, b in chosen]))
    whole = np.mean([np.log(np.percentile(a, percentile) / np.percentile(b, percentile)) for a, b in pairs])
    return [round(float(np.exp(value)), 3) for value in (whole, *np.percentile(draws, (2.5, 97.5)))]


def _tasks(servers: Sequence[Server], order: Sequence[int], share: int, clients: int, reports: Path) -> list[Task]:
    """Every client's blocks; a client has names of its own, whose versions nobody else numbers."""
    owners = [Rest(server.address) for server in servers]
    experiments = [owner.create_experiment("load") for owner in owners]
    tasks = []
    for client in range(clients):
        blocks, done = [], [0, 0]
        for which in order:
            numbers = range(done[which] * clients + client, (done[which] + share) * clients, clients)
            done[which] += share
            blocks.append(Block(servers[which].address, experiments[which], list(numbers)))
        tasks.append(Task(client, "rest", str(reports), blocks, own_names=True, persistent=False))
    for name in sorted({name_of(task, number) for task in tasks for block in task.blocks for number in block.numbers}):
        for owner in owners:
            owner.create_model(name)
    return tasks


def _wait(true: Any, processes: Sequence[Any]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not true():
        failed = [process.returncode for process in processes if process.poll()]
        assert not failed and time.monotonic() < deadline, f"clients ended with {failed}, or too slow"
        time.sleep(0.1)


def _is_idle(server: Server, versions: int) -> bool:
    (known,) = server.query("SELECT count(*) FROM mother_versions")[0]
    (waiting,) = server.query("SELECT count(*) FROM mother_work")[0]
    return known == versions and not waiting


def _ms(blocks: Sequence[_Times]) -> list[float]:
    return [round(float(np.percentile(np.concatenate(blocks), q)) * 1000, 1) for q in (50, 95)]


def _each(seconds: float, blocks: Sequence[_Times]) -> float:
    return round(1000 * float(seconds) / sum(map(len, blocks)), 1)
