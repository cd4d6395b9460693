"""The use cases, for one workspace of this server at a time."""

from __future__ import annotations

import logging
import threading
from functools import partial

from mlflow_mother.errors import MotherError, SchemaOutdatedError
from mlflow_mother.registry.connection import Registry
from mlflow_mother.registry.proxied import storage_location
from mlflow_mother.server import environment
from mlflow_mother.server.workspaces import all_workspaces, current_workspace, working_in
from mlflow_mother.service import Service
from mlflow_mother.settings import Settings, load_settings
from mlflow_mother.store import Store

log = logging.getLogger(__name__)

CLAIM_SECONDS = 10.0
"""How long after a server's worker died the next one leaves its claims alone."""


class Services:
    """One :class:`Service` a workspace, all on one store; for any number of threads.

    Args:
        settings: Read from the environment when not given.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load_settings()
        self._by_workspace: dict[str | None, Service] = {}
        self._store: Store | None = None
        self._opening = threading.Lock()

    def current(self) -> Service:
        """The service for the current request's workspace.

        Raises:
            StoreError: Mother's tables cannot be used; the server goes on without her.
        """
        return self.of(current_workspace())

    def of(self, workspace: str | None) -> Service:
        """The service for a workspace; None where the server has no workspaces.

        Raises:
            StoreError: Mother's tables cannot be used.
        """
        if workspace not in self._by_workspace:
            service = Service(
                self._registry(workspace), settings=self.settings, store=self.store, lease_seconds=CLAIM_SECONDS
            )
            self._by_workspace.setdefault(workspace, service)
        return self._by_workspace[workspace]

    def read_ahead(self) -> None:
        """Reads every workspace's registry into memory, in a thread, so that nobody waits for it later."""
        threading.Thread(target=self._read_ahead, name="mother-read-ahead", daemon=True).start()

    def _read_ahead(self) -> None:
        try:
            for workspace in all_workspaces():
                with working_in(workspace):
                    self.of(workspace).forests.view()
        except MotherError as error:
            log.info("Mother could not read ahead: %s", error)

    @property
    def store(self) -> Store:
        """Mother's tables for this server, made or migrated when that is due; servers that start at once take turns.

        Raises:
            SchemaOutdatedError: A newer release has been here.
            StoreError: The database cannot be reached.
        """
        with self._opening:
            if self._store is None:
                self._store = self._open()
            return self._store

    def _open(self) -> Store:
        address = self._registry(None).store
        try:
            return Store.open(address.uri, local=not address.shared)
        except SchemaOutdatedError:
            Store.upgrade(address.uri)
            return Store.open(address.uri, local=not address.shared)

    def _registry(self, workspace: str | None) -> Registry:
        destination = environment.artifacts_destination()
        locate = partial(storage_location, destination=destination, workspace=workspace) if destination else str
        return Registry(environment.registry_uri(), environment.tracking_uri(), workspace, self.settings, locate)
