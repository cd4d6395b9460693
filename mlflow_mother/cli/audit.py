"""``mlflow-mother audit``: declared against inferred parents, for people and for CI."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from mlflow_mother.cli.exit_codes import ExitCode
from mlflow_mother.cli.options import examples, export_option, format_option
from mlflow_mother.cli.output import note, print_export, print_json, print_table, write_file
from mlflow_mother.types import Verdict

_STYLES = {"confirmed": "green", "undocumented": "yellow", "conflict": "bold red", "undecided": "dim"}


@click.command(
    epilog=examples(
        "mlflow-mother audit",
        "mlflow-mother audit --fail-on conflict --fail-on undocumented",
        "mlflow-mother audit --html report.html",
    )
)
@click.option(
    "--fail-on",
    type=click.Choice([verdict.value for verdict in Verdict]),
    multiple=True,
    help="End with status 1 when a version has this verdict; may be given several times.",
)
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a report that needs no other file.",
)
@format_option
@export_option
def audit(fail_on: tuple[str, ...], html: Path | None, format_: str, export: str | None) -> ExitCode:
    """Compares declared with inferred parents for every version of the registry.

    A verdict is `confirmed`, `undocumented`, `conflict`, `unrelated` or `undecided`. Versions that were never
    analysed are not in it: run `mlflow-mother reconcile` first. Versions with the tag `mother.ignore` are left out.
    """
    from mlflow_mother import api

    found = api.audit()
    if export:
        print_export(found.tree, export)
    elif format_ == "json":
        print_json(found.rows)
    else:
        rows = [
            (
                row.uri,
                row.verdict.value,
                ", ".join(row.declared),
                ", ".join(row.inferred),
                "" if row.probability is None else f"{row.probability:.3f}",
                row.note,
            )
            for row in found.rows
        ]
        print_table(("version", "verdict", "declared", "inferred", "probability", "note"), rows, styles=_STYLES)
        counts = Counter(row.verdict.value for row in found.rows)
        note(", ".join(f"{counts[verdict.value]} {verdict.value}" for verdict in Verdict))
    if html is not None:
        write_file(html, found.to_html())
    return ExitCode.FINDINGS if found.with_verdict(fail_on) else ExitCode.FINE
