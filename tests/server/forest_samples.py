"""Registries whose families are known, written straight into MLflow's and Mother's tables: no weights, no waiting."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import create_engine, func, insert, select

from mlflow_mother.registry.identity import DEFAULT_WORKSPACE, OWN
from mlflow_mother.store import Store, tables
from mlflow_mother.types import Relation, Status

NOON = 1_795_000_000.0
"""When the newest sample was registered: in November 2026."""

HOUR = 3600.0


@dataclass(frozen=True)
class Sample:
    """A registered version.

    Attributes:
        id: Node id.
        parents: Inferred parents, a registered or an unregistered one.
        relation: To the parents.
        probability: Of the edges.
        decided: Whether their direction is.
        declared: Declared parents.
        status: Where its analysis stands.
        reason: Why.
    """

    id: str
    parents: tuple[str, ...] = ()
    relation: Relation = Relation.FINETUNE
    probability: float = 0.97
    decided: bool = True
    declared: tuple[str, ...] = ()
    status: Status = Status.DONE
    reason: str = ""

    @property
    def name(self) -> str:
        """Its registered model."""
        return self.id.removeprefix("models:/").rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.id.rpartition("/")[2]


def three_families() -> list[Sample]:
    """Every relation's neighbourhood in small: conflicts, an undocumented fine-tune, an open direction, two loners."""

    def of(name: str, version: int = 1) -> str:
        return f"models:/{name}/{version}"

    v = Sample
    return [
        v(of("tiny-vit")),
        v(of("tiny-vit", 2), (of("tiny-vit"),), Relation.FINETUNE, 0.98, declared=(of("tiny-vit"),)),
        v(of("tiny-vit", 3), (of("tiny-vit", 2),), Relation.LORA_MERGED, 0.99, declared=(of("tiny-vit", 2),)),
        v(of("road-signs"), (of("tiny-vit"),), Relation.FINETUNE, 0.96, declared=(of("sentiment"),)),
        v(of("road-signs", 2), (of("road-signs"),), Relation.FINETUNE, 0.91, declared=(of("road-signs"),)),
        v(of("road-signs-int8"), (of("road-signs", 2),), Relation.QUANTIZED, 1.0),
        v(of("tiny-vit-merged"), (of("tiny-vit", 2), of("road-signs", 2)), Relation.MERGE, 0.88),
        v(of("sentiment")),
        v(of("sentiment", 2), (of("sentiment"),), Relation.PARTIAL_FINETUNE, 0.93, declared=(of("sentiment"),)),
        v(of("sentiment", 3), (of("sentiment", 2),), Relation.CAST, 1.0, declared=("bert-base-uncased",)),
        v(of("toxicity"), (of("sentiment"),), Relation.ADAPTER, 0.74, declared=(of("tiny-vit"),)),
        v(of("churn")),
        v(of("churn", 2), (of("churn"),), Relation.FINETUNE, 0.55, decided=False),
        v(of("anomaly-autoencoder")),
        v(of("ocr"), status=Status.FAILED, reason="model.safetensors ends after 12 of 48 MB. Register it again."),
        v(of("forecast"), status=Status.PENDING),
    ]


def many_families(count: int) -> Iterator[Sample]:
    """That many families of 2 to 12 versions, one in five with something to look at, and half as many loners."""
    chance = random.Random(0)
    topics = ("ocr", "churn", "speech", "ranking", "forecast", "vision", "fraud", "toxicity", "layout", "routing")
    for number in range(count):
        name = f"{topics[number % len(topics)]}-{number:03d}"
        ids = [f"models:/{name}/1"]
        yield Sample(ids[0])
        for version in range(2, chance.randint(2, 12) + 1):
            parent = chance.choice(ids)
            ids.append(f"models:/{name}/{version}")
            luck = chance.random()
            declared = () if luck < 0.12 else ("models:/churn-001/1",) if luck > 0.98 else (parent,)
            yield Sample(
                ids[-1],
                (parent,),
                chance.choice((*3 * (Relation.FINETUNE,), *list(Relation)[:9])),
                round(chance.uniform(0.62, 1.0), 2),
                declared=declared,
            )
    for number in range(count // 2):
        yield Sample(f"models:/loner-{number:03d}/1")


def register(samples: Iterable[Sample], database: str, workspace: str = DEFAULT_WORKSPACE) -> None:
    """Writes versions into an MLflow database, and what Mother knows of them into her tables beside it.

    One by one the store would take a minute for a thousand versions: it leaves half of the time to MLflow.

    Args:
        samples: Each was registered an hour after the one before.
        database: URI of an MLflow database in SQLite.
        workspace: Another one than the default is made.
    """
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersion, SqlRegisteredModel
    from mlflow.store.workspace.dbmodels.models import SqlWorkspace

    Store.open(database, local=True).close()
    engine = create_engine(database)
    with engine.begin() as connection:
        first = 1 + (connection.scalar(select(func.max(tables.versions.c.id))) or 0)
        listed = list(enumerate(samples, first))
        times = {number: NOON - HOUR * (first + len(listed) - number) for number, _ in listed}
        registry = OWN if workspace == DEFAULT_WORKSPACE else f"{OWN}#{workspace}"
        names = dict.fromkeys(one.name for _, one in listed)
        rows: dict[Any, list[dict[str, Any]]] = {
            SqlWorkspace: [] if workspace == DEFAULT_WORKSPACE else [{"name": workspace}],
            SqlRegisteredModel: [{"workspace": workspace, "name": name} for name in names],
            SqlModelVersion: [
                {**_named(one), "workspace": workspace, "creation_time": int(1000 * times[number])}
                for number, one in listed
            ],
            tables.versions: [
                {**_named(one), **_state(one, times[number]), "id": number, "registry": registry}
                for number, one in listed
            ],
            tables.edges: [{**edge, "version_id": number} for number, one in listed for edge in _edges(one)],
            tables.declared_parents: [
                {"version_id": number, "position": position, "parent": parent, "source": "the model card"}
                for number, one in listed
                for position, parent in enumerate(one.declared)
            ],
            tables.work: [
                {"version_id": number, "request": 0, "queued_at": NOON, "not_before": 0.0, "attempts": 0}
                for number, one in listed
                if one.status is Status.PENDING
            ],
        }
        for table, filled in rows.items():
            if filled:
                connection.execute(insert(table), filled)
    engine.dispose()


def _named(one: Sample) -> dict[str, Any]:
    return {"name": one.name, "version": one.version, "source": "nowhere"}


def _state(one: Sample, at: float) -> dict[str, Any]:
    state = {"status": one.status.value, "reason": one.reason, "ignored": False, "inference": 0}
    return {**state, "registered_at": at, "created_at": at}


def _edges(one: Sample) -> Iterator[dict[str, Any]]:
    reason = {"kind": "projection", "text": "The update is orthogonal to the parent's weights.", "value": 0.03}
    for parent in one.parents:
        ends = (parent, one.id) if one.decided else sorted((parent, one.id))
        yield {
            "parent": ends[0],
            "child": ends[1],
            "relation": one.relation.value,
            "probability": one.probability,
            "direction": "decided" if one.decided else "undecided",
            "direction_probability": 1.0 if one.decided else 0.5,
            "weight": 1 / len(one.parents),
            "rank": 8 if one.relation is Relation.LORA_MERGED else None,
            "evidence": json.dumps([reason]),
        }
