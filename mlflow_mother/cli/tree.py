"""``mlflow-mother tree``: the model tree of files, folders and registered models."""

from __future__ import annotations

import click

from mlflow_mother.cli.exit_codes import ExitCode
from mlflow_mother.cli.options import examples, export_option, format_option
from mlflow_mother.cli.output import note, print_edges, print_export, print_json, print_tree, progress
from mlflow_mother.types import Status


@click.command(
    epilog=examples(
        "mlflow-mother tree ./checkpoints",
        "mlflow-mother tree base.safetensors ./runs/*/model.pt --format json",
        "mlflow-mother tree models:/classifier",
        "mlflow-mother tree ./checkpoints --export svg > tree.svg",
    )
)
@click.argument("paths", nargs=-1, required=True)
@format_option
@export_option
def tree(paths: tuple[str, ...], format_: str, export: str | None) -> ExitCode:
    """Prints the model tree of PATHS: which of them was made from which, and how.

    A path is a weight file, a model directory, a folder of both, or `models:/name` for the versions of a registered
    model together with the rest of their families. Files need no registry, and nothing is written. A model that
    cannot be read is named, the others are compared all the same, and the exit status is 3.
    """
    from mlflow_mother import api

    with progress() as show:
        found = api.tree(*paths, progress=show)
    if export:
        print_export(found, export)
    elif format_ == "json":
        print_json(found)
    else:
        print_tree(found)
        print_edges(found)
    bad = (Status.FAILED, Status.UNSUPPORTED)
    unread = [node for node in found.nodes if node.status in bad and not node.id.startswith("models:/")]
    for node in unread:
        note(f"Not read: {node.note}")
    return ExitCode.UNREADABLE if unread else ExitCode.FINE
