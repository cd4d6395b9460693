"""Writes a result where MLflow's users look: tags on the version, files beside the model.

The files go to ``mother/<name>/<version>/`` of the version's LoggedModel, else of its run, else nowhere but Mother's
store. Name and version are in the path because several versions can share one LoggedModel.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow_mother.registry.artifacts import OWN_FOLDER, Repository, open_repository
from mlflow_mother.registry.connection import NotFoundError, Registry, mlflow_errors
from mlflow_mother.registry.fetching import fetch
from mlflow_mother.registry.tags import READ, WRITTEN, TagSet, key
from mlflow_mother.registry.versions import RegisteredVersion
from mlflow_mother.types import ModelVersionRef

LINEAGE_JSON = "lineage.json"
LINEAGE_HTML = "lineage.html"
FINGERPRINT = "fingerprint.safetensors"
SOURCE_JSON = "fingerprint.json"

MAX_FINGERPRINT = 8 << 20
"""Largest foreign fingerprint file that is fetched, in bytes."""

MAX_SOURCE_JSON = 1 << 20


@dataclass(frozen=True)
class Place:
    """Where a version's files by Mother are.

    Attributes:
        repository: MLflow's repository of the LoggedModel or the run.
        root: The repository's address.
        folder: ``mother/<name>/<version>``.
    """

    repository: Repository
    root: str
    folder: str

    def write(self, files: Mapping[str, bytes]) -> None:
        """Writes files by name; one that is there already is replaced."""
        with (
            mlflow_errors(f"The artifacts under {self.folder!r} could not be written"),
            tempfile.TemporaryDirectory(prefix="mother-") as folder,
        ):
            for name, data in files.items():
                Path(folder, name).write_bytes(data)
            self.repository.log_artifacts(folder, self.folder)

    def sizes(self) -> Mapping[str, int]:
        """Length in bytes of the files that are there, by name."""
        return {i.path.rpartition("/")[2]: i.file_size or 0 for i in self._listed(self.folder) if not i.is_dir}

    def read(self, name: str) -> bytes:
        """One file's content."""
        with (
            mlflow_errors(f"{self.folder}/{name} could not be fetched"),
            tempfile.TemporaryDirectory(prefix="mother-") as folder,
        ):
            target = Path(folder, name)
            fetch(self.repository, f"{self.folder}/{name}", target, MAX_FINGERPRINT, f"{self.folder}/{name}")
            return target.read_bytes()

    def delete(self) -> None:
        """Deletes the folder; there being none is fine."""
        self._delete(self.folder)

    def delete_all(self) -> None:
        """Deletes the folders of all versions of this model or run: also of those since renamed or deleted."""
        self._delete(OWN_FOLDER)

    def _delete(self, folder: str) -> None:
        if self._listed(folder):
            with mlflow_errors(f"The artifacts under {folder!r} could not be deleted"):
                self.repository.delete_artifacts(folder)

    def _listed(self, folder: str) -> list[Any]:
        """What is in a folder; nothing when there is none."""
        with mlflow_errors(f"The artifacts under {folder!r} could not be listed"):
            try:
                return list(self.repository.list_artifacts(folder))
            except Exception as error:
                if _is_missing(error):
                    return []
                raise


def place_of(registry: Registry, version: RegisteredVersion) -> Place | None:
    """Where this version's files go: its LoggedModel, else its run; None when it has neither."""
    root = next(_roots(registry, version), None)
    if root is None or version.ref.name in (".", ".."):
        return None
    with mlflow_errors(f"The artifact store of {version.ref.uri} could not be opened"):
        return Place(open_repository(registry, root), root, folder_of(version.ref))


def folder_of(ref: ModelVersionRef) -> str:
    """Path of a version's files below the LoggedModel or run: ``mother/<name>/<version>``."""
    return f"{OWN_FOLDER}/{ref.name}/{ref.version}"


def write_tags(registry: Registry, version: RegisteredVersion, tags: TagSet) -> bool:
    """Makes a version's tags say this; whether anything had to be written.

    Stale and inherited tags are deleted first, the status comes last: a reader who sees ``done`` sees all of it.

    Raises:
        NotFoundError: The version was deleted.
        ForbiddenError: This process may not write them.
        RegistryError: The registry cannot be written.
    """
    values, stale = tags.changes(version.tags, dotted=registry.dotted_tags)
    ref = version.ref
    with mlflow_errors(f"The tags of {ref.uri} could not be written"):
        for name in stale:
            registry.versions_client.delete_model_version_tag(ref.name, ref.version, name)
        for name, value in values.items():
            registry.versions_client.set_model_version_tag(ref.name, ref.version, name, value)
    return bool(values or stale)


def remove_tags(registry: Registry, version: RegisteredVersion) -> int:
    """Deletes the tags that Mother wrote; what people set (``mother.ignore``) stays. Returns how many they were."""
    kept = {key(name, dotted=dotted) for name in READ for dotted in (True, False)}
    ours = {key(name, dotted=dotted) for name in WRITTEN for dotted in (True, False)} - kept
    found = [name for name in version.tags if name in ours]
    with mlflow_errors(f"The tags of {version.ref.uri} could not be deleted"):
        for name in found:
            registry.versions_client.delete_model_version_tag(version.ref.name, version.ref.version, name)
    return len(found)


def _roots(registry: Registry, version: RegisteredVersion) -> Iterator[str]:
    """Artifact roots that may take the files, best first."""
    if version.model_id:
        try:
            with mlflow_errors(f"LoggedModel {version.model_id} could not be read"):
                yield registry.client.get_logged_model(version.model_id).artifact_location
        except NotFoundError:
            pass
    if version.run_id:
        try:
            with mlflow_errors(f"Run {version.run_id} could not be read"):
                yield registry.client.get_run(version.run_id).info.artifact_uri
        except NotFoundError:
            pass


def _is_missing(error: Exception) -> bool:
    response = getattr(error, "response", None)
    return getattr(response, "status_code", None) == 404 or isinstance(error, FileNotFoundError)
