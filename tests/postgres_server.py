"""A private PostgreSQL server for tests."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

_serial = itertools.count()


class PostgresServer:
    """A PostgreSQL server in a folder of its own, reachable over a socket in that folder only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        if self.user is not None:
            owner = pwd.getpwnam(self.user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        assert programs, "PostgreSQL is missing: apt-get install postgresql"
        self.programs = programs[-1]
        data = folder / "data"
        self._run("initdb", "-D", data, "-U", "mother", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
        self.process = self._start(
            "postgres",
            "-D",
            data,
            "-k",
            folder,
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=200",
        )
        deadline = time.monotonic() + 60
        while subprocess.run([self.programs / "pg_isready", "-q", "-h", folder], check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)

    def create_database(self) -> str:
        name = f"test_{next(_serial)}"
        engine = create_engine(self.uri("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.uri(name)

    def uri(self, database: str, role: str = "mother") -> str:
        return f"postgresql+psycopg2://{role}@/{database}?host={self.folder}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # at once: nobody needs what it holds
        self.process.wait(30)

    def _run(self, program: str, *arguments: object) -> None:
        assert self._start(program, *arguments).wait(60) == 0, f"{program} failed"

    def _start(self, program: str, *arguments: object) -> subprocess.Popen[bytes]:
        with (self.folder.with_suffix(".log")).open("ab") as log:
            return subprocess.Popen(
                [self.programs / program, *map(str, arguments)],
                stdout=log,
                stderr=log,
                user=self.user,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            )


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server for as long as the context lasts."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 characters
    server = PostgresServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
        folder.with_suffix(".log").unlink()
