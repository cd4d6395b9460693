"""How long a server needs for the first page of its forest and of its audit, with ten thousand versions.

Run::

    python -m benchmarks.forest
    python -m benchmarks.forest --versions 50000 --rounds 20

Fills a SQLite store with families of all sizes, one of a tenth of all versions among them, and asks MLflow's Flask
application through its test client: from the request to the last byte of the answer, without network. *Changed*: one
version of the largest family has a new result since the request before; *same*: nothing has changed. *Hidden*: to
somebody who may not see every third registered model. *Unread*: the process has not read the registry before. *First*:
what ``mlflow server --app-name mother`` is asked first, as soon as it says that it is there, over HTTP. Prints one JSON
object, times in milliseconds; those of the processor are the same whatever else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine, insert

from benchmarks.server_load.surroundings import Config, databases, running
from mlflow_mother.heritage import ENGINE
from mlflow_mother.server.access import OpenAccess
from mlflow_mother.store import Registration, Store
from mlflow_mother.types import Edge, Lineage, ModelVersionRef, Node, Relation, Status

RELATIONS = (Relation.FINETUNE, Relation.LORA_MERGED, Relation.QUANTIZED, Relation.PRUNED)
GOAL_MS = 300.0
ROUTES = ("forest", "forest?sort=newest&include_alone=true", "audit", "audit?q=model-7&sort=probability")


class Partial(OpenAccess):
    """Somebody who may not see every third registered model."""

    def sees_all(self) -> bool:
        return False

    def readable(self) -> Callable[[str], bool]:
        return lambda name: int(name.rpartition("-")[2]) % 3 != 0


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--versions", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--servers", type=int, default=5, help="how many are started for *first*")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), chosen.versions, chosen.rounds, chosen.servers), indent=1))


def measure(folder: Path, versions: int, rounds: int, servers: int) -> dict[str, Any]:
    """Fills a store and times its pages."""
    with databases("sqlite", folder) as made:
        uri = made.fresh(folder)
    store = Store.open(uri, local=True)
    refs = fill(store, versions)
    register(uri, refs)
    everyone, somebody = client(uri, OpenAccess()), client(uri, Partial())
    for asking in (everyone, somebody):
        timed(asking, ROUTES[0])
    unread = [timed(client(uri, OpenAccess()), ROUTES[0]) for _ in range(max(2, rounds // 3))]
    found: dict[str, Any] = {"versions": versions, "goal_ms": GOAL_MS, "unread": summary(unread)}
    found["first, each server"] = [first(folder, uri) for _ in range(servers)]
    for route in ROUTES:
        changed = [timed(everyone, route, lambda: change(store, refs)) for _ in range(rounds)]
        same = [timed(everyone, route) for _ in range(rounds)]
        hidden = [timed(somebody, route, lambda: change(store, refs)) for _ in range(rounds)]
        found[route] = {"changed": summary(changed), "same": summary(same), "hidden, changed": summary(hidden)}
    answer = everyone.get(f"/ajax-api/2.0/mlflow-mother/{ROUTES[0]}").get_json()
    found["totals"] = answer["totals"]
    return found


def fill(store: Store, versions: int) -> list[ModelVersionRef]:
    """Families whose sizes are spread as in real registries: many small ones, few large ones."""
    dice = random.Random(0)
    refs = [ModelVersionRef(registry="own", name=f"model-{n // 3}", version=str(n % 3 + 1)) for n in range(versions)]
    dice.shuffle(refs)
    store.enqueue_many(Registration(ref, "source", 1.7e9 + n) for n, ref in enumerate(refs))
    for claims in iter(lambda: store.claim("benchmark", 600, 500), ()):
        for claim in claims:
            store.finish(claim, Status.DONE)
    rest = list(refs)
    size = versions // 10
    while rest:
        family, rest = rest[:size], rest[size:]
        for n, ref in enumerate(family[1:], 1):
            parent = family[dice.randrange(max(0, n - 20), n)]
            store.record_inference(ref, lineage(ref, parent, dice), engine=ENGINE)
        size = max(1, min(int(dice.paretovariate(0.9)), 300))
    return refs


def register(uri: str, refs: list[ModelVersionRef]) -> None:
    """Makes MLflow hold the same versions: who does not see everything sees no others."""
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel

    names = [{"workspace": "default", "name": name} for name in {ref.name for ref in refs}]
    rows = [
        {"workspace": "default", "name": ref.name, "version": ref.version, "creation_time": int(1000 * (1.7e9 + n))}
        for n, ref in enumerate(refs)
    ]
    engine = create_engine(uri)
    with engine.begin() as connection:
        connection.execute(insert(SqlRegisteredModel), names)
        connection.execute(insert(SqlModelVersion), rows)
    engine.dispose()


def lineage(ref: ModelVersionRef, parent: ModelVersionRef, dice: random.Random) -> Lineage:
    edge = Edge(parent=parent.uri, child=ref.uri, relation=dice.choice(RELATIONS), probability=dice.uniform(0.5, 0.99))
    return Lineage(
        nodes=tuple(Node(id=uri) for uri in sorted({ref.uri, parent.uri})),
        edges=(edge,),
        subject=ref.uri,
        subject_digest="",
        spec="mother-fp/1",
        mother_version="0",
    )


def change(store: Store, refs: list[ModelVersionRef]) -> None:
    """What a server sees all the time: a version gets a new result."""
    dice = random.Random()
    ref, parent = dice.sample(refs[: len(refs) // 10], 2)
    store.record_inference(ref, lineage(ref, parent, dice), engine=ENGINE)


def client(uri: str, access: OpenAccess) -> FlaskClient:
    """An application with Mother's API alone."""
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = uri
    from mlflow_mother.server import api
    from mlflow_mother.server.services import Services

    app = Flask("benchmark")
    api.register(app, Services(), access)
    return app.test_client()


def timed(asking: FlaskClient, route: str, before: Callable[[], None] = lambda: None) -> tuple[float, float]:
    """Milliseconds that one answer took, by the clock and of the processor."""
    before()
    began, worked = time.perf_counter(), time.process_time()
    response = asking.get(f"/ajax-api/2.0/mlflow-mother/{route}")
    content = response.get_data()
    took = time.perf_counter() - began, time.process_time() - worked
    assert response.status_code == 200 and len(content) > 100, content[:500]
    return took[0] * 1000, took[1] * 1000


def first(folder: Path, uri: str) -> float:
    """Milliseconds until a server that has just started has answered."""
    # Without its worker, which would forget versions that MLflow does not have.
    with running(Config(), folder, uri, environment={"MLFLOW_MOTHER_SERVER_WORKER": "false"}) as server:
        began = time.perf_counter()
        status, content = server.get(f"/ajax-api/2.0/mlflow-mother/{ROUTES[0]}")
        took = time.perf_counter() - began
    assert status == 200 and content["total"] > 1, content
    return round(took * 1000, 1)


def summary(times: list[tuple[float, float]]) -> dict[str, float]:
    clock, processor = zip(*times, strict=True)
    return {
        "p50": round(statistics.median(clock), 1),
        "p95": round(statistics.quantiles(clock, n=20, method="inclusive")[-1], 1),
        "processor p50": round(statistics.median(processor), 1),
        "processor p95": round(statistics.quantiles(processor, n=20, method="inclusive")[-1], 1),
    }


if __name__ == "__main__":
    main()
