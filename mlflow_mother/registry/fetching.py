"""One file out of an artifact store, never more bytes than it may have, never onto a disk that cannot hold it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

from mlflow_mother.errors import RegistryError

SPARE_BYTES = 64 << 20
"""What a download leaves free on the disk, for everybody else who writes there."""

_CHUNK = 1 << 20


class Source(Protocol):
    """What is needed of MLflow's ``ArtifactRepository``."""

    def _download_file(self, remote_file_path: str, local_path: str) -> Any: ...


def fetch(repository: Source, path: str, target: Path, at_most: int, what: str) -> None:
    """Fetches one file.

    What a tracking server or a web server streams is cut off where it becomes too long. Other stores write by
    themselves; they list true lengths, and the caller compares.

    Args:
        repository: MLflow's repository.
        path: The file's path in it.
        target: Where to write it.
        at_most: The length that the store has listed.
        what: What to call the file in messages.

    Raises:
        RegistryError: The disk has no room for it, or more comes than was listed.
    """
    free = shutil.disk_usage(target.parent).free
    if at_most + SPARE_BYTES > free:
        raise RegistryError(
            f"{what} needs {at_most:,} bytes, and {target.parent.parent} has {free:,} left.",
            "Make room there, or name another folder in TMPDIR, and run `mlflow-mother reconcile`.",
        )
    from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

    if isinstance(repository, HttpArtifactRepository) and not _downloads_in_parts(repository):
        _stream(repository, path, target, at_most, what)
    else:
        repository._download_file(path, str(target))


def _downloads_in_parts(repository: Any) -> bool:
    """Whether MLflow fetches ranges of the file from the cloud, past the server."""
    enabled = getattr(repository, "_is_multipart_download_enabled", None)
    return enabled is not None and bool(enabled())


def _stream(repository: Any, path: str, target: Path, at_most: int, what: str) -> None:
    from mlflow.utils import rest_utils

    mlflow: Any = rest_utils  # MLflow leaves it untyped.
    with mlflow.http_request(repository._host_creds, f"/{path}", "GET", stream=True) as response:
        mlflow.augmented_raise_for_status(response)
        received = 0
        with target.open("wb") as file:
            for chunk in response.iter_content(_CHUNK):
                received += len(chunk)
                if received > at_most:
                    raise RegistryError(
                        f"{what} is longer than the {at_most:,} bytes that its store lists.",
                        "Run `mlflow-mother reconcile` to try again; mistrust the store if that does not help.",
                    )
                file.write(chunk)
