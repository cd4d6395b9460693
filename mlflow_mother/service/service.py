"""Every use case by one name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Literal, overload

from mlflow_mother.errors import MotherError, RegistryError
from mlflow_mother.export import AuditRow
from mlflow_mother.plugins import Plugins, plugins
from mlflow_mother.registry.connection import ForbiddenError, NotFoundError, Registry
from mlflow_mother.registry.versions import RegisteredVersion, get_model, get_version, list_versions
from mlflow_mother.registry.workspaces import all_workspaces, working_in
from mlflow_mother.registry.write_back import place_of, remove_tags
from mlflow_mother.service.auditing import audit_rows
from mlflow_mother.service.decisions import standing
from mlflow_mother.service.families import component, lineage_of, tree_of, with_numbers
from mlflow_mother.service.forest import Forests
from mlflow_mother.service.reading import Checkpoint
from mlflow_mother.service.reconciling import Plan, Progress, Reconciler, Report
from mlflow_mother.service.worker import LEASE_SECONDS, Worker
from mlflow_mother.settings import Settings, load_settings
from mlflow_mother.store import Kin, Registration, Store, StoredVersion, schema
from mlflow_mother.store.database import Database
from mlflow_mother.store.notices import NAMES_WITHHELD
from mlflow_mother.types import Edge, Lineage, ModelTree, ModelVersionRef, Node, Record

log = logging.getLogger(__name__)


class Purged(Record):
    """What a purge has removed.

    Attributes:
        versions: Versions that were cleaned.
        others: Other registries that keep their part of the tables; the tables are gone when there are none.
    """

    versions: int
    others: tuple[str, ...] = ()


class Service:
    """What Mother does for one registry.

    Args:
        registry: The registry; the one that MLflow's own calls would use when not given.
        settings: Read from the environment when not given.
        store: Opened where :attr:`Registry.store` says when not given.
        plugins: The process's plugins when not given.
        lease_seconds: How long others keep their hands off claimed work after this process died.
    """

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        settings: Settings | None = None,
        store: Store | None = None,
        plugins: Plugins | None = None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.settings = settings or load_settings()
        self.registry = registry or Registry.current(self.settings)
        self._store = store
        self._plugins = plugins
        self._lease = lease_seconds

    @cached_property
    def store(self) -> Store:
        """Mother's tables for this registry.

        Raises:
            SchemaOutdatedError: A shared database needs ``mlflow-mother db upgrade``.
            StoreError: The database cannot be reached.
        """
        address = self.registry.store
        return self._store or Store.open(address.uri, local=not address.shared)

    @cached_property
    def plugins(self) -> Plugins:
        """The plugins that read, weigh, veto and listen."""
        return self._plugins or plugins()

    @cached_property
    def forests(self) -> Forests:
        """The registry as it is known now, and what is left of it for those who may not see all of it."""
        return Forests(self.store, self.registry.id)

    def worker(self, checkpoint: Checkpoint = lambda: None, stopping: Callable[[], bool] = lambda: False) -> Worker:
        """A worker of this process.

        Args:
            checkpoint: Called often during work; raises to stop it.
            stopping: Whether to end after the version at hand.
        """
        return Worker(
            self.registry,
            self.store,
            self.settings.model_copy(update={"name_relatives": self.names_relatives()}),
            self.plugins,
            lease_seconds=self._lease,
            checkpoint=checkpoint,
            stopping=stopping,
        )

    def names_relatives(self) -> bool:
        """Whether what is written to one registered model may name another.

        Where nobody has set it, a server with sign-in on these tables decides: it leaves word for the processes beside.
        """
        if "name_relatives" in self.settings.model_fields_set or not self.settings.name_relatives:
            return self.settings.name_relatives
        return not self.store.has_notice(self.registry.deployment, NAMES_WITHHELD)

    def reconciler(
        self,
        *,
        model: str | None = None,
        since: float | None = None,
        stopping: Callable[[], bool] = lambda: False,
        worked_on: Callable[[Collection[ModelVersionRef]], None] = lambda refs: None,
    ) -> Reconciler:
        """What every way of triggering work ends in: command, watcher, webhook, server.

        Args:
            model: Only this registered model.
            since: Only versions registered at or after this time, in unix seconds.
            stopping: Whether to end after the version at hand.
            worked_on: Told of the versions that were just worked on, batch by batch.
        """
        worker = self.worker(stopping=stopping)
        return Reconciler(
            self.registry, self.store, self.settings, worker, self._lease, model, since, stopping, worked_on
        )

    def enqueue(self, ref: ModelVersionRef, *, source: str = "", registered_at: float | None = None) -> bool:
        """Queues a version, unless the store knows it already; whether it did."""
        return self.store.enqueue(ref, source=source, registered_at=registered_at)

    def fingerprint_version(self, ref: ModelVersionRef) -> str:
        """Makes sure that the store holds a version's fingerprint; returns its digest.

        Raises:
            NotFoundError: The registry does not hold the version.
            WeightsError: Its weights cannot be read.
            RegistryError: Its artifacts cannot be reached.
        """
        version = get_version(self.registry, ref)
        self.store.enqueue_many([Registration(ref, version.source, version.created or None)])
        return self.worker().fingerprint(version)

    def infer(self, ref: ModelVersionRef) -> Lineage:
        """Analyses a version now, whatever was known of it, and revises whom that changes.

        Raises:
            NotFoundError: The registry does not hold the version.
            RegistryError: It could not be analysed; the message says why.
        """
        version = get_version(self.registry, ref)
        self.store.enqueue_many([Registration(ref, version.source, version.created or None)], again=True)
        worker = self.worker()
        worker.work(worker.claim(1, [ref]))
        found = self.store.current_inference(ref)
        known = self.store.version(ref)
        if found is None or known is None:
            why = known.reason if known and known.reason else "it is being analysed elsewhere, or opted out"
            raise RegistryError(f"{ref.uri} has no lineage: {why}.", "See `mlflow-mother show` for its status.")
        return with_numbers(found.lineage)

    @overload
    def reconcile(
        self,
        *,
        dry_run: Literal[True],
        since: float | None = None,
        model: str | None = None,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Plan: ...

    @overload
    def reconcile(
        self,
        *,
        dry_run: Literal[False] = False,
        since: float | None = None,
        model: str | None = None,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Report: ...

    def reconcile(
        self,
        *,
        dry_run: bool = False,
        since: float | None = None,
        model: str | None = None,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> Plan | Report:
        """Does everything in the registry that is not done yet, or says how much that is.

        Args:
            dry_run: Only say; nothing is changed.
            since: Only versions registered at or after this time, in unix seconds.
            model: Only this registered model.
            limit: At most this many versions.
            progress: Called with the versions done and all to do.
        """
        run = self.reconciler(model=model, since=since)
        return run.plan(limit) if dry_run else run.run(limit, progress)

    def tree(self, models: Collection[str] | None = None) -> ModelTree:
        """The model tree of the registry as it is known now.

        Args:
            models: Registered models: only they, and the families of their versions. All with None.
        """
        edges, nodes = self._forest()
        if models is not None:
            starts = [name for name in nodes if _model_of(name) in set(models)]
            near = {name for start in starts for name in component(edges, start)}
            edges = [edge for edge in edges if edge.parent in near]
            nodes = {name: node for name, node in nodes.items() if name in near}
        return with_numbers(tree_of(edges, nodes))

    def show(self, ref: ModelVersionRef) -> Lineage:
        """The part of the tree that concerns one version, as it is known now.

        Raises:
            RegistryError: The version is not known, or has no fingerprint.
        """
        known = self.store.version(ref)
        if known is None or known.digest is None:
            why = f": {known.reason or known.status.value}" if known else ""
            raise RegistryError(f"{ref.uri} has no lineage yet{why}.", "Run `mlflow-mother reconcile`.")
        edges, nodes = self._forest()
        return with_numbers(lineage_of(ref.uri, known.digest, edges, nodes))

    def ancestors(self, ref: ModelVersionRef) -> tuple[Kin, ...]:
        """Registered versions that this one descends from, nearest first."""
        return self.store.ancestors(ref)

    def descendants(self, ref: ModelVersionRef) -> tuple[Kin, ...]:
        """Registered versions that descend from this one, nearest first."""
        return self.store.descendants(ref)

    def audit(self) -> tuple[AuditRow, ...]:
        """Declared against inferred parents, a row for every version that is not ignored."""
        notes = {known.ref.uri: known.reason for known in self._versions() if known.reason}
        words = {ref.uri: standing(made) for ref, made in self.store.decisions(self.registry.id).items()}
        return audit_rows(self.tree(), notes, words)

    def purge(self) -> Purged:
        """Removes everything that Mother wrote of this registry, in all of its workspaces: tags, artifacts, tables.

        What people set (``mother.ignore``) stays. Versions that this process may not write are logged and left.
        Tables that other registries use as well stay for them. Those that are damaged can be dropped; only those of a
        newer release stay, and everything with them. The tables come last: a purge that ends early can be repeated.
        """
        database = Database(self.registry.store.uri)
        try:
            there = database.file is None or database.file.exists()
            if there:
                schema.check_not_newer(database)
            cleaned, ids = 0, set[str]()
            for workspace in all_workspaces(self.registry.tracking_uri):
                with working_in(workspace):
                    registry = self.registry if workspace is None else Registry.current(self.settings)
                    cleaned += sum(_clean(registry, version) for version in list_versions(registry))
                    ids.add(registry.id)
            others = schema.drop(database, ids) if there else frozenset()
        finally:
            database.close()
        opened = self.__dict__.pop("store", None)
        if opened is not None:
            opened.close()
        return Purged(versions=cleaned, others=tuple(sorted(others)))

    def _versions(self) -> list[StoredVersion]:
        return [known for known in self.store.versions(self.registry.id) if not known.ignored]

    def _forest(self) -> tuple[list[Edge], dict[str, Node]]:
        """All known edges, and a node with all its particulars for every known version."""
        versions = self._versions()
        declared = self.store.declared(self.registry.id)
        aliases = self._aliases({known.ref.name for known in versions})
        formats = self._particulars()
        nodes = {
            known.ref.uri: formats.get(known.ref.uri, Node(id=known.ref.uri)).model_copy(
                update={
                    "status": known.status,
                    "declared_parents": tuple(said.parent for said in declared.get(known.ref, ())),
                    "aliases": aliases.get(known.ref.uri, ()),
                    "note": known.reason or None,
                }
            )
            for known in versions
        }
        return [known.edge for known in self.store.edges(self.registry.id)], nodes

    def _particulars(self) -> dict[str, Node]:
        """The nodes of all versions as their own current lineages describe them."""
        return {
            ref.uri: found.lineage.node(ref.uri)
            for ref, found in self.store.current_inferences(self.registry.id).items()
        }

    def _aliases(self, names: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Aliases by node id; none where the registry cannot be asked."""
        found: dict[str, tuple[str, ...]] = {}
        for name in sorted(names):
            try:
                model = get_model(self.registry, name)
            except MotherError as error:
                log.info("Mother shows no aliases of %s: %s", name, error)
                continue
            found.update({self.registry.ref(name, v).uri: aliases for v, aliases in model.aliases.items()})
        return found


def _clean(registry: Registry, version: RegisteredVersion) -> bool:
    """Removes what was written of one version; whether that was allowed."""
    try:
        place = place_of(registry, version)
        if place is not None:
            place.delete_all()
        remove_tags(registry, version)
    except (ForbiddenError, NotFoundError) as error:
        log.warning("Mother leaves what it wrote of %s: %s", version.ref.uri, error)
        return False
    return True


def _model_of(uri: str) -> str:
    return uri.removeprefix("models:/").rpartition("/")[0]
