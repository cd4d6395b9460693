"""``mlflow-mother db``: the schema of Mother's tables."""

from __future__ import annotations

import click

from mlflow_mother.cli.options import examples
from mlflow_mother.cli.output import note


@click.group()
def db() -> None:
    """Mother's own tables."""


@db.command(epilog=examples("mlflow-mother db upgrade", "mlflow-mother db upgrade --uri postgresql://mlflow@db/mlflow"))
@click.option(
    "--uri",
    metavar="URI",
    help="SQLAlchemy URI of the database; where the current registry's tables are, if not given.",
)
def upgrade(uri: str | None) -> None:
    """Creates Mother's tables, or brings them to the schema of this release.

    A local SQLite file migrates itself; a database that others share only does so by this command. Back it up
    first. Only tables with the prefix `mother_` are touched.
    """
    from mlflow_mother.registry.connection import Registry
    from mlflow_mother.store import Store

    Store.upgrade(uri or Registry.current().store.uri)
    note("Mother's tables are current.")
