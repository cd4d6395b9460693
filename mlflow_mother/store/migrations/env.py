"""Runs the migrations on the connection, and in the transaction, that ``store.schema`` opened."""

from alembic import context

from mlflow_mother.store.schema import VERSION_TABLE
from mlflow_mother.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
