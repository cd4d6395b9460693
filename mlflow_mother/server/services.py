"""The use cases, for one workspace of this server at a time."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from mlflow_mother.errors import MotherError, SchemaOutdatedError
from mlflow_mother.registry.connection import Registry
from mlflow_mother.registry.proxied import storage_location
from mlflow_mother.registry.workspaces import all_workspaces, current_workspace, working_in
from mlflow_mother.server import environment
from mlflow_mother.service import Service
from mlflow_mother.settings import Settings, load_settings
from mlflow_mother.store import Store
from mlflow_mother.store.notices import NAMES_WITHHELD

log = logging.getLogger(__name__)

CLAIM_SECONDS = 10.0
"""How long after a server's worker died the next one leaves its claims alone."""

TROUBLE_SECONDS = 2.0
"""How long nobody tries again to open tables that could not be opened: all who ask meanwhile are told the same."""

AGAIN_SECONDS = 15.0
"""How long reading ahead waits for tables that could not be opened."""


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
        self._trouble: tuple[float, MotherError] | None = None

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
        """Reads every workspace's registry into memory, in a thread, so that nobody waits for it later.

        For a server's own processes: they also leave word of what the processes beside them have to know.
        """
        threading.Thread(target=self._read_ahead, name="mother-read-ahead", daemon=True).start()

    def _read_ahead(self) -> None:
        complained = False
        while True:
            try:
                self._leave_word()
                for workspace in all_workspaces(environment.tracking_uri()):
                    with working_in(workspace):
                        self.of(workspace).forests.view()
                return
            except MotherError as error:
                if not complained:
                    log.info("Mother could not read ahead: %s", error)
                complained = True
            time.sleep(AGAIN_SECONDS)

    def _leave_word(self) -> None:
        """Tells the processes beside this server to withhold names as it does, unless somebody wants them named."""
        left = self.store.has_notice(self.deployment, NAMES_WITHHELD)
        if not self.settings.name_relatives:
            if not left:
                self.store.leave_notice(self.deployment, NAMES_WITHHELD)
        elif left and "name_relatives" in self.settings.model_fields_set:
            self.store.withdraw_notice(self.deployment, NAMES_WITHHELD)
        elif left:
            log.warning(
                "Mother names no relatives in tags and artifacts, since a server with sign-in has used these tables. "
                "Set MLFLOW_MOTHER_NAME_RELATIVES=true if everybody may know every model's name."
            )

    @property
    def deployment(self) -> str:
        """What this server serves: the registry's id, with all of its workspaces."""
        return self._registry(None).deployment

    @property
    def store(self) -> Store:
        """Mother's tables for this server, made or migrated when that is due; servers that start at once take turns.

        Raises:
            SchemaOutdatedError: A newer release has been here.
            StoreError: The database cannot be reached.
        """
        with self._opening:
            if self._store is None:
                self._store = self._open_unless_in_vain()
            return self._store

    def _open_unless_in_vain(self) -> Store:
        # All threads wait here for one another, and a database that is away takes seconds to say so: those who come
        # right after one that failed are told the same.
        if self._trouble is not None and time.monotonic() < self._trouble[0]:
            known = self._trouble[1]
            raise type(known)(known.what, known.remedy)
        try:
            return self._open()
        except MotherError as error:
            self._trouble = (time.monotonic() + TROUBLE_SECONDS, error)
            raise

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
