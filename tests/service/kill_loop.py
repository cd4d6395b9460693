"""Kills a reconciliation with SIGKILL before and after each of its steps, and lets a second one finish the work.

Run as a program: it imports everything once, then forks a child for every kill, so that hundreds of kills take
seconds. Prints one JSON line for each kill: what a following reconciliation left in the registry and in the store.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import torch  # noqa: F401  (imported before the forks)
from registry_samples import bench, finetuned, network, write_model

from mlflow_mother.fingerprint import compute  # noqa: F401
from mlflow_mother.registry import write_back
from mlflow_mother.service import Service, delivery
from mlflow_mother.store import Store

STEPS = [
    *((Store, name) for name in ("sync", "enqueue_many", "claim", "put_fingerprint", "share_fingerprint")),
    *((Store, name) for name in ("set_declared", "put_comparisons", "record_inference", "mark_written", "finish")),
    *((Store, name) for name in ("release", "take_notifications")),
    (write_back.Place, "write"),
    (delivery, "write_tags"),
]

MODELS = {"child": 1, "root": 0}


def arm(kill_at: int) -> None:
    """Makes the process kill itself before step ``kill_at // 2``, or after it when ``kill_at`` is odd."""
    moments = iter(range(1 << 30))

    def dangerous(step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            moment()
            result = step(*args, **kwargs)
            moment()
            return result

        return wrapped

    def moment() -> None:
        if next(moments) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in STEPS:
        setattr(owner, name, dangerous(getattr(owner, name)))


def in_child(work: Callable[[], object]) -> bool:
    """Runs work in a forked child; whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print("child:", repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit("a child failed")
    return os.WIFEXITED(status)


def fill(folder: Path) -> None:
    root = network(0, width=48, layers=3)
    for name, seed in MODELS.items():
        written = write_model(folder / "models" / name, finetuned(root, seed) if seed else root)
        with mlflow.start_run() as run:
            mlflow.MlflowClient().log_artifacts(run.info.run_id, str(written), "model")
        mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    mlflow.MlflowClient().copy_model_version("models:/child/1", "copy")


def outcome() -> dict[str, Any]:
    service = Service()
    client = mlflow.MlflowClient()
    versions = service.store.versions(service.registry.id)
    counts = service.store.counts(service.registry.id)
    return {
        "tags": {
            version.ref.name: dict(client.get_model_version(version.ref.name, version.ref.version).tags)
            for version in versions
        },
        "statuses": sorted(version.status.value for version in versions),
        "histories": {version.ref.name: len(service.store.history(version.ref)) for version in versions},
        "left": [counts.queued, counts.claimed, counts.unnotified],
        "unwritten": sum(
            len(service.store.pending_write_backs(service.registry.id, target)) for target in ("tags", "artifacts")
        ),
    }


def main(folder: Path, template: Path, stride: int) -> None:
    work, pristine = folder / "work", folder / "pristine"
    work.mkdir()

    def prepare() -> None:
        with bench("sqlite", work, template=template):
            fill(work)

    def reconcile(kill_at: int | None = None) -> None:
        mlflow.set_tracking_uri(f"sqlite:///{work}/mlflow.db")
        if kill_at is not None:
            arm(kill_at)
        Service(lease_seconds=0.4).reconcile()

    def look() -> None:
        reconcile()
        print(json.dumps(outcome()), flush=True)

    # Nothing here opens a database: SQLite's connections must not cross a fork.
    in_child(prepare)
    work.rename(pristine)
    kill_at, finished = 0, False
    while not finished:
        shutil.copytree(pristine, work)
        finished = in_child(functools.partial(reconcile, kill_at))
        in_child(look)
        shutil.rmtree(work)
        kill_at += stride


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
