"""Follows a registry that somebody else serves: looks for what is new, listens to hints, never gives up.

Every look ends in the :class:`~mlflow_mother.service.reconciling.Reconciler`. Looking for what is new costs one request
when there is nothing; once in a while everything is reconciled, which finds what was missed, changed or deleted. A
hint (a webhook's delivery) names a version that may be new; the registry is asked what it is. While the registry or
Mother's tables cannot be reached, the watcher waits, longer each time, and afterwards reconciles everything.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue

from mlflow_mother.errors import RegistryError, SchemaOutdatedError, StoreError
from mlflow_mother.registry.connection import ForbiddenError, InvalidError, NotFoundError, Registry
from mlflow_mother.registry.news import News
from mlflow_mother.registry.versions import RegisteredVersion, get_version, is_prompt
from mlflow_mother.service.reconciling import Progress, Reconciler, Report
from mlflow_mother.service.service import Service
from mlflow_mother.types import ModelVersionRef, Status

MOST_HINTS = 1000
"""Hints that may wait; beyond that everything is reconciled instead."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds between attempts to reach a registry that does not answer: doubled each time, up to the longest."""

Working = Callable[[], AbstractContextManager[Progress | None]]


class Watcher:
    """Keeps a registry's lineage current until it is stopped.

    Args:
        service: The registry's service.
        interval: Seconds between looks for what is new.
        full_every: Seconds between reconciliations of everything.
        say: Told every event, one line each.
        working: Surrounds each piece of work, and gives what shows its progress.
    """

    def __init__(
        self,
        service: Service,
        *,
        interval: float,
        full_every: float,
        say: Callable[[str], None],
        working: Working = nullcontext,
    ) -> None:
        self._service = service
        self._interval = interval
        self._full_every = full_every
        self._say = say
        self._working = working
        self._news = News(service.registry)
        # Its `put` may be called from signal handlers, which that of other queues and events may not.
        self._inbox: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self._hinted: set[tuple[str, str]] = set()
        self._stopping = False
        self._overflowed = False
        self._next_full = self._next_news = 0.0
        self.looked_at: float | None = None
        """When the registry last answered, in unix seconds."""

    @property
    def registry(self) -> Registry:
        """The registry that is watched."""
        return self._service.registry

    def hint(self, name: str, version: str) -> None:
        """Has a version looked at soon; callable from any thread, and returns at once.

        Args:
            name: The registered model.
            version: The version's number.
        """
        if self._inbox.qsize() < MOST_HINTS:
            self._inbox.put((name, version))
        else:
            self._overflowed = True

    def stop(self) -> None:
        """Ends :meth:`run` after the version at hand; callable from any thread and from signal handlers."""
        self._stopping = True
        self._inbox.put(None)

    def run(self) -> None:
        """Watches until it is stopped.

        Raises:
            SchemaOutdatedError: Mother's tables need ``mlflow-mother db upgrade``.
        """
        address = self.registry.address
        self._say(f"watching {address}: news every {self._interval:g} s, everything every {self._full_every:g} s")
        failures = 0
        while not self._stopping:
            try:
                self._look()
            except SchemaOutdatedError:
                raise
            except (RegistryError, StoreError) as error:
                # Hints are not kept meanwhile: everything is reconciled afterwards.
                self._next_full = 0.0
                pause = _pause(failures)
                failures += 1
                self._say(f"trying again in {pause:.0f} s: {error.what}")
                self._rest(time.monotonic() + pause, until_hinted=False)
                continue
            if failures:
                self._say(f"{address} answers again")
            failures = 0
            self._rest(min(self._next_news, self._next_full))
        self._say("stopped")

    def once(self) -> Report:
        """Reconciles everything, one time.

        Raises:
            MotherError: The registry or Mother's tables cannot be reached.
        """
        with self._working() as progress:
            report = self._reconciler().run(progress=progress)
        self._say(_sum(report))
        return report

    def _look(self) -> None:
        now = time.monotonic()
        if self._overflowed or now >= self._next_full:
            self._overflowed = False
            self._hinted.clear()
            # Remember the newest first, list afterwards: what is registered in between is in both.
            self._news.forget()
            self._news.look()
            self.once()
            self._next_full = time.monotonic() + self._full_every
            self._next_news = time.monotonic() + self._interval
        else:
            found = self._follow_hints()
            if now >= self._next_news:
                found += self._news.look()
                self._next_news = time.monotonic() + self._interval
            self._take({version.ref: version for version in found}.values())
        self.looked_at = time.time()

    def _follow_hints(self) -> list[RegisteredVersion]:
        """What the registry itself says of the versions that were hinted at."""
        found: list[RegisteredVersion] = []
        for name, number in sorted(self._hinted):
            ref = self.registry.ref(name, number)
            try:
                found.append(get_version(self.registry, ref, with_model=True))
            except NotFoundError:
                self._say(f"{ref.uri} was announced, but is not in the registry")
            except (ForbiddenError, InvalidError) as error:  # of this version alone: the others go on
                self._say(f"{ref.uri} was announced and is left out: {error.what}")
        self._hinted.clear()
        return [version for version in found if not is_prompt(version.tags)]

    def _take(self, versions: Collection[RegisteredVersion]) -> None:
        for version in versions:
            if not version.ignored and self._service.store.version(version.ref) is None:
                self._say(f"{version.ref.uri} is new")
        if versions or self._service.store.counts(self.registry.id).queued:
            with self._working() as progress:
                self._reconciler().take(versions, progress)

    def _reconciler(self) -> Reconciler:
        return self._service.reconciler(stopping=lambda: self._stopping, worked_on=self._report)

    def _report(self, refs: Collection[ModelVersionRef]) -> None:
        for ref in sorted(refs, key=lambda ref: ref.uri):
            known = self._service.store.version(ref)
            if known is None:
                self._say(f"{ref.uri} is gone")
            elif known.status is Status.PENDING:
                self._say(f"{ref.uri} waits" + (f": {known.reason}" if known.reason else ""))
            else:
                self._say(f"{ref.uri} {known.status.value}: {known.reason or self._origin(ref)}")

    def _origin(self, ref: ModelVersionRef) -> str:
        current = self._service.store.current_inference(ref)
        parents = current.lineage.parents(current.lineage.subject) if current else ()
        if not parents:
            return "no parent is decided"
        return ", ".join(f"{edge.relation.value} of {edge.parent} ({edge.probability:.3f})" for edge in parents)

    def _rest(self, until: float, *, until_hinted: bool = True) -> None:
        """Waits and collects the hints that come meanwhile; the first of them ends the wait, unless told otherwise."""
        while not self._stopping and len(self._hinted) < MOST_HINTS:
            left = until - time.monotonic()
            try:
                hint = self._inbox.get(timeout=left) if left > 0 else self._inbox.get_nowait()
            except Empty:
                return
            if hint is not None and until_hinted:
                self._hinted.add(hint)
                until = 0.0


def _pause(failures: int) -> float:
    """Seconds to wait after this many failures before; spread, so that many watchers do not come back together."""
    longest: float = min(FIRST_PAUSE * 2.0 ** min(failures, 16), LONGEST_PAUSE)
    return longest * random.uniform(0.75, 1.0)  # noqa: S311


def _sum(report: Report) -> str:
    parts = [f"{count} {status}" for status, count in report.by_status.items() if count]
    more = [f"{n} {what}" for what, n in (("waiting", report.waiting), ("forgotten", report.forgotten)) if n]
    return f"reconciled: {report.analysed} analysed now; the registry has " + (
        ", ".join([*parts, *more]) or "no versions"
    )
