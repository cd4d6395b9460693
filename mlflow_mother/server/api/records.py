"""What the API takes and answers, as records: ``openapi.json`` and the documentation follow from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mlflow_mother.export import Layout
from mlflow_mother.types import ModelTree, Record, Status, Verdict

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
"""A registered model's name."""

Number = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]
"""A version's number."""

NodeId = Annotated[str, StringConstraints(min_length=1, max_length=1100)]
"""``models:/name/version``."""

Words = Annotated[str, StringConstraints(max_length=500)]
"""Text to search for."""

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""A probability."""

Kind = Literal["confirmed", "rejected", "corrected"]
State = Literal["pending", "done", "undecided", "unsupported", "failed", "ignored", "unknown"]


class Queue(Record):
    """How much work there is.

    Attributes:
        waiting: Versions that wait for the worker.
        working: Versions that it has.
    """

    waiting: int
    working: int


class StatusAnswer(Record):
    """What this server does for its clients.

    Attributes:
        worker: Whether registrations are analysed here; a client that reads true leaves its own to the server.
        version: Release of mlflow-mother.
        schema_version: Version of the tree's schema.
        user: Who asks; null where nobody signs in.
        queue: Work to do; null for those who may not see every model.
        worker_seen_at: When the worker last showed itself, in unix seconds; null before.
    """

    worker: bool
    version: str
    schema_version: str
    user: str | None
    queue: Queue | None
    worker_seen_at: float | None


class Declared(Record):
    """A parent that metadata names.

    Attributes:
        parent: Node id, or the text as declared.
        source: Where it is declared.
    """

    parent: str
    source: str


class DecisionInfo(Record):
    """What a person said of a version's parent.

    Attributes:
        kind: ``confirmed`` and ``rejected`` are about ``parent``; ``corrected`` replaces the inferred parents by it.
        parent: Node id; null for "it has none".
        by: Who said so; null where nobody signs in.
        at: When, in unix seconds.
        note: Their remark.
    """

    kind: Kind
    parent: str | None
    by: str | None
    at: float
    note: str


class FingerprintInfo(Record):
    """What the fingerprint says of the weights as a whole.

    Attributes:
        digest: Digest of the weights.
        parameters: Number of elements over all tensors.
        tensors: Number of tensors.
        format: Weight format.
        spec: Version of the fingerprint spec.
    """

    digest: str
    parameters: int
    tensors: int
    format: str
    spec: str


class VersionInfo(Record):
    """Everything beside the tree that is known of one version.

    Attributes:
        id: Node id.
        name: Registered model.
        version: Version.
        status: Where its analysis stands; null when Mother does not know the version yet.
        ignored: Whether it opted out.
        reason: Why, for people; may be empty.
        aliases: Registry aliases.
        stage: Registry stage; null for none.
        registered_at: When it was registered, in unix seconds.
        declared: Parents that metadata names.
        decisions: What people said, oldest first.
        verdict: Declared against inferred parents; null when it is not audited.
        fingerprint: Null before it was read.
    """

    id: str
    name: str
    version: str
    status: Status | None
    ignored: bool
    reason: str
    aliases: tuple[str, ...]
    stage: str | None
    registered_at: float | None
    declared: tuple[Declared, ...]
    decisions: tuple[DecisionInfo, ...]
    verdict: Verdict | None
    fingerprint: FingerprintInfo | None


class Progress(Record):
    """A queued version's place.

    Attributes:
        ahead: How many others come before.
        working: Whether the worker has it.
    """

    ahead: int
    working: bool


class Can(Record):
    """What the user may do with the model.

    Attributes:
        reanalyse: Queue its versions again.
        decide: Confirm, reject or correct parents.
    """

    reanalyse: bool
    decide: bool


class ModelInfo(Record):
    """A registered model.

    Attributes:
        name: Its name.
        versions: Its versions, newest first; at most ``limit``.
    """

    name: str
    versions: tuple[VersionInfo, ...]


class LineageAnswer(Record):
    """A tree with all that is shown of it.

    Attributes:
        subject: Node id of the version it is about; null for a whole model.
        state: Where the analysis stands.
        reason: Why, for people; may be empty.
        remedy: What to do about it; may be empty.
        progress: Its place in the queue; null when it does not wait.
        tree: The nodes nearest to the subject, and their edges with evidence.
        truncated: Whether there are more nodes.
        layout: Where to draw them.
        versions: More about the registered nodes, by id.
        can: What the user may do.
        engine: Version of the heritage engine behind it; null before the first inference.
        inferred_at: When the (latest) inference was made, in unix seconds.
        model: The registered model, where the answer is about one.
    """

    subject: str | None
    state: State
    reason: str
    remedy: str
    progress: Progress | None
    tree: ModelTree
    truncated: bool
    layout: Layout
    versions: dict[str, VersionInfo]
    can: Can
    engine: str | None
    inferred_at: float | None
    model: ModelInfo | None = None
