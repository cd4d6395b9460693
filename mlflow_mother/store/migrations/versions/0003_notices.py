"""Notices."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "mother_notices",
        sa.Column("registry", sa.Text, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("left_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("registry", "notice", name="pk_mother_notices"),
    )
