"""``mlflow-mother reconcile``: does everything in the registry that is not done yet."""

from __future__ import annotations

from datetime import datetime

import click

from mlflow_mother.cli.options import examples, format_option
from mlflow_mother.cli.output import note, print_json, print_table, progress


@click.command(
    epilog=examples(
        "mlflow-mother reconcile --dry-run",
        "mlflow-mother reconcile --limit 20",
        "mlflow-mother reconcile --model classifier --since 2026-01-31",
    )
)
@click.option("--dry-run", is_flag=True, help="Only say how many versions, bytes and minutes; change nothing.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]),
    metavar="TIME",
    help="Only versions registered at or after this day or time (2026-01-31, 2026-01-31T12:00; local time).",
)
@click.option("--model", metavar="NAME", help="Only versions of this registered model.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N versions, the newest first.")
@format_option
def reconcile(dry_run: bool, since: datetime | None, model: str | None, limit: int | None, format_: str) -> None:
    """Analyses every version of the registry that has no current lineage.

    Compares the registry with Mother's own tables and does what is missing, whatever the reason: registered before
    the installation, too large for a registration, interrupted, or read with an older release. May be interrupted
    and repeated at any time. A version that cannot be read ends as `failed` or `unsupported` with a reason, and
    does not stop the others.
    """
    from mlflow_mother import api
    from mlflow_mother.registry.connection import give_up_soon

    give_up_soon()
    if dry_run:
        plan = api.reconcile(dry_run=True, since=since, model=model, limit=limit)
        if format_ == "json":
            print_json(plan)
            return
        print_table(
            ("versions", "bytes", "minutes", "unreachable", "gone"),
            [(str(plan.versions), f"{plan.bytes:,}", f"{plan.minutes:g}", str(plan.unreachable), str(plan.gone))],
        )
        note("Nothing was changed.")
        return
    with progress() as show:
        report = api.reconcile(since=since, model=model, limit=limit, progress=show)
    if format_ == "json":
        print_json(report)
        return
    rows = [
        ("analysed now", report.analysed),
        *((f"versions {status}", count) for status, count in report.by_status.items() if count),
        ("waiting", report.waiting),
        ("written back", report.written),
        ("forgotten", report.forgotten),
        ("ignored", report.ignored),
    ]
    print_table(("what", "count"), [(what, str(count)) for what, count in rows])
