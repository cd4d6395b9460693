"""Takes claimed versions through the steps: read, infer, commit, write back, finish.

Before a lineage is committed, every version whose lineage changes with it is queued again; so a process that dies
anywhere leaves nothing behind that a later one does not find. A version's claim ends last. Claims are kept alive by
a thread for as long as this process lives, and run out soon after it is gone.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from mlflow_mother.errors import (
    FingerprintError,
    MotherError,
    SettingsError,
    StoreError,
    UnsupportedFormatError,
    WeightsError,
)
from mlflow_mother.heritage import ENGINE
from mlflow_mother.plugins import Plugins
from mlflow_mother.registry.connection import NotFoundError, Registry
from mlflow_mother.registry.declared import declared_parents
from mlflow_mother.registry.tags import STATUS, key, speak_of, status_of
from mlflow_mother.registry.versions import RegisteredVersion, get_version, list_versions
from mlflow_mother.service.delivery import Delivery
from mlflow_mother.service.inference import Inference, Inferred
from mlflow_mother.service.inline import OutOfTimeError
from mlflow_mother.service.reading import Checkpoint, PostponedError, Reader, open_files
from mlflow_mother.settings import Settings
from mlflow_mother.store import Claim, DeclaredParent, Registration, Store
from mlflow_mother.types import ModelVersionRef, Status
from mlflow_mother.weights.model import ModelFiles

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""How long after a process died others leave its work alone."""

RETRY_SECONDS = 30.0
LONGEST_RETRY_SECONDS = 3600.0
"""Wait before a postponed version is tried again: doubled each time, up to the longest."""

GONE = "Bring its files back and run `mlflow-mother reconcile`, or delete the version."
"""Ends the reason of a version that failed because its files are gone; a reconciliation looks for them again."""

SEE_LOG = "The log of the process that analyses says more; `mlflow-mother reconcile` tries again."
"""Ends a reason that is not the model's: what happened exactly may name paths, databases and hosts."""

MAX_ROUNDS = 8


