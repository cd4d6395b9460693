"""A version's files, wherever MLflow keeps them, one file at a time.

``mlflow.artifacts.download_artifacts("models:/A/1")`` is never called: it fetches everything at once and writes a
file of its own into the user's directory when the store is local. Instead a version's address is followed down to a
real location, and MLflow's repository for that location lists it and hands out single files, in place when local.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from mlflow_mother.errors import RegistryError, UnsafeFileError, WeightsError
from mlflow_mother.registry.connection import NotFoundError, Registry, mlflow_errors
from mlflow_mother.registry.fetching import fetch
from mlflow_mother.registry.versions import RegisteredVersion
from mlflow_mother.weights.model import LocalFiles, ModelFiles

OWN_FOLDER = "mother"
"""Mother's own folder beside a model's files; never part of the model."""

MAX_FILES = 100_000
MAX_DEPTH = 32
MAX_HOPS = 16
MAX_RUN_MODELS = 200


class Repository(Protocol):
    """What Mother uses of MLflow's ``ArtifactRepository``."""

    def list_artifacts(self, path: str | None = None) -> Any:
        """Entries directly under a folder, each with ``path``, ``is_dir`` and ``file_size``."""

    def _download_file(self, remote_file_path: str, local_path: str) -> Any: ...

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> Any:
        """Copies a local folder's content into the repository."""

    def delete_artifacts(self, artifact_path: str | None = None) -> Any:
        """Deletes a folder."""


@dataclass(frozen=True)
class OfModel:
    """A model's files without Mother's own.

    Attributes:
        files: All files.
    """

    files: ModelFiles

    @property
    def id(self) -> str:
        """What to call the model in messages."""
        return self.files.id

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        return {path: size for path, size in self.files.sizes().items() if not path.startswith(f"{OWN_FOLDER}/")}

    def sizes(self) -> Mapping[str, int]:
        """Length in bytes of every file of the model, by path."""
        return self._sizes

    def local(self, path: str) -> AbstractContextManager[Path]:
        """A local copy of one file for as long as the context lasts."""
        return self.files.local(path)


class RepositoryFiles:
    """The files of one of MLflow's artifact repositories, fetched one by one into a temporary folder.

    Args:
        repository: MLflow's repository.
        id: What to call the model in messages.
    """

    def __init__(self, repository: Repository, id: str) -> None:  # noqa: A002
        self._repository = repository
        self._id = id
        self._seen = 0

    @property
    def id(self) -> str:
        """What to call the model in messages."""
        return self._id

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        with mlflow_errors(f"The files of {self._id} could not be listed"):
            self._walk(None, 0, found)
        return dict(sorted(found.items()))

    def sizes(self) -> Mapping[str, int]:
        """Length in bytes of every file, by path; the listing is made once.

        Raises:
            UnsafeFileError: Far too many or too deeply nested files, or a path that leads out of the model.
            RegistryError: The artifact store cannot be read.
        """
        return self._sizes

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """A copy of one file, deleted when the context ends.

        Raises:
            WeightsError: The path is not one of the model's files.
            RegistryError: The file cannot be fetched.
        """
        if path not in self.sizes():
            raise WeightsError(f"Model {self._id} has no file {path!r}.", "Check the path.")
        with tempfile.TemporaryDirectory(prefix="mother-") as folder:
            target = Path(folder, PurePosixPath(path).name)
            with mlflow_errors(f"{path!r} of {self._id} could not be fetched"):
                fetch(self._repository, path, target, self.sizes()[path], f"{path!r} of {self._id}")
            size = target.stat().st_size
            if size != self.sizes()[path]:
                raise RegistryError(
                    f"{path!r} of {self._id} came with {size} of {self.sizes()[path]} bytes.",
                    "Run `mlflow-mother reconcile` to try again.",
                )
            yield target

    def _walk(self, folder: str | None, depth: int, found: dict[str, int]) -> None:
        if depth > MAX_DEPTH:
            raise UnsafeFileError(f"{self._id} nests folders deeper than {MAX_DEPTH}.", "Register the model by itself.")
        for item in self._repository.list_artifacts(folder):
            if item.path in (".", folder) or item.path == OWN_FOLDER:
                continue
            path = PurePosixPath(item.path)
            if path.is_absolute() or ".." in path.parts:
                raise UnsafeFileError(f"{self._id} lists the path {item.path!r}.", "Remove it from the artifact store.")
            self._seen += 1
            if self._seen > MAX_FILES:
                raise UnsafeFileError(
                    f"{self._id} has more than {MAX_FILES} files and folders.", "Register the model by itself."
                )
            if item.is_dir:
                self._walk(item.path, depth + 1, found)
            else:
                found[item.path] = item.file_size or 0


