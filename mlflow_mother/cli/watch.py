"""``mlflow-mother watch``: follows a registry that somebody else serves."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from mlflow_mother.cli.options import examples
from mlflow_mother.cli.output import note, progress
from mlflow_mother.export.text import clean

if TYPE_CHECKING:
    from mlflow_mother.service.reconciling import Progress
    from mlflow_mother.service.watching import Watcher

SECONDS = click.FloatRange(min=0.1, max=7 * 86_400)

full_every_option = click.option(
    "--full-every",
    type=SECONDS,
    default=3600.0,
    metavar="SECONDS",
    help="Seconds between reconciliations of the whole registry, which also find what was changed or "
    "deleted (3600 by default).",
)


@click.command(
    epilog=examples(
        "MLFLOW_TRACKING_URI=https://mlflow.example.com mlflow-mother watch",
        "mlflow-mother watch --interval 10 --full-every 86400",
        "mlflow-mother watch --once",
    )
)
@click.option(
    "--interval",
    type=SECONDS,
    default=30.0,
    metavar="SECONDS",
    help="Seconds between looks for new versions; a look costs one request when there are none (30 by default).",
)
@full_every_option
@click.option("--once", is_flag=True, help="Reconcile the whole registry one time, then end.")
def watch(interval: float, full_every: float, once: bool) -> None:
    """Follows a registry on a server that has no Mother, and keeps its lineage current.

    Looks for new versions, analyses them, and from time to time reconciles the whole registry. A server that
    restarts or cannot be reached is waited for. Ends after the version at hand on Ctrl-C or SIGTERM; a second one
    ends it at once, and whatever was not finished is found by the next run.
    """
    watcher = make_watcher(interval, full_every)
    with stopped_by_signals(watcher.stop):
        if once:
            watcher.once()
        else:
            watcher.run()


def make_watcher(interval: float, full_every: float) -> Watcher:
    """The watcher of the current registry, which reports to stderr.

    Args:
        interval: Seconds between looks for new versions.
        full_every: Seconds between reconciliations of everything.

    Raises:
        click.ClickException: The registry's server has a Mother of its own.
    """
    from mlflow_mother.api.registered import current_service
    from mlflow_mother.registry.connection import give_up_soon
    from mlflow_mother.registry.standdown import has_mother
    from mlflow_mother.service.watching import Watcher

    give_up_soon()
    # Each attempt of a request, where one line says what the outcome means.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    service = current_service()
    if has_mother(service.registry):
        raise click.ClickException(
            f"{service.registry.address} has a Mother of its own, which analyses whatever is registered there. "
            "There is nothing to watch: its Lineage tab shows the result."
        )
    return Watcher(service, interval=interval, full_every=full_every, say=say, working=_working)


def say(event: str) -> None:
    """One event on stderr: as it is on a terminal, else with the time."""
    text = clean(event)
    if not sys.stderr.isatty():
        text = f"{datetime.now(timezone.utc).isoformat(timespec='seconds')} {text}"
    note(text)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Lets the first SIGINT or SIGTERM ask for an end, and the second have its usual effect."""

    def ask(_number: int, _frame: Any) -> None:
        for name, usual in before.items():
            signal.signal(name, usual)
        stop()
        # Not `note`: the signal may have come in the middle of another one.
        os.write(2, b"Stopping after the version at hand; once more to stop at once.\n")

    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    for name in before:
        signal.signal(name, ask)
    try:
        yield
    finally:
        for name, usual in before.items():
            signal.signal(name, usual)


@contextmanager
def _working() -> Iterator[Progress | None]:
    with progress() as show:
        yield None if show is None else lambda done, total: show("analysing", done, total)
