"""What users change: a version is queued again, a person has their say."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.errors import conflict
from mlflow_mother.server.api.records import (
    DecisionInfo,
    DecisionsAnswer,
    Kind,
    Name,
    NodeId,
    Number,
    Queued,
)
from mlflow_mother.server.api.versions import decision_info
from mlflow_mother.service.decisions import MAX_NOTE, check
from mlflow_mother.store import Registration
from mlflow_mother.types import Record


class VersionQuery(Record):
    """Of which version.

    Attributes:
        name: Its registered model.
        version: Its number.
    """

    name: Name
    version: Number


class DecisionBody(Record):
    """What a person says.

    Attributes:
        name: The version's registered model.
        version: Its number.
        kind: ``confirmed`` and ``rejected`` are about ``parent``; ``corrected`` replaces the inferred parents by it.
        parent: Node id of a version that Mother knows; null, with ``corrected`` only, for "it has none".
        note: A remark.
    """

    name: Name
    version: Number
    kind: Kind
    parent: NodeId | None = None
    note: Annotated[str, StringConstraints(max_length=MAX_NOTE)] = ""


def reanalyse(caller: Caller, body: VersionQuery) -> Queued:
    """Queues a version once more, whatever became of it; the user may change its model."""
    found = caller.updatable_version(body.name, body.version)
    if found.ignored:
        raise conflict("The version opted out: remove the tag mother.ignore from it and from its model first.")
    store = caller.service.store
    store.enqueue_many([Registration(found.ref, found.source, found.created or None)], again=True)
    known = store.version(found.ref)
    if known is not None and known.ignored:
        store.set_ignored(found.ref, False)
    return Queued(queued=True)


def decide(caller: Caller, body: DecisionBody) -> DecisionInfo:
    """Records what a person says of a version's parent, beside what the weights say; the user may change its model."""
    found = caller.updatable_version(body.name, body.version)
    view, subject = caller.view, found.ref.uri
    if view.version(subject) is None:
        raise conflict("Mother has not come to this version yet; analyse it first.")
    parent = caller.parse(body.parent).uri if body.parent is not None else None
    is_known = parent is not None and view.version(parent) is not None
    check(subject, body.kind, parent, is_known, {uri: word.parents for uri, word in view.words().items()})
    made = caller.service.store.decide(
        found.ref, body.kind, parent, by=caller.access.user() or "", note=body.note.strip()
    )
    return decision_info(made)


def decisions(caller: Caller, query: VersionQuery) -> DecisionsAnswer:
    """Everything that people said of a version's parents, oldest first."""
    found = caller.version(query.name, query.version)
    return DecisionsAnswer(decisions=tuple(map(decision_info, caller.view.decisions(found.ref.uri))))
