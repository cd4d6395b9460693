"""Notices: what a server leaves word of for the processes that share its tables, and not its settings."""

from __future__ import annotations

from sqlalchemy import delete, select

from mlflow_mother.store.part import Part
from mlflow_mother.store.tables import notices

NAMES_WITHHELD = "names withheld"
"""Who may read one of the registry's models need not be allowed to see another."""


class Notices(Part):
    """Leaving, finding and withdrawing a notice. It stays until somebody withdraws it."""

    def has_notice(self, registry: str, notice: str) -> bool:
        """Whether somebody has left this notice for a registry, and nobody has withdrawn it."""
        mine = select(notices.c.left_at).where(notices.c.registry == registry, notices.c.notice == notice)
        with self._database.read() as connection:
            return connection.execute(mine).first() is not None

    def leave_notice(self, registry: str, notice: str) -> None:
        """Leaves a notice; one that is there already stays."""
        with self._database.write() as connection:
            row = {"registry": registry, "notice": notice, "left_at": self._database.now(connection)}
            connection.execute(self._database.insert_missing(notices).values(**row))

    def withdraw_notice(self, registry: str, notice: str) -> None:
        """Takes a notice away; there being none is fine."""
        with self._database.write() as connection:
            connection.execute(delete(notices).where(notices.c.registry == registry, notices.c.notice == notice))
