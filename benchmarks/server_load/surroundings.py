"""The servers and databases of the test suite, which serve here as well."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TESTS = Path(__file__).parents[2] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "server"), str(_TESTS / "registry")]

from mlflow_servers import Config, Server, descendants, running  # noqa: E402
from postgres_server import PostgresServer, postgres_server  # noqa: E402
from registry_samples import empty_mlflow_database  # noqa: E402

__all__ = ["Config", "Databases", "Server", "databases", "processor_seconds", "running"]


class Databases:
    """Fresh MLflow databases of one kind.

    Args:
        template: An empty SQLite one, to copy.
        postgres: Where to make others instead.
    """

    def __init__(self, template: Path | None, postgres: PostgresServer | None) -> None:
        self._template = template
        self._postgres = postgres

    def fresh(self, folder: Path) -> str:
        """URI of a database of its own for a server in ``folder``."""
        if self._postgres is not None:
            return self._postgres.create_database()
        assert self._template is not None
        shutil.copyfile(self._template, folder / "mlflow.db")
        return f"sqlite:///{folder}/mlflow.db"


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[Databases]:
    """Databases of a kind for as long as the context lasts.

    Args:
        kind: ``sqlite`` or ``postgresql``; the latter from Debian's package, with a server of its own.
        folder: Where to keep the template.
    """
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if kind == "sqlite":
        template = folder / "template"
        template.mkdir()
        yield Databases(empty_mlflow_database(template), None)
        return
    with postgres_server() as postgres:
        yield Databases(None, postgres)


def processor_seconds(server: Server) -> tuple[float, float]:
    """What a server's processes have taken of the machine's processors until now, and what its worker has."""
    seconds, worker = [0.0, 0.0], server.worker()
    for process in (server.process.pid, *descendants(server.process.pid)):
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            seconds[process == worker] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds[0], seconds[1]
