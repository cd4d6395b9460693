"""Leases: of all processes that share the database, at most one holds a name at a time."""

from __future__ import annotations

from sqlalchemy import delete, or_, select, update

from mlflow_mother.store.part import Part
from mlflow_mother.store.records import Lease
from mlflow_mother.store.tables import leases


class Leases(Part):
    """Taking, prolonging and giving back a name. One that its holder stops prolonging becomes free by itself."""

    def take_lease(self, name: str, owner: str, seconds: float) -> bool:
        """Takes a free name, or prolongs one that ``owner`` holds.

        Args:
            name: What is held.
            owner: Who takes it; unique to the process.
            seconds: How long others keep their hands off it from now on.

        Returns:
            Whether ``owner`` holds it now.
        """
        with self._database.write() as connection:
            now = self._database.now(connection)
            connection.execute(
                self._database.insert_missing(leases).values(name=name, owner="", renewed_at=now, until=now)
            )
            mine = or_(leases.c.until <= now, leases.c.owner == owner)
            taken = update(leases).where(leases.c.name == name, mine)
            values = {"owner": owner, "renewed_at": now, "until": now + seconds}
            return connection.execute(taken.values(**values)).rowcount == 1

    def return_lease(self, name: str, owner: str) -> None:
        """Frees a name at once, if ``owner`` holds it."""
        with self._database.write() as connection:
            connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))

    def lease(self, name: str) -> Lease | None:
        """Who holds a name, or held it last; None when nobody ever did, or gave it back."""
        with self._database.read() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name)).first()
            if row is None:
                return None
            now = self._database.now(connection)
        return Lease(name=row.name, owner=row.owner, renewed_at=row.renewed_at, held=row.until > now)
