"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _version_id() -> "sa.Column[int]":
    return sa.Column("version_id", sa.Integer, nullable=False)


def _of_version(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["version_id"], ["mother_versions.id"], name=f"fk_{table}_version_id", ondelete="CASCADE"
    )


def upgrade() -> None:
    """Creates all tables."""
    op.create_table(
        "mother_versions",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("registry", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("spec", sa.Text),
        sa.Column("registered_at", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("ignored", sa.Boolean, nullable=False),
        sa.Column("inference", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mother_versions"),
        sa.UniqueConstraint("registry", "name", "version", name="uq_mother_versions_registry_name_version"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mother_versions_digest", "mother_versions", ["digest"])
    op.create_table(
        "mother_work",
        _version_id(),
        sa.Column("request", sa.Integer, nullable=False),
        sa.Column("queued_at", sa.Double, nullable=False),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("token", sa.Text),
        sa.Column("lease_until", sa.Double),
        sa.PrimaryKeyConstraint("version_id", name="pk_mother_work"),
        _of_version("mother_work"),
    )
    op.create_table(
        "mother_fingerprints",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("signature", sa.Text, nullable=False),
        sa.Column("parameters", sa.BigInteger, nullable=False),
        sa.Column("coarse", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mother_fingerprints"),
        sa.UniqueConstraint("digest", "spec", name="uq_mother_fingerprints_digest_spec"),
    )
    op.create_table(
        "mother_fingerprint_data",
        sa.Column("fingerprint_id", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint_id", name="pk_mother_fingerprint_data"),
        sa.ForeignKeyConstraint(
            ["fingerprint_id"],
            ["mother_fingerprints.id"],
            name="fk_mother_fingerprint_data_fingerprint_id",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "mother_comparisons",
        sa.Column("digest_a", sa.Text, nullable=False),
        sa.Column("digest_b", sa.Text, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("digest_a", "digest_b", name="pk_mother_comparisons"),
    )
    op.create_index("ix_mother_comparisons_digest_b", "mother_comparisons", ["digest_b"])
    op.create_table(
        "mother_inferences",
        _version_id(),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("lineage", sa.LargeBinary, nullable=False),
        sa.Column("notified_at", sa.Double),
        sa.Column("notified_by", sa.Text),
        sa.PrimaryKeyConstraint("version_id", "number", name="pk_mother_inferences"),
        _of_version("mother_inferences"),
    )
    op.create_index("ix_mother_inferences_notified_at", "mother_inferences", ["notified_at"])
    op.create_table(
        "mother_edges",
        _version_id(),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("child", sa.Text, nullable=False),
        sa.Column("relation", sa.Text, nullable=False),
        sa.Column("probability", sa.Double, nullable=False),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("direction_probability", sa.Double, nullable=False),
        sa.Column("weight", sa.Double, nullable=False),
        sa.Column("rank", sa.Integer),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("version_id", "parent", "child", name="pk_mother_edges"),
        _of_version("mother_edges"),
    )
    op.create_index("ix_mother_edges_parent", "mother_edges", ["parent"])
    op.create_table(
        "mother_declared_parents",
        _version_id(),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("version_id", "position", name="pk_mother_declared_parents"),
        _of_version("mother_declared_parents"),
    )
    op.create_table(
        "mother_decisions",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=True),
        _version_id(),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parent", sa.Text),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mother_decisions"),
        _of_version("mother_decisions"),
    )
    op.create_index("ix_mother_decisions_version_id", "mother_decisions", ["version_id"])
    op.create_table(
        "mother_write_backs",
        _version_id(),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("written_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("version_id", "target", name="pk_mother_write_backs"),
        _of_version("mother_write_backs"),
    )
