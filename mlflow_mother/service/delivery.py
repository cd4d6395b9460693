"""Brings committed results to where people look: tags, artifacts, plugins.

A write-back stays pending in the store until it is done, so one that was killed, or that this process may not make,
is found again. Tags come first: an artifact store that fails or hangs holds up nobody's tags. A notification is taken
before it is sent: it may be lost with its process, never sent twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from mlflow_mother.errors import MotherError
from mlflow_mother.export import to_html
from mlflow_mother.plugins import Plugins
from mlflow_mother.registry.connection import ForbiddenError, NotFoundError, Registry
from mlflow_mother.registry.tags import TagSet
from mlflow_mother.registry.versions import RegisteredVersion, get_version
from mlflow_mother.registry.write_back import (
    FINGERPRINT,
    LINEAGE_HTML,
    LINEAGE_JSON,
    SOURCE_JSON,
    Place,
    place_of,
    write_tags,
)
from mlflow_mother.service.families import with_numbers
from mlflow_mother.service.inline import OutOfTimeError
from mlflow_mother.service.reading import Checkpoint, open_files, source_facts
from mlflow_mother.settings import Settings
from mlflow_mother.store import Inference, Store, WriteBackTarget
from mlflow_mother.types import Lineage, ModelVersionRef, Status

log = logging.getLogger(__name__)

_Failure = tuple[WriteBackTarget, ModelVersionRef, MotherError]


@dataclass(frozen=True)
class Delivery:
    """Writes results back and tells plugins.

    Attributes:
        registry: Where results are shown.
        store: Where they are committed.
        settings: What may be written.
        plugins: Who is told.
        owner: Who takes notifications.
        checkpoint: Called between writes.
    """

    registry: Registry
    store: Store
    settings: Settings
    plugins: Plugins
    owner: str
    checkpoint: Checkpoint
    _complained: set[WriteBackTarget] = field(default_factory=set)

    def mark(self, version: RegisteredVersion, status: Status, reason: str = "") -> None:
        """Writes the tags of a version that has no lineage."""
        if self.settings.write_tags:
            self.write_tags(version, TagSet.of_status(version.ref, status, reason))

    def write_tags(self, version: RegisteredVersion, tags: TagSet) -> bool:
        """Makes a version's tags say this, as far as it may be said; whether anything had to be written."""
        if not self.settings.name_relatives:
            tags = tags.without_others(version.ref.name)
        with self.store.turn():
            return write_tags(self.registry, version, tags)

    def deliver(self, refs: Collection[ModelVersionRef] | None = None, *, by_the_way: bool = False) -> int:
        """Writes back everything that is pending; returns how many write-backs were made.

        Args:
            refs: Only of these versions.
            by_the_way: Whether nobody asked for these versions, so that not being allowed to write them is no news.

        One that fails is logged and stays pending, the others go on.
        """
        pending: dict[ModelVersionRef, dict[WriteBackTarget, Inference]] = {}
        named = self.settings.name_relatives
        allowed: dict[WriteBackTarget, bool] = {
            "tags" if named else "own tags": self.settings.write_tags,
            "artifacts" if named else "own artifacts": self.settings.write_artifacts,
        }
        for target in (target for target, may in allowed.items() if may):
            for result in self.store.pending_write_backs(self.registry.id, target, refs=refs):
                pending.setdefault(result.ref, {})[target] = result
        failed: list[_Failure] = []
        written = sum(self._write(ref, results, failed) for ref, results in pending.items())
        self._complain([failure for failure in failed if not (by_the_way and isinstance(failure[2], ForbiddenError))])
        return written

    def notify(self) -> int:
        """Tells plugins of every committed result that they have not been told of; returns how many."""
        taken = self.store.take_notifications(self.owner, registry=self.registry.id)
        for result in taken:
            self.plugins.after_lineage(result.ref, with_numbers(result.lineage))
        return len(taken)

    def _complain(self, failed: Collection[_Failure]) -> None:
        """Says in one line for each target what could not be written; the same of one more version is no news."""
        by_target: dict[WriteBackTarget, list[_Failure]] = {}
        for failure in failed:
            by_target.setdefault(failure[0], []).append(failure)
        for target, failures in by_target.items():
            _, ref, error = failures[0]
            others = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
            news = target not in self._complained or others
            self._complained.add(target)
            log.log(
                logging.WARNING if news else logging.INFO,
                "Mother could not write the %s of %s%s: %s Run `mlflow-mother reconcile` then: the result is kept.",
                target,
                ref.uri,
                others,
                error,
            )

    def _write(self, ref: ModelVersionRef, results: dict[WriteBackTarget, Inference], failed: list[_Failure]) -> int:
        """Writes one version's results; returns how many could be written."""
        self.checkpoint()
        try:
            version = get_version(self.registry, ref)
        except NotFoundError as error:
            log.info("Mother writes nothing of %s, which is gone: %s", ref.uri, error)
            return 0
        except MotherError as error:
            failed += [(target, ref, error) for target in results]
            return 0
        return sum(self._attempt(version, target, result, failed) for target, result in results.items())

    def _attempt(
        self, version: RegisteredVersion, target: WriteBackTarget, result: Inference, failed: list[_Failure]
    ) -> bool:
        """Writes one result; one that cannot be written now stays pending, and the others go on."""
        ref = result.ref
        try:
            if target in ("artifacts", "own artifacts"):
                self._write_artifacts(version, result.lineage)
            else:
                self.write_tags(version, TagSet.of_lineage(ref, result.lineage))
            self.store.mark_written(ref, result.number, target)
        except OutOfTimeError:
            raise
        except MotherError as error:
            failed.append((target, ref, error))
            return False
        return True

    def _write_artifacts(self, version: RegisteredVersion, lineage: Lineage) -> None:
        place = place_of(self.registry, version)
        if place is None:
            return
        if self.settings.name_relatives:
            shown = with_numbers(lineage)
            place.write({LINEAGE_JSON: to_json(shown), LINEAGE_HTML: to_page(shown)})
        elif LINEAGE_JSON in place.sizes():
            place.delete()
        self._write_fingerprint(version, place, lineage)

    def _write_fingerprint(self, version: RegisteredVersion, place: Place, lineage: Lineage) -> None:
        """Leaves the fingerprint for other clients, once; its companion last, so that a half-written pair is none."""
        data = self.store.get_fingerprint(lineage.subject_digest)
        if data is None:
            return
        facts = source_facts(version.ref, lineage.subject_digest, open_files(self.registry, version))
        said = json.dumps(facts, indent=1, sort_keys=True).encode()
        there = place.sizes()
        if there.get(FINGERPRINT) == len(data) and there.get(SOURCE_JSON) == len(said):
            return
        place.write({FINGERPRINT: data})
        place.write({SOURCE_JSON: said})


def to_json(lineage: Lineage) -> bytes:
    """The content of ``lineage.json``."""
    return (lineage.model_dump_json(indent=1) + "\n").encode()


def to_page(lineage: Lineage) -> bytes:
    """The content of ``lineage.html``."""
    return to_html(lineage, title=f"Lineage of {lineage.subject}", subject=lineage.subject).encode()
