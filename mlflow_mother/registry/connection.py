"""One registry as this process sees it: its address, its workspace and MLflow's client for it.

MLflow's errors do not leave the package; they become :class:`RegistryError` and its children below.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_mother.errors import MotherError, RegistryError
from mlflow_mother.registry.identity import StoreAddress, canonical, is_database, is_unity_catalog, store_address
from mlflow_mother.registry.proxied import storage_location
from mlflow_mother.settings import Settings, load_settings
from mlflow_mother.types import ModelVersionRef

if TYPE_CHECKING:
    from mlflow import MlflowClient

ARTIFACTS_DESTINATION = "MLFLOW_ARTIFACTS_DESTINATION"
"""MLflow's variable for ``--artifacts-destination``: set for a command that runs beside a server, on its database."""

_MISSING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "ENDPOINT_NOT_FOUND"})
_INVALID = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST"})
_FORBIDDEN = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})


class NotFoundError(RegistryError):
    """The registry does not hold what was asked for; a version that is gone leaves the trees."""


class ForbiddenError(RegistryError):
    """This process may not do that; it is left to one that may."""


class InvalidError(RegistryError):
    """MLflow does not take what was asked; asking again would not help."""


@contextmanager
def mlflow_errors(what: str) -> Iterator[None]:
    """Turns whatever MLflow and its transports raise into a :class:`RegistryError`.

    Args:
        what: What was being done, as the message's beginning: ``"Version models:/A/1 could not be read"``.
    """
    try:
        yield
    except MotherError:
        raise
    except Exception as error:
        code = str(getattr(error, "error_code", ""))
        response = getattr(error, "response", None)
        status = getattr(response, "status_code", None)
        reason = f"{what}: {_brief(error)}"
        if code in _MISSING or status == 404 or isinstance(error, FileNotFoundError):
            raise NotFoundError(reason, "Check that it was not deleted.") from error
        if code in _FORBIDDEN or status in (401, 403) or isinstance(error, PermissionError):
            raise ForbiddenError(reason, "Run Mother as a user that may do this.") from error
        if code in _INVALID:
            raise InvalidError(reason, "Correct what MLflow complains of.") from error
        raise RegistryError(reason, "Check that the registry and its artifact store can be reached.") from error


def give_up_soon() -> None:
    """Lets MLflow's client try only a few times in this process: for callers that come back by themselves.

    Its own default keeps on for minutes, deaf to signals. What the user has set stands.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")


class Registry:
    """A model registry and the tracking server beside it.

    Args:
        uri: Registry URI, as resolved by MLflow.
        tracking_uri: Tracking URI; artifacts behind ``mlflow-artifacts:`` and ``runs:`` are reached through it.
        workspace: MLflow workspace, when the server has several.
        settings: Read from the environment when not given.
        locate: Says where the files behind an artifact address are. A server knows where it keeps what it proxies;
            everyone else asks the server.
    """

    def __init__(
        self,
        uri: str,
        tracking_uri: str | None = None,
        workspace: str | None = None,
        settings: Settings | None = None,
        locate: Callable[[str], str] = str,
    ) -> None:
        self.uri = uri
        self.tracking_uri = tracking_uri or uri
        self.workspace = workspace
        self.settings = settings or load_settings()
        self.locate = locate
        self.store: StoreAddress = store_address(uri, workspace, self.settings)

    @classmethod
    def current(cls, settings: Settings | None = None) -> Registry:
        """The registry that MLflow's own calls would use now."""
        import mlflow

        tracking, workspace = mlflow.get_tracking_uri(), _workspace()
        destination = os.environ.get(ARTIFACTS_DESTINATION) if is_database(tracking) else None
        locate = partial(storage_location, destination=destination, workspace=workspace) if destination else str
        return cls(mlflow.get_registry_uri(), tracking, workspace, settings, locate)

    @classmethod
    def of_store(cls, store: Any, settings: Settings | None = None) -> Registry:
        """The registry behind one of MLflow's registry-store objects.

        A store does not know the tracking server beside it. It is the process's own when the process's registry is
        this one, and else taken to be at the same address, as it is unless somebody set the two apart by hand.
        """
        current = cls.current(settings)
        uri = _uri_of(store)
        if uri is None or canonical(uri) == canonical(current.uri):
            return current
        return cls(uri, uri, current.workspace, settings)

    @property
    def id(self) -> str:
        """Stable identifier of the registry, as its store knows it."""
        return self.store.registry

    @property
    def deployment(self) -> str:
        """Stable identifier of the registry with all its workspaces: what one server serves."""
        return store_address(self.uri, None, self.settings).registry

    @property
    def address(self) -> str:
        """The registry's address for people: no user, no password."""
        return canonical(self.uri)

    @property
    def dotted_tags(self) -> bool:
        """Whether tags may hold dots."""
        return not is_unity_catalog(self.uri)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client for this registry."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.uri)

    @cached_property
    def versions_client(self) -> Any:
        """MLflow's lower client: ``MlflowClient`` looks for prompts, a request more, before it touches any tag."""
        lower = getattr(self.client, "_get_registry_client", None)
        return lower() if lower else self.client

    def ref(self, name: str, version: str | int) -> ModelVersionRef:
        """A version's reference in this registry."""
        return ModelVersionRef(registry=self.id, name=name, version=str(version))

    def parse(self, uri: str) -> ModelVersionRef:
        """The version that ``models:/name/version`` or ``models:/name@alias`` means.

        Raises:
            RegistryError: The address has another form.
            NotFoundError: No such alias.
        """
        version = re.fullmatch(r"models:/([^/@]+)/(\d+)", uri)
        if version:
            return self.ref(version.group(1), int(version.group(2)))
        alias = re.fullmatch(r"models:/([^/@]+)@([^/@]+)", uri)
        if alias:
            with mlflow_errors(f"Alias {uri} could not be resolved"):
                return self.ref(alias.group(1), self.client.get_model_version_by_alias(*alias.groups()).version)
        raise RegistryError(f"{uri!r} is not the address of a model version.", "Write models:/name/version.")


def _workspace() -> str | None:
    """The workspace that MLflow's own calls would work in now."""
    try:
        from mlflow.utils.workspace_context import get_request_workspace
    except ImportError:  # MLflow 3.5 has none
        return None
    return get_request_workspace()


def _uri_of(store: Any) -> str | None:
    """The address of a store object; None for one that says nothing of it."""
    if hasattr(store, "db_uri"):
        return str(store.db_uri)
    if hasattr(store, "root_directory"):
        return Path(store.root_directory).absolute().as_uri()
    return str(store.get_host_creds().host) if type(store).__name__ == "RestStore" else None


def _brief(error: Exception, limit: int = 300) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
