"""What the store hands out: small frozen records, never a row or a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlflow_mother.types import Edge, Lineage, ModelVersionRef, Relation, Status

WriteBackTarget = Literal["tags", "artifacts", "own tags", "own artifacts"]
"""Where a result is written back to in MLflow."""

Direction = Literal["decided", "undecided"]
"""Whether an edge's direction is decided."""

DecisionKind = Literal["confirmed", "rejected", "corrected"]
"""What a person said of an inferred parent."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A registered version that the store shall know of.

    Attributes:
        ref: The version.
        source: MLflow's ``source`` of the version.
        registered_at: When it was registered, in unix seconds; None when unknown.
    """

    ref: ModelVersionRef
    source: str = ""
    registered_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """What the store knows of one registered version.

    Attributes:
        ref: The version.
        source: MLflow's ``source`` of the version.
        status: Where its analysis stands.
        reason: Why, for people; empty when there is nothing to say.
        digest: Digest of its weights; None before its fingerprint is stored.
        spec: Fingerprint spec behind ``digest``.
        registered_at: When it was registered, in unix seconds; None when unknown.
        created_at: When the store first heard of it, in unix seconds.
        ignored: Whether its analysis is switched off (the tag ``mother.ignore``).
        inference: Number of its current inference; 0 when there is none.
    """

    ref: ModelVersionRef
    source: str
    status: Status
    reason: str
    digest: str | None
    spec: str | None
    registered_at: float | None
    created_at: float
    ignored: bool
    inference: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to analyse one version, until the lease runs out.

    Attributes:
        ref: The version.
        source: MLflow's ``source`` of the version.
        registered_at: When it was registered, in unix seconds; None when unknown.
        owner: Who holds the claim, for people.
        token: What tells this claim from every other.
        attempt: How many times it was claimed since its last end, this one included. A number above 1 means that
            earlier workers gave it back or died over it.
        request: Which request this claim serves; one that arrives later keeps the work in the queue.
        lease_until: When others may take it, in unix seconds of the database's clock.
    """

    ref: ModelVersionRef
    source: str
    registered_at: float | None
    owner: str
    token: str
    attempt: int
    request: int
    lease_until: float


@dataclass(frozen=True, slots=True, eq=False)
class StoredFingerprint:
    """A fingerprint as the store keeps it: opaque bytes and what its candidate index needs.

    Attributes:
        digest: Digest of the weights.
        data: The serialised fingerprint.
        coarse: Coarse vector, float32, at most 1,024 values; its direction is what counts.
        signature: Shape signature: equal for models of equal tensor shapes.
        parameters: Number of elements over all tensors.
    """

    digest: str
    data: bytes
    coarse: npt.NDArray[np.float32]
    signature: str = ""
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A known set of weights that may be related to a new one.

    Attributes:
        digest: Its digest.
        cosine: Cosine between its coarse vector and the new one's, in [-1, 1].
        signature: Its shape signature.
        refs: The registry's versions that hold these weights, oldest first.
    """

    digest: str
    cosine: float
    signature: str
    refs: tuple[ModelVersionRef, ...]


@dataclass(frozen=True, slots=True)
class Inference:
    """One result of the heritage engine for one version.

    Attributes:
        ref: The version.
        number: 1 for the version's first inference, then counting up; the highest is the current one.
        lineage: The result.
        engine: Version of the engine that made it.
        reason: Why it was made or revised.
        created_at: When it was committed, in unix seconds.
    """

    ref: ModelVersionRef
    number: int
    lineage: Lineage
    engine: str
    reason: str
    created_at: float


@dataclass(frozen=True, slots=True)
class InferredEdge:
    """An edge of a version's current inference that ends in that version, directly or over unregistered ancestors.

    Attributes:
        subject: The version whose inference says so.
        edge: The edge. Its child is the subject or an unregistered ancestor of it; an undecided edge has the subject
            at either end.
    """

    subject: ModelVersionRef
    edge: Edge

    @property
    def parent(self) -> str:
        """Node id of the parent."""
        return self.edge.parent

    @property
    def child(self) -> str:
        """Node id of the child."""
        return self.edge.child

    @property
    def relation(self) -> Relation:
        """What was done to the parent."""
        return self.edge.relation

    @property
    def probability(self) -> float:
        """Probability of this directed edge."""
        return self.edge.probability

    @property
    def direction(self) -> Direction:
        """Whether the direction is decided."""
        return self.edge.direction

    @property
    def weight(self) -> float:
        """Share of this parent in the child."""
        return self.edge.weight


@dataclass(frozen=True, slots=True)
class Kin:
    """An ancestor or a descendant.

    Attributes:
        ref: The version.
        depth: Generations between; 1 for a parent or child. Unregistered ancestors in between are not counted.
    """

    ref: ModelVersionRef
    depth: int


@dataclass(frozen=True, slots=True)
class DeclaredParent:
    """A parent that a version's metadata names.

    Attributes:
        parent: Node id of the parent where it was found in the registry, else the text as declared.
        source: Where it is declared, e.g. ``run-inputs``, ``peft``, ``model-card``.
    """

    parent: str
    source: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said of a version's parent.

    Attributes:
        ref: The version.
        kind: ``confirmed`` and ``rejected`` are about ``parent``; ``corrected`` replaces the inferred parents by it.
        parent: Node id of the parent; None for "it has none".
        by: Who said so.
        at: When, in unix seconds.
        note: Their remark.
    """

    ref: ModelVersionRef
    kind: DecisionKind
    parent: str | None
    by: str
    at: float
    note: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a registry's analysis has come.

    Attributes:
        by_status: Number of versions of each status.
        ignored: Versions whose analysis is switched off (they are in ``by_status`` too).
        queued: Work that waits for a worker; switched off it does not wait.
        claimed: Work that a worker holds a live lease on.
        unnotified: Committed results whose notification nobody has taken.
    """

    by_status: dict[Status, int]
    ignored: int
    queued: int
    claimed: int
    unnotified: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A name that one process at a time holds.

    Attributes:
        name: What is held.
        owner: Who took it last.
        renewed_at: When its holder was last heard of, in unix seconds.
        held: Whether it still holds it.
    """

    name: str
    owner: str
    renewed_at: float
    held: bool


@dataclass(frozen=True, slots=True)
class FingerprintFacts:
    """What a fingerprint says of the weights as a whole.

    Attributes:
        parameters: Number of elements over all tensors.
        tensors: Number of tensors.
        format: Weight format, e.g. ``safetensors``.
    """

    parameters: int
    tensors: int
    format: str


@dataclass(frozen=True, slots=True)
class Made:
    """When and by what a version's current inference was made.

    Attributes:
        engine: Version of the engine.
        at: When, in unix seconds.
    """

    engine: str
    at: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version's place in the queue.

    Attributes:
        ahead: The versions whose turn comes before.
        working: Whether a worker has it.
    """

    ahead: tuple[ModelVersionRef, ...]
    working: bool
