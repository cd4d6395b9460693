"""The audit of the registry, page by page or as a table in one file."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timezone
from typing import Any, Literal

from mlflow_mother.export.audit import SEVERITY, AuditRow
from mlflow_mother.export.text import natural_key
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.cursors import Order, Sorting, page
from mlflow_mother.server.api.documents import Document
from mlflow_mother.server.api.forest import searchable, searched
from mlflow_mother.server.api.records import AuditAnswer, AuditEntry, Cursor, Limit, Share, Words
from mlflow_mother.server.api.versions import decision_info
from mlflow_mother.service.families import is_registered
from mlflow_mother.service.forest import View
from mlflow_mother.service.groups import numbers_of
from mlflow_mother.types import Edge, Record, Relation, Status, Verdict

Sort = Literal["verdict", "name", "probability", "registered"]

COLUMNS = (
    *("name", "version", "verdict", "status", "declared", "inferred", "relation", "probability", "note"),
    *("registered_at", "decision", "decided_by"),
)
"""The columns of the file."""

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""How a text begins that a spreadsheet would run; some of them take full-width signs as well."""


class AuditFilter(Record):
    """Which versions, and in which order.

    Attributes:
        q: Part of the name of the version or of one of its parents, in any case.
        verdict: Only this verdict.
        relation: Only this relation to the inferred parent.
        status: Only this status.
        min_confidence: Only inferred parents at least so probable.
        max_confidence: Only inferred parents at most so probable.
        sort: By severity of the verdict, name, probability or registration.
        order: Upwards or downwards; what has no probability or time comes last.
    """

    q: Words = ""
    verdict: Verdict | None = None
    relation: Relation | None = None
    status: Status | None = None
    min_confidence: Share | None = None
    max_confidence: Share | None = None
    sort: Sort = "verdict"
    order: Order = "asc"


class AuditQuery(AuditFilter):
    """A page of it.

    Attributes:
        limit: Most rows of a page.
        cursor: ``next`` of the page before.
    """

    limit: Limit = 50
    cursor: Cursor | None = None


def audit(caller: Caller, query: AuditQuery) -> AuditAnswer:
    """Declared against inferred parents, a row for every version that the user may see."""
    sorting = _sorting(query.sort, query.order)
    fitting = _fitting(caller.view, query, sorting)
    found, following = page(fitting, sorting, query.order, query.limit, query.cursor)
    return AuditAnswer(rows=tuple(found), next=following, total=len(fitting))


def audit_csv(caller: Caller, query: AuditFilter) -> Document:
    """The same rows as a file for spreadsheets, all of them; no cell is a formula."""
    rows = _fitting(caller.view, query, _sorting(query.sort, query.order))
    if query.order == "desc":
        rows.reverse()
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([inert(cell) for cell in _cells(row)] for row in rows)
    return Document(text.getvalue(), "text/csv", "lineage-audit.csv")


def inert(text: str) -> str:
    """A cell that no spreadsheet runs: text that looks like a formula gets an apostrophe in front."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) else text


def _fitting(view: View, query: AuditFilter, sorting: Sorting[AuditEntry]) -> list[AuditEntry]:
    entries = view.once("audit", lambda: _entries(view))
    ordered = view.once(("audit", query.sort, query.order), lambda: sorted(entries, key=sorting.of))
    texts = view.once("audit texts", lambda: {row.id: _text(row) for row in entries})
    wanted = searched(query.q)
    return [row for row in ordered if _fits(row, query) and wanted in texts[row.id]]


def _fits(row: AuditEntry, query: AuditFilter) -> bool:
    least, most = query.min_confidence, query.max_confidence
    return (
        (query.verdict is None or row.verdict is query.verdict)
        and (query.relation is None or row.relation is query.relation)
        and (query.status is None or row.status is query.status)
        and (least is None or (row.probability is not None and row.probability >= least))
        and (most is None or (row.probability is not None and row.probability <= most))
    )


def _text(row: AuditEntry) -> str:
    return searchable([row.id, *row.declared, *filter(is_registered, row.inferred)])


def _entries(view: View) -> list[AuditEntry]:
    numbers = numbers_of(view)
    likeliest: dict[str, Edge] = {}
    for edge in view.tree.edges:
        if edge.direction == "decided":
            best = likeliest.setdefault(edge.child, edge)
            if edge.probability > best.probability:
                likeliest[edge.child] = edge
    return [_entry(view, row, likeliest.get(uri), numbers) for uri, row in view.rows.items()]


def _entry(view: View, row: AuditRow, edge: Edge | None, numbers: dict[str, str]) -> AuditEntry:
    known = view.versions[row.uri]
    decisions = view.decisions(row.uri)
    note = row.note
    for parent in row.inferred:
        if parent in numbers:
            note = note.replace(parent, numbers[parent])
    return AuditEntry(
        id=row.uri,
        name=known.ref.name,
        version=known.ref.version,
        declared=row.declared,
        inferred=tuple(numbers.get(parent, parent) for parent in row.inferred),
        relation=edge.relation if edge else None,
        verdict=row.verdict,
        probability=row.probability,
        status=known.status,
        note=note,
        registered_at=known.registered_at,
        decision=decision_info(decisions[-1]) if decisions else None,
    )


def _sorting(sort: Sort, order: Order) -> Sorting[AuditEntry]:
    def placed(value: float | None) -> tuple[bool, float]:
        # Last in either order.
        return (value is None) == (order == "asc"), value or 0.0

    def by_value(value: float | None, uri: str) -> tuple[Any, ...]:
        return placed(value), natural_key(uri)

    if sort == "probability":
        return Sorting(sort, lambda row: (row.probability, row.id), by_value)
    if sort == "registered":
        return Sorting(sort, lambda row: (row.registered_at, row.id), by_value)
    if sort == "name":
        return Sorting(sort, lambda row: (row.id,), lambda uri: (natural_key(uri),))
    return Sorting(
        sort,
        lambda row: (row.verdict.value, row.id),
        lambda verdict, uri: (SEVERITY.index(Verdict(verdict)), natural_key(uri)),
    )


def _cells(row: AuditEntry) -> list[str]:
    said = row.decision
    registered = row.registered_at
    return [
        row.name,
        row.version,
        row.verdict.value,
        row.status.value,
        " | ".join(row.declared),
        " | ".join(row.inferred),
        row.relation.value if row.relation else "",
        "" if row.probability is None else f"{row.probability:.4f}",
        row.note,
        "" if registered is None else datetime.fromtimestamp(registered, timezone.utc).isoformat(timespec="seconds"),
        f"{said.kind} {said.parent or 'no parent'}" if said else "",
        (said.by or "") if said else "",
    ]
