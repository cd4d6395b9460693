"""The tables, all prefixed ``mother_``. A change here needs a new migration; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _version_id(*, primary_key: bool = False) -> Column[int]:
    return Column(
        "version_id",
        Integer,
        ForeignKey("mother_versions.id", ondelete="CASCADE"),
        nullable=False,
        primary_key=primary_key,
    )


versions = Table(
    "mother_versions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("registry", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("digest", Text),
    Column("spec", Text),
    Column("registered_at", Double),
    Column("created_at", Double, nullable=False),
    Column("ignored", Boolean, nullable=False),
    Column("inference", Integer, nullable=False),
    UniqueConstraint("registry", "name", "version"),
    Index(None, "digest"),
    # An id given out twice would let a late writer hit a version that took a forgotten one's place.
    sqlite_autoincrement=True,
)
"""The registered versions; ``inference`` is the number of the current one, 0 for none."""

work = Table(
    "mother_work",
    metadata,
    _version_id(primary_key=True),
    Column("request", Integer, nullable=False),
    Column("queued_at", Double, nullable=False),
    Column("not_before", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("owner", Text),
    Column("token", Text),
    Column("lease_until", Double),
)
"""What is to be done: a row for each version that waits for a worker or has one."""

fingerprints = Table(
    "mother_fingerprints",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("digest", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("coarse", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("digest", "spec"),
)
"""One row for each distinct set of weights, small enough to scan."""

fingerprint_data = Table(
    "mother_fingerprint_data",
    metadata,
    Column(
        "fingerprint_id",
        Integer,
        ForeignKey("mother_fingerprints.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
    ),
    Column("data", LargeBinary, nullable=False),
)
"""The serialised fingerprints, apart so that a scan of the coarse vectors does not pass over them."""

comparisons = Table(
    "mother_comparisons",
    metadata,
    Column("digest_a", Text, primary_key=True, nullable=False),
    Column("digest_b", Text, primary_key=True, nullable=False),
    Column("spec", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index(None, "digest_b"),
)
"""Cache of pairwise comparisons, ``digest_a <= digest_b``: one a pair, by the last engine that made it."""

inferences = Table(
    "mother_inferences",
    metadata,
    _version_id(primary_key=True),
    Column("number", Integer, primary_key=True, nullable=False),
    Column("engine", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("lineage", LargeBinary, nullable=False),
    Column("notified_at", Double),
    Column("notified_by", Text),
    Index(None, "notified_at"),
)
"""Every result ever committed, and whether its notification was taken."""

edges = Table(
    "mother_edges",
    metadata,
    _version_id(primary_key=True),
    Column("parent", Text, primary_key=True, nullable=False),
    Column("child", Text, primary_key=True, nullable=False),
    Column("relation", Text, nullable=False),
    Column("probability", Double, nullable=False),
    Column("direction", Text, nullable=False),
    Column("direction_probability", Double, nullable=False),
    Column("weight", Double, nullable=False),
    Column("rank", Integer),
    Column("evidence", Text, nullable=False),
    Index(None, "parent"),
)
"""The current inferences' edges in a form that SQL can search."""

declared_parents = Table(
    "mother_declared_parents",
    metadata,
    _version_id(primary_key=True),
    Column("position", Integer, primary_key=True, nullable=False),
    Column("parent", Text, nullable=False),
    Column("source", Text, nullable=False),
)
"""What metadata says."""

decisions = Table(
    "mother_decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    _version_id(),
    Column("kind", Text, nullable=False),
    Column("parent", Text),
    Column("by", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("note", Text, nullable=False),
    Index(None, "version_id"),
)
"""What people say, append-only."""

write_backs = Table(
    "mother_write_backs",
    metadata,
    _version_id(primary_key=True),
    Column("target", Text, primary_key=True, nullable=False),
    Column("number", Integer, nullable=False),
    Column("written_at", Double, nullable=False),
)
"""Which inference MLflow's tags and artifacts show."""

leases = Table(
    "mother_leases",
    metadata,
    Column("name", Text, primary_key=True, nullable=False),
    Column("owner", Text, nullable=False),
    Column("renewed_at", Double, nullable=False),
    Column("until", Double, nullable=False),
)
"""Who of all processes may do what only one shall do."""

notices = Table(
    "mother_notices",
    metadata,
    Column("registry", Text, primary_key=True, nullable=False),
    Column("notice", Text, primary_key=True, nullable=False),
    Column("left_at", Double, nullable=False),
)
"""What a server has left word of for processes beside it, which share its tables and not its settings."""
