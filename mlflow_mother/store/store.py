"""The store's one class: all its parts over one database."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from mlflow_mother.errors import StoreError
from mlflow_mother.fingerprint.record import SPEC
from mlflow_mother.store import schema
from mlflow_mother.store.comparisons import Comparisons
from mlflow_mother.store.database import Database
from mlflow_mother.store.delivery import Delivery
from mlflow_mother.store.fingerprints import Fingerprints
from mlflow_mother.store.inferences import Inferences
from mlflow_mother.store.kinship import Kinship
from mlflow_mother.store.leases import Leases
from mlflow_mother.store.notices import Notices
from mlflow_mother.store.overview import Overview
from mlflow_mother.store.queue import WorkQueue
from mlflow_mother.store.statements import Statements
from mlflow_mother.store.versions import Versions


class Store(
    WorkQueue, Versions, Fingerprints, Comparisons, Inferences, Kinship, Statements, Delivery, Leases, Notices, Overview
):
    """Everything that Mother remembers.

    One object a process and database is enough: it may be used by several threads and survives a fork. Every call is
    one short transaction; nothing stays open between calls.

    Attributes:
        spec: The fingerprint spec that this release computes; fingerprints of others are never handed out.
    """

    @classmethod
    def open(cls, uri: str, *, local: bool, spec: str = SPEC) -> Store:
        """Opens Mother's tables in a database.

        Args:
            uri: SQLAlchemy URI of a SQLite file or a PostgreSQL database; it may be MLflow's own.
            local: Whether this process may create and migrate the tables by itself: right for Mother's own file and
                for a registry that is a SQLite file, wrong for a database that others share. A SQLite file that holds
                nothing but Mother's tables is switched to write-ahead logging.
            spec: The fingerprint spec to work with.

        Raises:
            SchemaOutdatedError: The tables are missing or of another revision, and may not be migrated from here.
            StoreError: The database cannot be reached, or is of an unsupported kind.
        """
        store = cls(Database(uri), spec)
        try:
            if local:
                store._prepare()
            else:
                store.check()
        except BaseException:
            store.close()
            raise
        return store

    @staticmethod
    def upgrade(uri: str) -> None:
        """Creates or migrates the tables of a shared database: what ``mlflow-mother db upgrade`` and the server do.

        Raises:
            SchemaOutdatedError: The tables were made by a newer release.
            StoreError: The database cannot be reached, or is of an unsupported kind.
        """
        database = Database(uri)
        try:
            schema.upgrade(database)
        finally:
            database.close()

    def check(self) -> None:
        """Makes sure that the tables are those that this release needs.

        Raises:
            SchemaOutdatedError: They are not; the remedy says what to run.
        """
        schema.check(self._database)

    def purge(self) -> None:
        """Drops all of Mother's tables, and no others. The store cannot be used afterwards."""
        schema.drop(self._database)

    def turn(self) -> AbstractContextManager[None]:
        """For writes of MLflow's that Mother asks for: a time in which none of Mother's own gets in the way.

        Nothing of the store's may be written within it.
        """
        return self._database.turn()

    def close(self) -> None:
        """Closes the connections; the next call opens new ones."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        file = self._database.file
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"The folder of Mother's database {self._database} cannot be made: {error.strerror}.",
                    "Set MLFLOW_MOTHER_HOME to a folder that you may write.",
                ) from error
        if schema.revision(self._database) != schema.REVISION:
            if file is not None:
                schema.use_wal(self._database)
            schema.upgrade(self._database)
