"""Brings committed results to where people look: tags, artifacts, plugins.

A write-back stays pending in the store until it is done, so one that was killed, or that this process may not make,
is found again. A notification is taken before it is sent: it may be lost with its process, never sent twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

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
from mlflow_mother.service.reading import Checkpoint, open_files, source_facts
from mlflow_mother.settings import Settings
from mlflow_mother.store import Inference, Store, WriteBackTarget
from mlflow_mother.types import Lineage, ModelVersionRef, Status

log = logging.getLogger(__name__)


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

    def mark(self, version: RegisteredVersion, status: Status, reason: str = "") -> None:
        """Writes the tags of a version that has no lineage."""
        if self.settings.write_tags:
            write_tags(self.registry, version, TagSet.of_status(version.ref, status, reason))

    def deliver(self, refs: Collection[ModelVersionRef] | None = None) -> int:
        """Writes back everything that is pending; returns how many write-backs were made.

        Args:
            refs: Only of these versions.

        One that fails is logged and stays pending, the others go on.
        """
        done = 0
        wanted: list[tuple[WriteBackTarget, bool, Callable[[Inference], None]]] = [
            ("artifacts", self.settings.write_artifacts, self._write_artifacts),
            ("tags", self.settings.write_tags, self._write_tags),
        ]
        for target, allowed, write in wanted:
            for result in self.store.pending_write_backs(self.registry.id, target, refs=refs) if allowed else ():
                self.checkpoint()
                done += self._attempt(result, target, write)
        return done

    def notify(self) -> int:
        """Tells plugins of every committed result that they have not been told of; returns how many."""
        taken = self.store.take_notifications(self.owner, registry=self.registry.id)
        for result in taken:
            self.plugins.after_lineage(result.ref, with_numbers(result.lineage))
        return len(taken)

    def _attempt(self, result: Inference, target: WriteBackTarget, write: Callable[[Inference], None]) -> int:
        try:
            write(result)
            self.store.mark_written(result.ref, result.number, target)
        except NotFoundError as error:
            log.info("Mother drops the %s of %s: %s", target, result.ref.uri, error)
        except ForbiddenError as error:
            log.info("Mother may not write the %s of %s: %s", target, result.ref.uri, error)
        except MotherError as error:
            log.warning("Mother could not write the %s of %s: %s", target, result.ref.uri, error)
        else:
            return 1
        return 0

    def _write_tags(self, result: Inference) -> None:
        version = get_version(self.registry, result.ref)
        write_tags(self.registry, version, TagSet.of_lineage(result.ref, result.lineage))

    def _write_artifacts(self, result: Inference) -> None:
        version = get_version(self.registry, result.ref)
        place = place_of(self.registry, version)
        if place is None:
            return
        lineage = with_numbers(result.lineage)
        place.write({LINEAGE_JSON: to_json(lineage), LINEAGE_HTML: to_page(lineage)})
        self._write_fingerprint(version, place, lineage)

    def _write_fingerprint(self, version: RegisteredVersion, place: Place, lineage: Lineage) -> None:
        """Leaves the fingerprint for other clients, once; its companion last, so that a half-written pair is none."""
        data = self.store.get_fingerprint(lineage.subject_digest)
        if data is None or place.sizes().get(SOURCE_JSON):
            return
        facts = source_facts(version.ref, lineage.subject_digest, open_files(self.registry, version))
        place.write({FINGERPRINT: data})
        place.write({SOURCE_JSON: json.dumps(facts, indent=1, sort_keys=True).encode()})


def to_json(lineage: Lineage) -> bytes:
    """The content of ``lineage.json``."""
    return (lineage.model_dump_json(indent=1) + "\n").encode()


def to_page(lineage: Lineage) -> bytes:
    """The content of ``lineage.html``."""
    return to_html(lineage, title=f"Lineage of {lineage.subject}", subject=lineage.subject).encode()
