"""Finds everything in the registry that is not done yet, says how much that is, and does it.

The registry is listed in full and compared with the store's own tables, so it does not matter why something is
missing: registered without Mother, interrupted, written into the database by hand, or read with an older release.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from mlflow_mother.errors import MotherError
from mlflow_mother.heritage import ENGINE
from mlflow_mother.registry.connection import Registry
from mlflow_mother.registry.tags import TagSet, speak_of
from mlflow_mother.registry.versions import RegisteredVersion, list_versions
from mlflow_mother.service.reading import open_files
from mlflow_mother.service.worker import GONE, Worker
from mlflow_mother.settings import Settings
from mlflow_mother.store import Registration, Store, StoredVersion
from mlflow_mother.types import ModelVersionRef, Record, Status

BATCH = 32
"""Versions that are read before they are compared."""

LOCAL_BYTES_A_SECOND = 500e6
REMOTE_BYTES_A_SECOND = 50e6
SECONDS_A_VERSION = 0.5
"""What the estimate assumes: reading, fetching, and the rest of the work on one version."""

Progress = Callable[[int, int], None]


class Plan(Record):
    """What a reconciliation would do.

    Attributes:
        versions: Versions that would be analysed.
        bytes: Length of their files together.
        minutes: About how long that takes on this machine.
        unreachable: How many of them have files that this process cannot list.
        gone: Versions that would be forgotten, because the registry does not hold them any more.
    """

    versions: int
    bytes: int
    minutes: float
    unreachable: int = 0
    gone: int = 0


class Report(Record):
    """What a reconciliation did.

    Attributes:
        analysed: Versions that this run worked on.
        by_status: Versions of the registry by status, after the run.
        waiting: Versions that are still queued: over the limit, postponed, or in another process's hands.
        written: Tags and artifacts that were written back.
        forgotten: Versions that are gone from the registry.
        ignored: Versions that opted out.
    """

    analysed: int
    by_status: dict[str, int]
    waiting: int
    written: int
    forgotten: int
    ignored: int


@dataclass
class Reconciler:
    """One run over the registry.

    Attributes:
        registry: The registry.
        store: Mother's tables.
        settings: What may be written.
        worker: Does the work.
        lease_seconds: How long to wait for work that a dead process may have left claimed.
        model: Only this registered model.
        since: Only versions registered at or after this time, in unix seconds.
        stopping: Whether to end after the version at hand.
        worked_on: Told of the versions that were just worked on, batch by batch.
    """

    registry: Registry
    store: Store
    settings: Settings
    worker: Worker
    lease_seconds: float
    model: str | None = None
    since: float | None = None
    stopping: Callable[[], bool] = field(default_factory=lambda: lambda: False)
    worked_on: Callable[[Collection[ModelVersionRef]], None] = field(default_factory=lambda: lambda refs: None)
    _known: dict[ModelVersionRef, StoredVersion] = field(default_factory=dict)

    def plan(self, limit: int | None = None) -> Plan:
        """Says what :meth:`run` would do, and changes nothing."""
        versions, _ = self._list()
        outdated = set(self.store.outdated(self.registry.id, engine=ENGINE))
        due = [version for version in versions if not version.ignored and self._is_due(version, outdated)][:limit]
        sizes = [self._size(version) for version in due]
        total = sum(size for size, _ in sizes if size is not None)
        seconds = sum((size or 0) / speed + SECONDS_A_VERSION for size, speed in sizes)
        present = {version.ref for version in versions}
        gone = 0 if self.since is not None else sum(ref not in present for ref in self._known)
        unreachable = sum(size is None for size, _ in sizes)
        return Plan(versions=len(due), bytes=total, minutes=round(seconds / 60, 2), unreachable=unreachable, gone=gone)

    def run(self, limit: int | None = None, progress: Progress | None = None) -> Report:
        """Does everything that is not done.

        Args:
            limit: Analyse at most this many versions.
            progress: Called with the versions done and all to do.
        """
        listed_at = self.store.now()
        versions, whole = self._list()
        names = None if self.model is None else [self.model]
        present = [version.ref for version in versions]
        forgotten = self.store.sync(self.registry.id, present, listed_at=listed_at, names=names) if whole else ()
        self._enqueue(versions)
        # What was postponed is due as well: whoever asks for everything may have mended what was wrong.
        self.store.retry_now(self.registry.id)
        refs = None if self.model is None and self.since is None else present
        analysed = self._drain(refs, limit, progress)
        written = self.worker.delivery.deliver(refs) + self._retag(versions)
        self.worker.delivery.notify()
        counts = self.store.counts(self.registry.id)
        return Report(
            analysed=analysed,
            by_status={status.value: count for status, count in counts.by_status.items()},
            waiting=counts.queued + counts.claimed,
            written=written,
            forgotten=len(forgotten),
            ignored=counts.ignored,
        )

    def take(self, versions: Collection[RegisteredVersion], progress: Progress | None = None) -> int:
        """Does these versions and whatever else is due, without a look at the rest of the registry.

        Args:
            versions: As the registry has them now.
            progress: Called with the versions done and all to do.

        Returns:
            The number of versions worked on.
        """
        if versions:
            self._know({version.ref.name for version in versions})
            self._enqueue(versions)
        return self._drain(None, None, progress, patient=False)

    def _list(self) -> tuple[list[RegisteredVersion], bool]:
        """The versions to look at, newest first, and whether that is all there are of the model or registry."""
        self._know(None if self.model is None else [self.model])
        found: list[RegisteredVersion] = []
        for version in list_versions(self.registry, self.model):
            if self.since is not None and version.created < self.since:
                return found, False
            found.append(version)
        return found, self.since is None

    def _know(self, names: Collection[str] | None) -> None:
        self._known = {known.ref: known for known in self.store.versions(self.registry.id, names=names)}

    def _enqueue(self, versions: Collection[RegisteredVersion]) -> None:
        self.store.enqueue_many([_registration(version) for version in versions])
        for version in versions:
            known = self._known.get(version.ref)
            if version.ignored != (known.ignored if known else False):
                self.store.set_ignored(version.ref, version.ignored)
        looked_at = {version.ref for version in versions}
        outdated = [ref for ref in self.store.outdated(self.registry.id, engine=ENGINE) if ref in looked_at]
        back = [version.ref for version in versions if not version.ignored and self._is_back(version)]
        self.store.enqueue_many([Registration(ref) for ref in (*outdated, *back)], again=True)

    def _drain(
        self, refs: list[ModelVersionRef] | None, limit: int | None, progress: Progress | None, *, patient: bool = True
    ) -> int:
        """Works until nothing is left, or only what living processes hold; a dead one's work is waited for."""
        done, patience = 0, time.monotonic() + self.lease_seconds + 1
        while (limit is None or done < limit) and not self.stopping():
            size = BATCH if limit is None else min(BATCH, limit - done)
            claims = self.worker.claim(size, refs)
            if claims:
                self.worker.work(claims)
                done += len(claims)
                self.worked_on({claim.ref for claim in claims})
                patience = time.monotonic() + self.lease_seconds + 1
                if progress:
                    counts = self.store.counts(self.registry.id)
                    progress(done, done + counts.queued + counts.claimed)
                continue
            if not patient or self.store.counts(self.registry.id).claimed == 0 or time.monotonic() > patience:
                break
            time.sleep(min(0.2, self.lease_seconds / 4))
        return done

    def _retag(self, versions: Iterable[RegisteredVersion]) -> int:
        """Writes the tags of finished versions that carry none of their own, e.g. because somebody deleted them."""
        if not self.settings.write_tags:
            return 0
        done = 0
        bare = [v for v in versions if not v.ignored and not speak_of(v.tags, v.ref, dotted=self.registry.dotted_tags)]
        before = [version for version in bare if version.ref in self._known]
        for version in before:
            known = self._known[version.ref]
            if known.status is Status.PENDING:
                continue
            current = self.store.current_inference(version.ref)
            tags = (
                TagSet.of_lineage(version.ref, current.lineage)
                if current
                else TagSet.of_status(version.ref, known.status, known.reason)
            )
            try:
                done += self.worker.delivery.write_tags(version, tags)
            except MotherError:
                continue
        return done

    def _is_due(self, version: RegisteredVersion, outdated: set[ModelVersionRef]) -> bool:
        known = self._known.get(version.ref)
        return known is None or known.status is Status.PENDING or version.ref in outdated or self._is_back(version)

    def _is_back(self, version: RegisteredVersion) -> bool:
        """Whether a version's files, which were gone when it failed, are there now: a share that was not mounted."""
        known = self._known.get(version.ref)
        if known is None or known.status is not Status.FAILED or not known.reason.endswith(GONE):
            return False
        try:
            return bool(open_files(self.registry, version).sizes())
        except MotherError:
            return False

    def _size(self, version: RegisteredVersion) -> tuple[int | None, float]:
        from mlflow_mother.registry.artifacts import is_local

        try:
            files = open_files(self.registry, version)
            total = sum(files.sizes().values())
        except MotherError:
            return None, LOCAL_BYTES_A_SECOND
        return total, LOCAL_BYTES_A_SECOND if is_local(files) else REMOTE_BYTES_A_SECOND


def _registration(version: RegisteredVersion) -> Registration:
    return Registration(version.ref, version.source, version.created or None)
