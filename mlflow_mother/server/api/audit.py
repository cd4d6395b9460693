"""The audit of the registry, page by page or as a table in one file."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from mlflow_mother.export.audit import SEVERITY, AuditRow
from mlflow_mother.export.text import natural_key
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.cursors import Order, Sorting, page
from mlflow_mother.server.api.documents import Document
from mlflow_mother.server.api.filters import Filter
from mlflow_mother.server.api.forest import searchable, searched
from mlflow_mother.server.api.records import AuditAnswer, AuditEntry, Cursor, Limit
from mlflow_mother.server.api.versions import decision_info
from mlflow_mother.service.families import is_registered
from mlflow_mother.service.view import Family, View
from mlflow_mother.types import Edge, Verdict

Sort = Literal["verdict", "name", "probability", "registered"]

COLUMNS = (
    *("name", "version", "verdict", "status", "declared", "inferred", "relation", "probability", "note"),
    *("registered_at", "decision", "decided_by"),
)
"""The columns of the file."""

_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""How a text begins that a spreadsheet would run; some of them take full-width signs as well."""


class AuditFilter(Filter):
    """Which versions, and in which order.

    Attributes:
        q: Part of the name of the version or of one of its parents, in any case.
        relation: Only this relation to the inferred parent.
        sort: By severity of the verdict, name, probability or registration.
        order: Upwards or downwards; what has no probability or time comes last.
    """

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


@dataclass(frozen=True, slots=True)
class _Row:
    """A row, and what it is searched and sorted by."""

    entry: AuditEntry
    text: str
    natural: tuple[Any, ...]


def audit(caller: Caller, query: AuditQuery) -> AuditAnswer:
    """Declared against inferred parents, a row for every version that the user may see."""
    fitting = _fitting(caller.view, query)
    sorting = _sorting(query.sort, query.order)
    found, following = page(fitting, sorting, query.order, query.limit, query.cursor)
    return AuditAnswer(rows=tuple(row.entry for row in found), next=following, total=len(fitting))


def audit_csv(caller: Caller, query: AuditFilter) -> Document:
    """The same rows as a file for spreadsheets, all of them; no cell is a formula."""
    sorting = _sorting(query.sort, query.order)
    rows = sorted(_fitting(caller.view, query), key=sorting.key, reverse=query.order == "desc")
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([inert(cell) for cell in _cells(row.entry)] for row in rows)
    return Document(text.getvalue(), "text/csv", "lineage-audit.csv")


def inert(text: str) -> str:
    """A cell that no spreadsheet runs: text that looks like a formula gets an apostrophe in front."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_FORMULA) else text


def _fitting(view: View, query: AuditFilter) -> list[_Row]:
    wanted = searched(query.q)
    return [
        row
        for family in view.groups
        for row in _rows_of(view, family)
        if _fits(row.entry, query) and wanted in row.text
    ]


def _fits(row: AuditEntry, query: AuditFilter) -> bool:
    return query.fits(
        verdicts=(row.verdict,), relations=(row.relation,), statuses=(row.status,), confidence=row.probability
    )


def _rows_of(view: View, family: Family) -> list[_Row]:
    return family.once("audit", lambda: _rows(view, family))


def _rows(view: View, family: Family) -> list[_Row]:
    likeliest: dict[str, Edge] = {}
    for edge in family.tree.edges:
        if edge.direction == "decided":
            best = likeliest.setdefault(edge.child, edge)
            if edge.probability > best.probability:
                likeliest[edge.child] = edge
    entries = [_entry(view, family, row, likeliest.get(uri)) for uri, row in family.rows.items()]
    return [_Row(entry, _text(entry), natural_key(entry.id)) for entry in entries]


def _text(entry: AuditEntry) -> str:
    return searchable([entry.id, *entry.declared, *filter(is_registered, entry.inferred)])


def _entry(view: View, family: Family, row: AuditRow, edge: Edge | None) -> AuditEntry:
    known, numbers, note = family.versions[row.uri], family.numbers, row.note
    decisions = view.decisions(row.uri)
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


def _sorting(sort: Sort, order: Order) -> Sorting[_Row]:
    def placed(value: float | None) -> tuple[bool, float]:
        # Last in either order.
        return (value is None) == (order == "asc"), value or 0.0

    def by_value(value_of: Callable[[AuditEntry], float | None]) -> Sorting[_Row]:
        return Sorting(
            sort,
            lambda row: (placed(value_of(row.entry)), row.natural),
            lambda row: (value_of(row.entry), row.entry.id),
            lambda value, uri: (placed(value), natural_key(uri)),
        )

    if sort == "probability":
        return by_value(lambda entry: entry.probability)
    if sort == "registered":
        return by_value(lambda entry: entry.registered_at)
    if sort == "name":
        return Sorting(sort, lambda row: (row.natural,), lambda row: (row.entry.id,), lambda uri: (natural_key(uri),))
    return Sorting(
        sort,
        lambda row: (SEVERITY.index(row.entry.verdict), row.natural),
        lambda row: (row.entry.verdict.value, row.entry.id),
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
