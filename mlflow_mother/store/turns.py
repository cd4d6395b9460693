"""Keeps Mother from crowding MLflow out of a SQLite file that the two share.

SQLite lets one process write at a time, and the others poll for the lock with no regard to who came first. Eight
processes full of Mother's small transactions can keep one of MLflow's own waiting until it gives up. So Mother's
processes take turns with each other first, and each turn ends with a pause as long as the turn: of all the time, at
least half is left to MLflow.

The turns are about courtesy alone. Where they cannot be had (no ``fcntl``, no temporary folder, a folder of somebody
else's in its place), nothing waits, and nobody waits for long for a process that was stopped in the middle of its turn.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LONGEST_PAUSE = 0.1
"""Seconds: SQLite's pollers look again at least this often."""

LONGEST_WAIT = 3.0
"""Seconds after which a write goes ahead without its turn; eight busy processes wait about half of that."""

_LOOK_AGAIN = 0.02


@contextmanager
def turn(file: Path) -> Iterator[None]:
    """Waits until no other of Mother's processes (or threads) writes to a SQLite file, and holds them off.

    It waits no longer than :data:`LONGEST_WAIT`.

    Args:
        file: The database. A turn must not be taken within another.
    """
    handle = _open(file)
    try:
        if handle is not None:
            _wait(handle)
        began = time.monotonic()
        yield
        if handle is not None:
            time.sleep(min(time.monotonic() - began, LONGEST_PAUSE))
    finally:
        if handle is not None:
            os.close(handle)


def _wait(handle: int) -> None:
    until = time.monotonic() + LONGEST_WAIT
    while not _locked(handle) and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN)


def _locked(handle: int) -> bool:
    """Locks the file if nobody else has."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _open(file: Path) -> int | None:
    """The file that is locked for a turn at a database; None where there are no turns."""
    if fcntl is not None:
        name = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:24]
        with suppress(OSError), _folder() as folder:
            if folder is not None:
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                return os.open(f"{name}.lock", flags, 0o600, dir_fd=folder)
    return None


@contextmanager
def _folder() -> Iterator[int | None]:
    """This user's folder of locks, open.

    Everybody knows its name and may write beside it, so that anything may be there: None unless it is a folder, this
    user's, and nobody else may write it. It is looked at through a handle, which nobody can exchange afterwards.
    """
    user = os.geteuid()
    path = Path(tempfile.gettempdir(), f"mlflow-mother-{user}")
    path.mkdir(mode=0o700, exist_ok=True)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(folder)
        others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        yield folder if found.st_uid == user and not others_write else None
    finally:
        os.close(folder)
