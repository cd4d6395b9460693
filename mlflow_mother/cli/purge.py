"""``mlflow-mother purge``: removes everything that Mother has written."""

from __future__ import annotations

import click

from mlflow_mother.cli.options import examples
from mlflow_mother.cli.output import note
from mlflow_mother.export.text import clean


@click.command(
    epilog=examples("mlflow-mother purge", "MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow-mother purge --yes")
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(yes: bool) -> None:
    """Removes everything that Mother has written to the registry: tags, artifacts, tables.

    Models, runs and whatever people have written in MLflow stay, the tag `mother.ignore` among it. What they have
    confirmed and corrected is in Mother's tables, and lost. Asks first, since the fingerprints can only be had again by
    reading all weights. Tables that other registries use as well keep what belongs to those. For a server with
    workspaces, set MLFLOW_ENABLE_WORKSPACES=true: all of them are cleaned.
    """
    from mlflow_mother.api.registered import current_service

    service = current_service()
    if not yes:
        question = f"Remove all of Mother's tags, artifacts and tables from {service.registry.address}?"
        click.confirm(clean(question), abort=True, err=True)
    done = service.purge()
    left = f"stay for {', '.join(done.others)}" if done.others else "are gone"
    note(f"Cleaned {done.versions} versions; Mother's tables {left}.")
