"""How commands speak: results on stdout, everything else on stderr; colours and progress only on a terminal.

Paths and names are anyone's: all text leaves through :func:`say` and :func:`note` or, in tables, drawings and exports,
through the same :func:`~mlflow_mother.export.text.clean`, so that none can command a terminal or forge a line.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_mother.export.text import clean
from mlflow_mother.types import Evidence, ModelTree, Record, Relation

if TYPE_CHECKING:
    from mlflow_mother.api import Progress

_PROGRESS_AFTER = 0.3
"""Seconds before a progress line appears, so that short work leaves no flicker."""
_PROGRESS_EVERY = 0.1


def say(text: str = "") -> None:
    """One line of a result, on stdout."""
    click.echo(clean(text))


def note(text: str) -> None:
    """A remark of one line for the person, on stderr."""
    click.echo(clean(text), err=True)


def print_json(value: Record | Sequence[Record] | dict[str, Any]) -> None:
    """One JSON document on stdout: a record, a list of records, or a dictionary of plain values."""
    if isinstance(value, Record):
        content: Any = value.model_dump(mode="json")
    elif isinstance(value, dict):
        content = value
    else:
        content = [item.model_dump(mode="json") for item in value]
    click.echo(json.dumps(content, indent=2))


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, styles: dict[str, str] | None = None) -> None:
    """A table on stdout: drawn by rich on a terminal, aligned plain text when piped. Names lose control characters.

    Args:
        head: Column titles.
        rows: Cells, one sequence a row.
        styles: Colours by cell text, for a terminal.
    """
    rows = [[clean(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in _aligned([[title.upper() for title in head], *rows]):
            say(line)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in head:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=(styles or {}).get(cell, "")) for cell in row))
    Console().print(table)


def print_tree(tree: ModelTree) -> None:
    """A tree drawn with lines on stdout, coloured on a terminal; ASCII signs where the encoding has no others."""
    from mlflow_mother.export.terminal import to_text

    try:
        "├─→┄".encode(sys.stdout.encoding or "utf-8")
        drawn = to_text(tree)
    except UnicodeEncodeError:
        drawn = to_text(tree, ascii_only=True)
    if not sys.stdout.isatty():
        click.echo(drawn, nl=False)
        return
    from rich.console import Console
    from rich.text import Text

    text = Text(drawn.rstrip("\n"))
    relations = "|".join(re.escape(relation.value) for relation in Relation)
    text.highlight_regex(rf"(?<=[─-] )(?:{relations})[^→┄>]*", "cyan")
    text.highlight_regex(r"\[[^\]]*\]$", "yellow")
    Console(soft_wrap=True).print(text)


def print_edges(tree: ModelTree) -> None:
    """The edges of a tree as a table on stdout, below the drawing; nothing without edges."""
    if not tree.edges:
        return
    rows = [
        (
            edge.child,
            edge.parent,
            edge.relation.value + (f" (rank {edge.rank})" if edge.rank else ""),
            f"{edge.probability:.3f}",
            edge.direction,
            edge.evidence[0].text if edge.evidence else "",
        )
        for edge in tree.edges
    ]
    say()
    head = ("child", "parent", "relation", "probability", "direction", "evidence")
    print_table(head, rows, styles={"undecided": "yellow"})


def print_evidence(evidence: Sequence[Evidence]) -> None:
    """Evidence on stdout, one reason a line, with its weight in the edge's log-odds where it has one."""
    for reason in evidence:
        weight = "" if reason.log_odds is None else f"  [{reason.log_odds:+.1f}]"
        say(f"  {reason.text}{weight}")


def print_export(tree: ModelTree, name: str) -> None:
    """A tree in one of the export formats on stdout.

    Args:
        tree: The tree.
        name: Name of a known format.
    """
    from mlflow_mother.export.exporters import exporters
    from mlflow_mother.plugins import plugins

    click.echo(exporters(plugins().exporters())[name].export(tree), nl=False)


def write_file(path: Path, text: str) -> None:
    """Writes a report and says where.

    Raises:
        click.ClickException: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(path), error.strerror or str(error)) from error
    note(f"Wrote {path}")


@contextmanager
def progress() -> Iterator[Progress | None]:
    """A progress line on stderr while the context lasts; None, and silence, unless stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    began, shown = time.monotonic(), 0.0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", visible=False)

        def update(what: str, done: int, total: int) -> None:
            nonlocal shown
            now = time.monotonic()
            if now - began > _PROGRESS_AFTER and (now - shown > _PROGRESS_EVERY or done >= total):
                shown = now
                bar.update(task, description=clean(what), completed=done, total=total or None, visible=True)

        yield update


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    from mlflow_mother.export.terminal import columns_wide

    widths = [max(columns_wide(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        padded = (cell + " " * (width - columns_wide(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()