def version_files(registry: Registry, version: RegisteredVersion) -> ModelFiles:
    """The files of a registered version.

    Raises:
        RegistryError: Its artifacts cannot be located.
    """
    return files_at(registry, version_location(registry, version), version.ref.uri)


def version_location(registry: Registry, version: RegisteredVersion) -> str:
    """Where a version's files really are: an address that MLflow has a repository for, no ``models:`` or ``runs:``.

    Raises:
        NotFoundError: The version, or what it was registered from, is gone.
        RegistryError: The address leads nowhere.
    """
    with mlflow_errors(f"The artifacts of {version.ref.uri} could not be located"):
        uri = registry.versions_client.get_model_version_download_uri(version.ref.name, version.ref.version)
        return _follow(registry, uri)


def files_at(registry: Registry, location: str, name: str) -> ModelFiles:
    """The files at a location, without Mother's own.

    Args:
        registry: Whose tracking server proxies artifacts.
        location: Address without ``models:`` or ``runs:``.
        name: What to call the model in messages.
    """
    with mlflow_errors(f"The artifacts of {name} could not be located"):
        location = registry.locate(location)
    local = local_folder(location)
    if local is not None:
        if not local.exists():
            raise NotFoundError(f"{name}: {local} does not exist.", "Register it from a place that this host can read.")
        return OfModel(LocalFiles(local, name))
    with mlflow_errors(f"The artifact store of {name} could not be opened"):
        return OfModel(RepositoryFiles(open_repository(registry, location), name))


def is_local(files: ModelFiles) -> bool:
    """Whether these files lie on this machine."""
    return isinstance(files, LocalFiles) or (isinstance(files, OfModel) and is_local(files.files))


def open_repository(registry: Registry, location: str) -> Repository:
    """MLflow's repository for a location."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri

    # MLflow leaves this one untyped.
    with_profile: Callable[[str, str], str] = add_databricks_profile_info_to_artifact_uri
    location = with_profile(registry.locate(location), registry.tracking_uri)
    repository: Repository = get_artifact_repository(location, tracking_uri=registry.tracking_uri)
    return repository


def local_folder(location: str) -> Path | None:
    """The folder that a ``file:`` address or plain path names; None for anything remote."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    # MLflow leaves these two untyped.
    is_local: Callable[[str], bool] = is_local_uri
    to_path: Callable[[str], str] = local_file_uri_to_path
    return Path(to_path(location)) if is_local(location) else None


def _follow(registry: Registry, uri: str) -> str:
    for _ in range(MAX_HOPS):
        scheme, _, rest = uri.partition(":")
        parts = rest.strip("/").split("/")
        if scheme == "models" and len(parts) == 1:
            uri = registry.client.get_logged_model(parts[0]).artifact_location
        elif scheme == "models" and len(parts) == 2:
            uri = registry.versions_client.get_model_version_download_uri(parts[0], parts[1])
        elif scheme == "runs" and len(parts) > 1:
            uri = _run_location(registry, parts[0], "/".join(parts[1:]))
        else:
            return uri
    raise RegistryError(f"{uri!r} leads to itself.", "Register the model from its own location.")


def _run_location(registry: Registry, run_id: str, path: str) -> str:
    """Where ``runs:/run_id/path`` is: since MLflow 3 a model of that name lives outside of its run's artifacts."""
    run = registry.client.get_run(run_id)
    outputs = run.outputs.model_outputs if run.outputs else []
    name, _, inside = path.partition("/")
    for output in sorted(outputs, key=lambda output: -output.step)[:MAX_RUN_MODELS]:
        model = registry.client.get_logged_model(output.model_id)
        if model.name == name:
            return f"{model.artifact_location.rstrip('/')}/{inside}".rstrip("/")
    return f"{run.info.artifact_uri.rstrip('/')}/{path}"
