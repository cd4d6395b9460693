"""Short ways to versions, fingerprints and lineages."""

from __future__ import annotations

import numpy as np

from mlflow_mother.store import StoredFingerprint
from mlflow_mother.types import Edge, Lineage, ModelVersionRef, Node, Relation

REGISTRY = "registry-1"


def ref(name: str, version: int = 1, registry: str = REGISTRY) -> ModelVersionRef:
    return ModelVersionRef(registry=registry, name=name, version=str(version))


def fingerprint(digest: str, coarse: list[float] | None = None) -> StoredFingerprint:
    vector = np.array(coarse if coarse is not None else [1.0, 0.0, 0.0], np.float32)
    return StoredFingerprint(digest, f"fingerprint of {digest}".encode(), vector, signature="shapes", parameters=7)


def lineage(
    subject: ModelVersionRef, *edges: tuple[str, str], undecided: bool = False, probability: float = 0.9
) -> Lineage:
    ids = sorted({subject.uri} | {end for edge in edges for end in edge})
    return Lineage(
        subject=subject.uri,
        subject_digest="d",
        spec="mother-fp/test",
        mother_version="0",
        nodes=tuple(Node(id=i, kind="unregistered" if i.startswith("unregistered:") else "model") for i in ids),
        edges=tuple(
            Edge(
                parent=parent,
                child=child,
                relation=Relation.FINETUNE,
                probability=probability,
                direction="undecided" if undecided else "decided",
            )
            for parent, child in edges
        ),
    )
