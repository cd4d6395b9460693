"""What the API takes and answers, as records: ``openapi.json`` and the documentation follow from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mlflow_mother.export import Layout
from mlflow_mother.types import Evidence, ModelTree, Record, Relation, Status, Verdict

Name = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
"""A registered model's name."""

Number = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")]
"""A version's number."""

NodeId = Annotated[str, StringConstraints(min_length=1, max_length=1100)]
"""``models:/name/version``."""

Words = Annotated[str, StringConstraints(max_length=500)]
"""Text to search for."""

Limit = Annotated[int, Field(ge=1, le=200)]
"""Items of a page."""

Cursor = Annotated[str, StringConstraints(max_length=3000)]
"""Where a page begins."""

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


class FamilyInfo(Record):
    """A family of versions, or a version without relatives.

    Attributes:
        id: Id of its root.
        root: Node id of the registered version that it descends from, or the oldest of several.
        title: The root for people.
        size: Number of its versions.
        models: Up to five of its registered models.
        model_count: How many registered models it has.
        relations: Number of edges by relation.
        verdicts: Number of versions by verdict.
        statuses: Number of versions by status.
        lowest_confidence: Least probability of an edge; null without edges.
        newest_at: Latest registration, in unix seconds; null when unknown.
    """

    id: str
    root: str
    title: str
    size: int
    models: tuple[str, ...]
    model_count: int
    relations: dict[Relation, int]
    verdicts: dict[Verdict, int]
    statuses: dict[Status, int]
    lowest_confidence: float | None
    newest_at: float | None


class Totals(Record):
    """The registry as a whole, as far as the user may see it; opted-out versions do not count.

    Attributes:
        versions: Number of versions.
        families: Number of families of at least two.
        alone: Number of versions without relatives.
        by_status: Number of versions by status.
        by_verdict: Number of versions by verdict.
    """

    versions: int
    families: int
    alone: int
    by_status: dict[Status, int]
    by_verdict: dict[Verdict, int]


class ForestAnswer(Record):
    """A page of families.

    Attributes:
        families: The families.
        next: Cursor of the next page; null after the last.
        total: How many families fit the query.
        totals: The registry, whatever the query.
    """

    families: tuple[FamilyInfo, ...]
    next: str | None
    total: int
    totals: Totals


class AuditEntry(Record):
    """Declared against inferred parents of one version.

    Attributes:
        id: Node id.
        name: Registered model.
        version: Version.
        declared: Parents that metadata names.
        inferred: Parents that the weights show.
        relation: What was done to the (likeliest) inferred parent.
        verdict: The two compared.
        probability: Probability of the inferred parents; null when there is none.
        status: Where the analysis stands.
        note: A remark; may be empty.
        registered_at: When it was registered, in unix seconds.
        decision: The latest word of a person.
    """

    id: str
    name: str
    version: str
    declared: tuple[str, ...]
    inferred: tuple[str, ...]
    relation: Relation | None
    verdict: Verdict
    probability: float | None
    status: Status
    note: str
    registered_at: float | None
    decision: DecisionInfo | None


class AuditAnswer(Record):
    """A page of the audit.

    Attributes:
        rows: The rows.
        next: Cursor of the next page; null after the last.
        total: How many rows fit the query.
    """

    rows: tuple[AuditEntry, ...]
    next: str | None
    total: int


class Queued(Record):
    """A version was queued.

    Attributes:
        queued: Always true.
    """

    queued: bool


class DecisionsAnswer(Record):
    """What people said of a version's parents.

    Attributes:
        decisions: All of it, oldest first.
    """

    decisions: tuple[DecisionInfo, ...]


class CompareAnswer(Record):
    """Two versions side by side, from their fingerprints.

    Attributes:
        first: Node id of the first.
        second: Node id of the second.
        relation: How they are related; null when they are not, or only over an ancestor that is neither of them.
        evidence: Why, strongest first, read in the direction that was found.
        first_to_second: All evidence, read as if the first were the second's parent.
        second_to_first: All evidence, read as if the second were the first's parent.
        tensors: Number of tensors that correspond.
        identical: How many of them are identical.
        cosine: Median cosine of the matrices.
        chance: What the cosine of unrelated models would be.
        tree: What follows: two nodes, and an edge when they are related.
        layout: Where to draw them.
    """

    first: str
    second: str
    relation: Relation | None
    evidence: tuple[Evidence, ...]
    first_to_second: tuple[Evidence, ...]
    second_to_first: tuple[Evidence, ...]
    tensors: int
    identical: int
    cosine: float
    chance: float
    tree: ModelTree
    layout: Layout
