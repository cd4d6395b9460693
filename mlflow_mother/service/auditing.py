"""Declared parents against inferred ones, and people's word on both: one verdict for every version.

``docs/audit.md`` is the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mlflow_mother.export import AuditRow
from mlflow_mother.service.decisions import Standing
from mlflow_mother.service.families import is_registered
from mlflow_mother.types import Edge, ModelTree, Node, Status, Verdict

_UNREAD = {Status.PENDING, Status.UNSUPPORTED, Status.FAILED}


def audit_rows(
    tree: ModelTree,
    notes: Mapping[str, str],
    words: Mapping[str, Standing] | None = None,
    is_checkable: Callable[[str], bool] | None = None,
) -> tuple[AuditRow, ...]:
    """A row for every registered version of a tree.

    Args:
        tree: The tree; its nodes carry status and declared parents.
        notes: Why a version could not be read, by node id.
        words: What people say of versions' parents, by node id.
        is_checkable: Whether a declared parent is a version of the registry; those of the tree when not given.
    """
    models = [node for node in tree.nodes if node.kind == "model"]
    by_name: dict[str, list[Edge]] = {}
    for edge in tree.edges:
        for end in {edge.parent, edge.child}:
            by_name.setdefault(end, []).append(edge)
    is_checkable, words = is_checkable or {node.id for node in models}.__contains__, words or {}
    return tuple(_row(node, by_name, is_checkable, notes.get(node.id, ""), words.get(node.id)) for node in models)


def _row(
    node: Node,
    edges: Mapping[str, list[Edge]],
    is_checkable: Callable[[str], bool],
    note: str,
    word: Standing | None,
) -> AuditRow:
    uri, declared, status = node.id, node.declared_parents, node.status
    into = [edge for edge in edges.get(uri, ()) if edge.child == uri and edge.direction == "decided"]
    said = _said(word, {edge.parent for edge in into}) if word else None
    if said is not None:
        verdict, reason = said
    elif status in _UNREAD and status is not None:
        verdict, reason = Verdict.UNDECIDED, note or f"the version is {status.value}"
    else:
        verdict, reason = _compared(uri, declared, into, edges, is_checkable, word.rejected if word else frozenset())
    return AuditRow(
        uri=uri,
        declared=declared,
        inferred=tuple(sorted(edge.parent for edge in into)),
        verdict=verdict,
        probability=min((edge.probability for edge in into), default=None),
        note=reason,
    )


def _said(word: Standing, inferred: set[str]) -> tuple[Verdict, str] | None:
    """The verdict when people said what the parents are."""
    who = f" by {word.last.by}" if word.last.by else ""
    if word.root:
        return Verdict.UNRELATED, f"said{who} to have no parent"
    if not word.parents:
        return None
    how = word.last.kind if word.last.parent in word.parents else "confirmed"
    parents = ", ".join(sorted(word.parents))
    differing = sorted(inferred - word.parents)
    beside = f"; the weights show {differing[0]}" if differing else ""
    return (
        Verdict.CONFIRMED,
        f"{how}{who}: {parents}{beside}",
    )


def _compared(
    uri: str,
    declared: tuple[str, ...],
    into: list[Edge],
    edges: Mapping[str, list[Edge]],
    is_checkable: Callable[[str], bool],
    rejected: frozenset[str],
) -> tuple[Verdict, str]:
    """The verdict on declared and inferred parents, those left out that people rejected."""
    checkable = [parent for parent in declared if is_checkable(parent) and parent not in rejected]
    others = [parent for parent in declared if not is_checkable(parent)]
    own = [edge for edge in edges.get(uri, ()) if not rejected & ({edge.parent, edge.child} - {uri})]
    verdict, reason = _verdict(
        uri,
        checkable,
        others,
        [edge for edge in into if edge.parent not in rejected],
        [edge for edge in own if edge.direction == "undecided"],
        {**edges, uri: own} if rejected else edges,
    )
    if rejected:
        reason = "; ".join(filter(None, (reason, f"rejected: {', '.join(sorted(rejected))}")))
    return verdict, reason


def _verdict(
    uri: str,
    checkable: list[str],
    others: list[str],
    into: list[Edge],
    open_edges: list[Edge],
    edges: Mapping[str, list[Edge]],
) -> tuple[Verdict, str]:
    if checkable:
        ancestors = _ancestors(uri, edges)
        strangers = [parent for parent in checkable if parent not in ancestors]
        if not strangers:
            direct = {edge.parent for edge in into}
            further = [parent for parent in checkable if parent not in direct]
            return Verdict.CONFIRMED, f"{further[0]} is a further ancestor" if further else ""
        if all(any(parent in (edge.parent, edge.child) for edge in open_edges) for parent in strangers):
            return Verdict.UNDECIDED, f"related to {strangers[0]}, direction undecided"
        return Verdict.CONFLICT, f"the weights do not show {strangers[0]} among its ancestors"
    unchecked = f"declares {others[0]!r}, which is not registered here" if others else ""
    if any(is_registered(edge.parent) for edge in into):
        return Verdict.UNDOCUMENTED, unchecked
    if into:
        reason = "the weights show an ancestor that is not registered"
        return (Verdict.UNDECIDED, f"{reason}; it {unchecked}") if others else (Verdict.UNDOCUMENTED, reason)
    if open_edges:
        return Verdict.UNDECIDED, "; ".join(filter(None, ("it has relatives, direction undecided", unchecked)))
    return Verdict.UNRELATED, unchecked


def _ancestors(uri: str, edges: Mapping[str, list[Edge]]) -> set[str]:
    found: set[str] = set()
    level: Iterable[str] = [uri]
    while level:
        above = {
            edge.parent
            for name in level
            for edge in edges.get(name, ())
            if edge.child == name and edge.direction == "decided"
        }
        level = sorted(above - found)
        found |= above
    return found
