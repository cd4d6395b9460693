"""The audit report: every version's declared and inferred parents, the worrying ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlflow_mother.export.html import listed, page, picture
from mlflow_mother.export.text import VERDICT_WORDS, counted, escape, natural_key, probability_text
from mlflow_mother.types import ModelTree, Record, Verdict

SEVERITY = (Verdict.CONFLICT, Verdict.UNDOCUMENTED, Verdict.UNDECIDED, Verdict.CONFIRMED, Verdict.UNRELATED)
"""Verdicts in the order in which an auditor wants to see them."""


class AuditRow(Record):
    """What an audit says of one model version.

    Attributes:
        uri: The version's ``models:/name/version``.
        declared: Parents that the metadata names.
        inferred: Parents that the weights show.
        verdict: The two compared.
        probability: Probability of the inferred parents; None when there is none.
        note: A remark for people; may be empty.
    """

    uri: str
    declared: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()
    verdict: Verdict
    probability: float | None = None
    note: str = ""


def audit_html(tree: ModelTree, rows: Sequence[AuditRow], *, title: str = "Lineage audit") -> str:
    """A self-contained audit report.

    Args:
        tree: The audited versions and their relations.
        rows: One row a version, in any order.
        title: Heading of the page.
    """
    counts = Counter(row.verdict for row in rows)
    tiles = "".join(_tile(verdict, counts[verdict]) for verdict in SEVERITY)
    ordered = sorted(rows, key=lambda row: (SEVERITY.index(row.verdict), natural_key(row.uri)))
    body = f"""<h1>{escape(title)}</h1>
<p class="lead soft">{counted(len(rows), "model version")}, declared parents against what their weights show.</p>
<ul class="counts">{tiles}</ul>
<h2>Versions</h2>
<div class="table"><table>
<thead><tr><th>Version</th><th>Verdict</th><th>Declared</th><th>Inferred</th><th>Probability</th><th>Note</th></tr></thead>
<tbody>
{"".join(_row(row) for row in ordered)}</tbody></table></div>
<h2>Model tree</h2>
{picture(tree)}"""
    return page(title, body)


def _tag(verdict: Verdict) -> str:
    return f'<span class="tag {verdict.value}">{verdict.value}</span>'


def _tile(verdict: Verdict, count: int) -> str:
    return f'<li><b>{count}</b>{_tag(verdict)}<div class="soft">{VERDICT_WORDS[verdict]}</div></li>'


def _row(row: AuditRow) -> str:
    probability = "" if row.probability is None else probability_text(row.probability)
    return (
        f"<tr><td>{escape(row.uri)}</td><td>{_tag(row.verdict)}</td><td>{listed(row.declared)}</td>"
        f'<td>{listed(row.inferred)}</td><td class="number">{probability}</td><td>{escape(row.note)}</td></tr>\n'
    )
