"""The use cases for the workspace that a request is about."""

from __future__ import annotations

import os
from functools import cached_property

from mlflow_mother.registry.connection import Registry
from mlflow_mother.service import Service
from mlflow_mother.settings import Settings, load_settings
from mlflow_mother.store import Store


class Services:
    """One :class:`Service` a workspace, all on one store.

    Args:
        settings: Read from the environment when not given.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or load_settings()
        self._by_workspace: dict[str | None, Service] = {}

    def current(self) -> Service:
        """The service for the current request's workspace."""
        from mlflow.utils.workspace_context import get_request_workspace

        return self.of(get_request_workspace())

    def of(self, workspace: str | None) -> Service:
        """The service for a workspace; None where the server has no workspaces."""
        if workspace not in self._by_workspace:
            registry = self._registry(workspace)
            self._by_workspace[workspace] = Service(registry, settings=self._settings, store=self.store)
        return self._by_workspace[workspace]

    @cached_property
    def store(self) -> Store:
        """Mother's tables for this server."""
        address = self._registry(None).store
        return Store.open(address.uri, local=not address.shared)

    def _registry(self, workspace: str | None) -> Registry:
        from mlflow.server.constants import BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

        tracking = os.environ[BACKEND_STORE_URI_ENV_VAR]
        uri = os.environ.get(REGISTRY_STORE_URI_ENV_VAR) or tracking
        return Registry(uri, tracking, workspace, self._settings)
