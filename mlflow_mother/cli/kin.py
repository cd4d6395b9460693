"""``mlflow-mother ancestors`` and ``mlflow-mother descendants``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlflow_mother.cli.options import examples, export_option, format_option
from mlflow_mother.cli.output import note, print_export, print_json, print_table

if TYPE_CHECKING:
    from mlflow_mother.api import Relatives


@click.command(
    epilog=examples(
        "mlflow-mother ancestors models:/classifier/3",
        "mlflow-mother ancestors models:/classifier@champion --format json",
    )
)
@click.argument("uri")
@format_option
@export_option
def ancestors(uri: str, format_: str, export: str | None) -> None:
    """Lists the registered versions that URI descends from, nearest first.

    Only edges of decided direction count.
    """
    from mlflow_mother import api

    _print(api.ancestors(uri), format_, export, "has no known ancestor")


@click.command(
    epilog=examples(
        "mlflow-mother descendants models:/base/1",
        "mlflow-mother descendants models:/base/1 --export mermaid",
    )
)
@click.argument("uri")
@format_option
@export_option
def descendants(uri: str, format_: str, export: str | None) -> None:
    """Lists the registered versions that descend from URI, nearest first.

    Only edges of decided direction count.
    """
    from mlflow_mother import api

    _print(api.descendants(uri), format_, export, "has no known descendant")


def _print(found: Relatives, format_: str, export: str | None, nobody: str) -> None:
    if export:
        print_export(found.tree, export)
    elif format_ == "json":
        print_json(found)
    elif not found.relatives:
        note(f"{found.subject} {nobody}.")
    else:
        print_table(("version", "generations"), [(one.uri, str(one.generations)) for one in found.relatives])