class Worker:
    """Analyses versions, one claim after the other.

    Args:
        registry: The registry.
        store: The store that belongs to it.
        settings: Bounds and switches.
        plugins: The process's plugins.
        lease_seconds: How long others keep their hands off claimed work after this process died.
        checkpoint: Called often; raises :class:`OutOfTimeError` to stop.
        stopping: Whether to finish the version at hand and give the other claims back.
    """

    def __init__(
        self,
        registry: Registry,
        store: Store,
        settings: Settings,
        plugins: Plugins,
        *,
        lease_seconds: float = LEASE_SECONDS,
        checkpoint: Checkpoint = lambda: None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.registry = registry
        self.store = store
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self.delivery = Delivery(registry, store, settings, plugins, self.owner, checkpoint)
        self._lease = lease_seconds
        self._checkpoint = checkpoint
        self._stopping = stopping
        self._reader = Reader(registry, store, settings, plugins, checkpoint)
        self._inference = Inference(registry.id, store, settings, plugins, checkpoint)

    def claim(self, limit: int, refs: Collection[ModelVersionRef] | None = None) -> tuple[Claim, ...]:
        """Takes up to ``limit`` versions that wait, of all or of some."""
        return self.store.claim(self.owner, self._lease, limit, registry=self.registry.id, refs=refs)

    def work(self, claims: Collection[Claim], *, max_bytes: int | None = None, weights: bool = True) -> None:
        """Analyses claimed versions: all are read before the first is compared, so that few lineages change twice.

        Args:
            claims: What to do; every claim is ended or given back.
            max_bytes: Leave larger models pending.
            weights: Whether weights may be read at all.

        Raises:
            OutOfTimeError: The checkpoint stopped the work.
        """
        open_claims = list(claims)
        ready: list[Claim] = []
        with self._kept_alive(open_claims):
            try:
                for claim in claims:
                    if self._stopping():
                        break
                    self._read(claim, open_claims, ready, max_bytes, weights)
                # What was read before the version at hand keeps its fingerprint, and waits.
                for claim in ready[-1:] if self._stopping() else ready:
                    self._conclude(claim, open_claims)
                    if self._stopping():
                        break
                for claim in open_claims:
                    self.store.release(claim)
            except BaseException as error:
                for claim in list(open_claims):
                    reason = str(_tellable(claim.ref, error)) if isinstance(error, MotherError) else ""
                    self.store.release(claim, reason=reason)
                raise
        # Not of those that were postponed: they may be due again by now, and are yet to be read.
        for ref in {claim.ref for claim in ready}:
            if not self._stopping():
                self._again(ref)

    def give_up(self, claim: Claim, why: MotherError) -> None:
        """Ends a claim as failed without another try."""
        self._ended(claim, [claim], Status.FAILED, why)

    def fingerprint(self, version: RegisteredVersion) -> str:
        """Brings one version's fingerprint into the store, whoever holds a claim on it; returns its digest."""
        files = open_files(self.registry, version)
        return self._reader.read(version, files, max_bytes=None, weights=True)

    def forget_gone(self, name: str) -> None:
        """Forgets the versions of one registered model that the registry does not hold any more."""
        listed_at = self.store.now()
        present = [version.ref for version in list_versions(self.registry, name)]
        self.store.sync(self.registry.id, present, listed_at=listed_at, names=[name])

    def _again(self, ref: ModelVersionRef) -> None:
        """Does a version once more that others asked for while it was being worked on, until nobody does."""
        for _ in range(MAX_ROUNDS):
            claims = self.claim(1, [ref])
            if not claims:
                return
            open_claims = list(claims)
            with self._kept_alive(open_claims):
                try:
                    self._conclude(claims[0], open_claims)
                except BaseException:
                    for claim in open_claims:
                        self.store.release(claim)
                    raise

    def _read(
        self, claim: Claim, open_claims: list[Claim], ready: list[Claim], max_bytes: int | None, weights: bool
    ) -> None:
        """Brings a version's fingerprint and declared parents into the store; then it is ready to be inferred."""
        self._checkpoint()
        with self._ending_badly(claim, open_claims):
            version = self._current(claim)
            if version is None:
                open_claims.remove(claim)
                return
            if not self._is_marked(version):
                self._mark(version, Status.PENDING)
            try:
                files = open_files(self.registry, version)
                self._reader.read(version, files, max_bytes=max_bytes, weights=weights)
            except NotFoundError as error:
                log.info("Mother cannot read %s: %s", version.ref.uri, error)
                what = f"The files of {version.ref.uri} are gone from {version.source or 'where they were'}."
                raise WeightsError(what, GONE) from error
            self._declare(version, files)
            ready.append(claim)

    def _is_marked(self, version: RegisteredVersion) -> bool:
        dotted = self.registry.dotted_tags
        return key(STATUS, dotted=dotted) in version.tags and speak_of(version.tags, version.ref, dotted=dotted)

    def _conclude(self, claim: Claim, open_claims: list[Claim]) -> None:
        """Infers, commits, writes back and finishes one version, and all whose lineage it changes."""
        self._checkpoint()
        with self._ending_badly(claim, open_claims):
            inferred = self._inference.infer(claim.ref)
            # Those that this worker has claimed and not yet concluded come later anyway.
            mine = {held.ref for held in open_claims}
            others = [ref for ref in inferred.lineages if ref not in mine]
            self.store.enqueue_many([Registration(ref) for ref in others], again=True)
            self.store.record_inference(claim.ref, inferred.lineages[claim.ref], engine=ENGINE)
            self.delivery.deliver([claim.ref])
            self._finish(claim, open_claims, status_of(inferred.lineages[claim.ref]))
            self._revise(claim.ref, inferred, others)
            self.delivery.notify()

    def _revise(self, cause: ModelVersionRef, inferred: Inferred, others: list[ModelVersionRef]) -> None:
        """Commits the lineages that a version's inference changed, as far as nobody else is at them."""
        claims = list(self.claim(len(others), others)) if others else []
        with self._kept_alive(claims):
            try:
                for claim in tuple(claims):
                    self._checkpoint()
                    lineage = inferred.lineages[claim.ref]
                    self.store.record_inference(claim.ref, lineage, engine=ENGINE, reason=f"revised with {cause.uri}")
                    self.delivery.deliver([claim.ref], by_the_way=True)
                    self._finish(claim, claims, status_of(lineage))
            except BaseException:
                for claim in claims:
                    self.store.release(claim)
                raise
        if self._inference.unseen(cause, inferred.seen):
            self.store.enqueue(cause, again=True)

    def _finish(self, claim: Claim, open_claims: list[Claim], status: Status, reason: str = "") -> None:
        self.store.finish(claim, status, reason)
        open_claims.remove(claim)

    def _current(self, claim: Claim) -> RegisteredVersion | None:
        """The claimed version as the registry has it now; None when it is gone or opted out."""
        try:
            version = get_version(self.registry, claim.ref, with_model=True)
        except NotFoundError:
            self.store.release(claim)
            self.forget_gone(claim.ref.name)
            return None
        if version.ignored:
            self.store.set_ignored(claim.ref, True)
            self.store.release(claim)
            return None
        return version

    def _declare(self, version: RegisteredVersion, files: ModelFiles) -> None:
        known = self.store.version(version.ref)
        named = self._inference.named_in_files(known.digest) if known and known.digest else ()
        found = declared_parents(self.registry, version, files, named)
        self.store.set_declared(version.ref, [DeclaredParent(item.parent, item.source) for item in found])

    @contextmanager
    def _ending_badly(self, claim: Claim, open_claims: list[Claim]) -> Iterator[None]:
        """Ends the claim according to what went wrong inside: a bad model fails, a bad network is tried again."""
        try:
            yield
        except OutOfTimeError:
            raise
        except PostponedError as error:
            self._postponed(claim, open_claims, error)
        except UnsupportedFormatError as error:
            self._ended(claim, open_claims, Status.UNSUPPORTED, error)
        except (WeightsError, FingerprintError) as error:
            self._ended(claim, open_claims, Status.FAILED, error)
        except MotherError as error:
            log.warning("Mother tries %s again later: %s", claim.ref.uri, error)
            self._postponed(claim, open_claims, _tellable(claim.ref, error))
        except (OSError, MemoryError, ImportError) as error:
            # A full disk, too many open files, an unmounted share: the machine's state, not the model's.
            log.warning("Mother tries %s again later: %s", claim.ref.uri, str(error) or type(error).__name__)
            number = error.errno if isinstance(error, OSError) else None
            why = os.strerror(number) if number else type(error).__name__
            what = f"{claim.ref.uri} could not be analysed on this machine: {why}."
            self._postponed(claim, open_claims, MotherError(what, SEE_LOG))
        except Exception as error:
            log.warning("Mother could not analyse %s", claim.ref.uri, exc_info=True)
            what = f"{claim.ref.uri} could not be analysed, which is a bug of Mother ({type(error).__name__})."
            remedy = "Report it with what the log of the process that analyses says."
            self._ended(claim, open_claims, Status.FAILED, MotherError(what, remedy))

    def _postponed(self, claim: Claim, open_claims: list[Claim], error: MotherError) -> None:
        if claim not in open_claims:
            return
        pause = min(RETRY_SECONDS * 2.0 ** min(claim.attempt - 1, 16), LONGEST_RETRY_SECONDS)
        self.store.release(claim, reason=str(error), retry_in=pause)
        open_claims.remove(claim)
        self._try_to_mark(claim.ref, Status.PENDING, str(error))

    def _ended(self, claim: Claim, open_claims: list[Claim], status: Status, error: MotherError) -> None:
        if claim not in open_claims:
            return
        self._try_to_mark(claim.ref, status, str(error))
        self._finish(claim, open_claims, status, str(error))

    def _try_to_mark(self, ref: ModelVersionRef, status: Status, reason: str) -> None:
        try:
            version = get_version(self.registry, ref)
        except MotherError as error:
            log.warning("Mother could not tag %s: %s", ref.uri, error)
        else:
            self._mark(version, status, reason)

    def _mark(self, version: RegisteredVersion, status: Status, reason: str = "") -> None:
        try:
            self.delivery.mark(version, status, reason)
        except MotherError as error:
            log.warning("Mother could not tag %s: %s", version.ref.uri, error)

    @contextmanager
    def _kept_alive(self, claims: list[Claim]) -> Iterator[None]:
        """Prolongs the claims in the list, while they are in it, from a thread."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(self._lease / 3):
                for claim in tuple(claims):
                    self._prolong(claim)

        thread = threading.Thread(target=beat, name="mother-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _prolong(self, claim: Claim) -> None:
        try:
            self.store.heartbeat(claim, self._lease)
        except MotherError as error:
            log.warning("Mother could not prolong its claim on %s: %s", claim.ref.uri, error)


def _tellable(ref: ModelVersionRef, error: MotherError) -> MotherError:
    """An error as it may be told to whoever may read the version: what is not about the model is for the log."""
    if isinstance(error, (WeightsError, FingerprintError, PostponedError, OutOfTimeError, SettingsError)):
        return error
    what = "Mother's tables" if isinstance(error, StoreError) else "the registry, its artifacts or a plugin"
    return MotherError(f"{ref.uri} could not be analysed yet: {what} could not be used.", SEE_LOG)
