"""The audit report: every version's declared and inferred parents, the worrying ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mlflow_mother.export.html import listed, page, picture, verdict_cell
from mlflow_mother.export.text import VERDICT_WORDS, escape, natural_key, probability_text
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
    tiles = "".join(
        f'<li class="{v.value}"><b>{counts[v]}</b><span class="tag">{v.value}</span></li>' for v in SEVERITY
    )
    ordered = sorted(rows, key=lambda row: (SEVERITY.index(row.verdict), natural_key(row.uri)))
    meanings = "".join(f"<li><b>{v.value}</b>: {VERDICT_WORDS[v]}.</li>" for v in SEVERITY)
    body = f"""<h1>{escape(title)}</h1>
<p class="lead soft">{len(rows)} model versions, declared parents against what their weights show.</p>
<ul class="counts">{tiles}</ul>
<h2>Versions</h2>
<div class="table"><table>
<thead><tr><th>Version</th><th>Verdict</th><th>Declared</th><th>Inferred</th><th>Probability</th><th>Note</th></tr></thead>
<tbody>
{"".join(_row(row) for row in ordered)}</tbody></table></div>
<details><summary>What the verdicts mean</summary><ul>{meanings}</ul></details>
<h2>Model tree</h2>
{picture(tree)}"""
    return page(title, body)


def _row(row: AuditRow) -> str:
    probability = "" if row.probability is None else probability_text(row.probability)
    return (
        f"<tr><td>{escape(row.uri)}</td><td>{verdict_cell(row.verdict)}</td><td>{listed(row.declared)}</td>"
        f'<td>{listed(row.inferred)}</td><td class="number">{probability}</td><td>{escape(row.note)}</td></tr>\n'
    )
