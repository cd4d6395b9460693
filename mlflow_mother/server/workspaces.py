"""The server's workspaces. A context variable of MLflow's says which one a thread works in; threads do not share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlflow_mother.registry.connection import mlflow_errors
from mlflow_mother.server import environment


def all_workspaces() -> tuple[str | None, ...]:
    """The names of all workspaces; None alone where the server has none.

    Raises:
        RegistryError: They cannot be listed.
    """
    if not environment.is_on(environment.ENABLE_WORKSPACES):
        return (None,)
    from mlflow.tracking._workspace.registry import get_workspace_store
    from mlflow.utils import workspace_utils

    # MLflow leaves these two untyped.
    resolve: Callable[..., str | None] = workspace_utils.resolve_workspace_store_uri
    get_store: Callable[..., Any] = get_workspace_store
    with mlflow_errors("The workspaces could not be listed"):
        store = get_store(workspace_uri=resolve(None, tracking_uri=environment.tracking_uri()))
        return tuple(workspace.name for workspace in store.list_workspaces())


def current_workspace() -> str | None:
    """The workspace of the request that is being answered; None where the server has none."""
    if not environment.is_on(environment.ENABLE_WORKSPACES):
        return None
    from mlflow.utils.workspace_context import get_request_workspace

    return get_request_workspace()


@contextmanager
def working_in(workspace: str | None) -> Iterator[None]:
    """Makes MLflow's stores look at one workspace, in this thread, for as long as the context lasts."""
    if workspace is None:
        yield
        return
    from mlflow.utils.workspace_context import ServerWorkspaceContext

    with ServerWorkspaceContext(workspace):
        yield
