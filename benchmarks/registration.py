"""Registers many versions from several processes at once, and counts what became of them.

Run::

    python benchmarks/registration.py --processes 8 --versions 200

Each process registers its share with plain MLflow calls into one SQLite registry, with Mother's capture on. Then one
reconciliation finishes what the registrations' bound left. Prints one JSON object: how many versions MLflow holds, how
many of them have a lineage, inferences and fingerprints, and how long a registration took.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import traceback
from pathlib import Path

import mlflow
import numpy as np
import torch
from safetensors.numpy import save_file

from mlflow_mother.fingerprint import compute  # noqa: F401  (imported before the forks)
from mlflow_mother.service import Service

MLMODEL = "flavors:\n  python_function:\n    loader_module: nobody.loads.this\n"
FAMILIES = 4


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--processes", type=int, default=8)
    arguments.add_argument("--versions", type=int, default=200)
    arguments.add_argument("--seconds", type=float, default=5.0, help="bound of a registration")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), chosen.processes, chosen.versions, chosen.seconds), indent=1))


def measure(folder: Path, processes: int, versions: int, seconds: float) -> dict[str, object]:
    os.environ.update(
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_MOTHER_INLINE_SECONDS=str(seconds),
        MLFLOW_MOTHER_HOME=str(folder / "home"),
    )
    uri = f"sqlite:///{folder}/mlflow.db"
    # SQLite's connections must not cross a fork: only children open the database.
    in_children([lambda: prepare(uri)])
    began = time.monotonic()
    shares = [range(start, versions, processes) for start in range(processes)]
    in_children([lambda share=share: register(uri, folder, share) for share in shares])
    registered = time.monotonic() - began
    in_children([lambda: finish(uri, folder)])
    result = json.loads((folder / "result.json").read_text())
    times = [float(line) for file in folder.glob("times-*") for line in file.read_text().splitlines()]
    return {
        "processes": processes,
        "registrations": len(times),
        **result,
        "seconds to register all": round(registered, 1),
        "seconds a registration, median": round(statistics.median(times), 2),
        "seconds a registration, longest": round(max(times), 2),
    }


def prepare(uri: str) -> None:
    mlflow.set_tracking_uri(uri)
    for family in range(FAMILIES):
        mlflow.MlflowClient().create_registered_model(f"family-{family}")


def register(uri: str, folder: Path, numbers: range) -> None:
    torch.set_num_threads(1)
    mlflow.set_tracking_uri(uri)
    client = mlflow.MlflowClient()
    times = []
    for number in numbers:
        model = folder / "models" / str(number)
        (model / "model").mkdir(parents=True)
        (model / "MLmodel").write_text(MLMODEL)
        save_file(weights(number), model / "model" / "model.safetensors")
        began = time.monotonic()
        client.create_model_version(f"family-{number % FAMILIES}", str(model))
        times.append(f"{time.monotonic() - began:.4f}\n")
    (folder / f"times-{numbers.start}").write_text("".join(times))


def weights(number: int) -> dict[str, np.ndarray]:
    """The family's root for its first number, a fine-tune of the root for every other."""
    family, root = number % FAMILIES, np.random.default_rng(number % FAMILIES)
    noise = np.random.default_rng(1000 + number)
    found = {}
    for layer in range(4):
        base = root.standard_normal((64, 64)) / 8
        update = 0.0 if number == family else 0.3
        found[f"layers.{layer}.weight"] = (base + update / 8 * noise.standard_normal((64, 64))).astype(np.float32)
    return found


def finish(uri: str, folder: Path) -> None:
    mlflow.set_tracking_uri(uri)
    service = Service()
    known = service.store.versions(service.registry.id)
    inline = sum(version.status.value != "pending" for version in known)
    service.reconcile()
    known = service.store.versions(service.registry.id)
    client = mlflow.MlflowClient()
    held = [version for page in pages(client) for version in page]
    roots = {f"models:/{v.name}/{v.version}" for v in held if Path(v.source).name in map(str, range(FAMILIES))}
    parents = [version.tags.get("mother.parent") for version in held]
    result = {
        "versions in MLflow": len(held),
        "known to Mother": len(known),
        "done within the bound": inline,
        "done after reconcile": sum(v.tags.get("mother.status") in ("done", "undecided") for v in held),
        "distinct names and versions": len({(v.name, v.version) for v in held}),
        "fingerprints": len({version.digest for version in known}),
        "with the true parent": sum(parent in roots for parent in parents),
        "waiting": service.store.counts(service.registry.id).queued,
    }
    (folder / "result.json").write_text(json.dumps(result))


def pages(client: mlflow.MlflowClient):
    token = None
    while True:
        page = client.search_model_versions(max_results=100, page_token=token)
        yield page
        token = page.token
        if not token:
            return


def in_children(works) -> None:
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"process {child} failed with status {status}")


if __name__ == "__main__":
    main()
