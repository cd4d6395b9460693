"""The lineage of one version, and the tree of one registered model."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from mlflow_mother.export import layout
from mlflow_mother.registry.versions import RegisteredVersion, list_versions
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.records import (
    Can,
    LineageAnswer,
    ModelInfo,
    Name,
    Number,
    Progress,
    State,
    VersionInfo,
)
from mlflow_mother.server.api.versions import version_infos
from mlflow_mother.service.families import is_registered
from mlflow_mother.store import Made
from mlflow_mother.types import ModelTree, ModelVersionRef, Node, Record

MOST_NODES = 1000
REMEDIES: dict[State, str] = {
    "unknown": "Mother finds it by herself within a minute; analyse it again to be sure.",
    "pending": "Wait for the worker; this page follows it.",
    "failed": "Mend what is wrong with the model's files, then analyse it again.",
    "unsupported": "Register the model in a format that a reader knows, or install a reader for it.",
    "ignored": "Remove the tag mother.ignore from the version and from its model, then analyse it again.",
}
"""What to do about each state that is not an answer, where its reason does not end with a remedy of its own."""

_INFORMATIVE: tuple[State, ...] = ("done", "undecided", "pending", "failed", "unsupported", "ignored", "unknown")


class LineageQuery(Record):
    """Of which version.

    Attributes:
        name: Its registered model.
        version: Its number.
        limit: Most nodes of the tree.
    """

    name: Name
    version: Number
    limit: int = Field(300, ge=1, le=MOST_NODES)


class TreeQuery(Record):
    """Of which registered model.

    Attributes:
        name: Its name.
        limit: Most nodes of the tree, and most versions listed.
    """

    name: Name
    limit: int = Field(300, ge=1, le=MOST_NODES)


def lineage(caller: Caller, query: LineageQuery) -> LineageAnswer:
    """The lineage of one version: its family, as far as the user may see it."""
    found = caller.version(query.name, query.version)
    subject = found.ref.uri
    state, reason = _state(caller, found)
    tree, truncated = tree_near(caller, [subject], query.limit)
    infos = version_infos(caller, [node.id for node in tree.nodes if is_registered(node.id)], {subject: found})
    made = _made(caller, [found]).get(found.ref)
    tree = with_particulars(tree, infos)
    return LineageAnswer(
        subject=subject,
        state=state,
        reason=reason,
        remedy=_remedy(state, reason),
        progress=_progress(caller, found.ref),
        tree=tree,
        truncated=truncated,
        layout=layout(tree),
        versions=infos,
        can=_can(caller, query.name),
        engine=made.engine if made else None,
        inferred_at=made.at if made else None,
    )


def tree(caller: Caller, query: TreeQuery) -> LineageAnswer:
    """The tree of all versions of a registered model, and of their families."""
    caller.model(query.name)
    listed = _newest(caller, query.name, query.limit)
    own = {version.ref.uri: version for version in listed}
    states = {uri: _state(caller, version) for uri, version in own.items()}
    best = min(own, key=lambda uri: _INFORMATIVE.index(states[uri][0]), default=None)
    state, reason = states[best] if best else ("unknown", "The registered model has no versions.")
    shown, truncated = tree_near(caller, own, query.limit)
    ids = [node.id for node in shown.nodes if is_registered(node.id)]
    infos = version_infos(caller, dict.fromkeys([*ids, *own]), own)
    shown = with_particulars(shown, infos)
    made = _made(caller, listed)
    newest = max(made.values(), key=lambda one: one.at, default=None)
    return LineageAnswer(
        subject=None,
        state=state,
        reason=reason,
        remedy=_remedy(state, reason) if best else "Register a version.",
        progress=None,
        tree=shown,
        truncated=truncated,
        layout=layout(shown),
        versions={uri: infos[uri] for uri in ids},
        can=_can(caller, query.name),
        engine=newest.engine if newest else None,
        inferred_at=newest.at if newest else None,
        model=ModelInfo(name=query.name, versions=tuple(infos[uri] for uri in own)),
    )


def shown_tree(caller: Caller, name: str, version: str | None, limit: int) -> tuple[ModelTree, str | None]:
    """The tree around one version, or around all versions of a registered model, and the version's node id."""
    if version is None:
        caller.model(name)
        starts = [found.ref.uri for found in _newest(caller, name, limit)]
    else:
        starts = [caller.version(name, version).ref.uri]
    tree, _ = tree_near(caller, starts, limit)
    infos = version_infos(caller, [node.id for node in tree.nodes if is_registered(node.id)])
    return with_particulars(tree, infos), starts[0] if version else None


def tree_near(caller: Caller, starts: Iterable[str], limit: int) -> tuple[ModelTree, bool]:
    """The nodes nearest to some versions, their edges with evidence, and whether there are more."""
    starts = list(starts)
    while True:
        view = caller.view
        near, truncated = view.nearest(starts, limit)
        if not caller.leave_out_deleted({known.ref.name for uri in near if (known := view.version(uri))}):
            break
    part = view.part(near, caller.service.store)
    lone = [Node(id=uri) for uri in starts[: limit - len(part.nodes)] if uri not in near]
    if not lone:
        return part, truncated
    nodes = sorted([*part.nodes, *lone], key=lambda node: (not is_registered(node.id), node.id))
    return part.model_copy(
        update={"nodes": tuple(nodes), "roots": tuple(sorted([*part.roots, *(node.id for node in lone)]))}
    ), truncated


def with_particulars(tree: ModelTree, infos: dict[str, VersionInfo]) -> ModelTree:
    """A tree whose nodes carry all that pictures and documents show of a version."""

    def of(node: Node) -> Node:
        info = infos.get(node.id)
        if info is None:
            return node
        size = info.fingerprint
        return node.model_copy(
            update={
                "aliases": info.aliases,
                "verdict": info.verdict,
                "parameters": size.parameters if size else None,
                "format": size.format or None if size else None,
            }
        )

    return tree.model_copy(update={"nodes": tuple(map(of, tree.nodes))})


def _newest(caller: Caller, name: str, limit: int) -> list[RegisteredVersion]:
    found = []
    for version in list_versions(caller.service.registry, name):
        found.append(version)
        if len(found) == limit:
            break
    return found


def _state(caller: Caller, version: RegisteredVersion) -> tuple[State, str]:
    known = caller.view.version(version.ref.uri)
    if version.ignored:
        return "ignored", "The version, or its registered model, carries the tag mother.ignore."
    if known is None:
        return "unknown", "Mother has not come to this version yet."
    return known.status.value, caller.view.reason(known)


def _remedy(state: State, reason: str) -> str:
    return "" if reason and state in ("pending", "failed", "unsupported") else REMEDIES.get(state, "")


def _made(caller: Caller, versions: Iterable[RegisteredVersion]) -> dict[ModelVersionRef, Made]:
    """When the inferences of versions were made, but for what is remembered of others under their names."""
    seen = [version.ref for version in versions if caller.view.version(version.ref.uri)]
    return caller.service.store.made(caller.service.registry.id, seen)


def _progress(caller: Caller, ref: ModelVersionRef) -> Progress | None:
    waiting = caller.service.store.waiting(ref)
    if waiting is None:
        return None
    ahead = sum(other.registry == ref.registry and bool(caller.view.version(other.uri)) for other in waiting.ahead)
    return Progress(ahead=ahead, working=waiting.working)


def _can(caller: Caller, name: str) -> Can:
    allowed = caller.may_update(name)
    return Can(reanalyse=allowed, decide=allowed)
