"""A server's workspaces. A context variable of MLflow's says which one a thread works in; threads do not share it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlflow_mother.registry.connection import mlflow_errors

ENABLE_WORKSPACES = "MLFLOW_ENABLE_WORKSPACES"
"""MLflow's variable for ``--enable-workspaces``. Without it, MLflow opens no database that has more than one."""


def has_workspaces() -> bool:
    """Whether this process is told that there are workspaces."""
    return os.environ.get(ENABLE_WORKSPACES, "").strip().lower() in ("true", "1")


def all_workspaces(tracking_uri: str) -> tuple[str | None, ...]:
    """The names of all workspaces; None alone where there are none.

    Args:
        tracking_uri: Where they are kept, unless MLflow is told otherwise.

    Raises:
        RegistryError: They cannot be listed.
    """
    if not has_workspaces():
        return (None,)
    from mlflow.tracking._workspace.registry import get_workspace_store
    from mlflow.utils import workspace_utils

    # MLflow leaves these two untyped.
    resolve: Callable[..., str | None] = workspace_utils.resolve_workspace_store_uri
    get_store: Callable[..., Any] = get_workspace_store
    with mlflow_errors("The workspaces could not be listed"):
        store = get_store(workspace_uri=resolve(None, tracking_uri=tracking_uri))
        return tuple(workspace.name for workspace in store.list_workspaces())


def current_workspace() -> str | None:
    """The workspace of the request that is being answered; None where the server has none."""
    if not has_workspaces():
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
