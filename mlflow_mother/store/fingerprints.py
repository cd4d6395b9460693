"""Fingerprints, kept once for each distinct set of weights, and the index that finds relatives among them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, select, update

from mlflow_mother.errors import StoreError
from mlflow_mother.store.database import Database, batches
from mlflow_mother.store.part import REF, Part, locked_version, ref_of
from mlflow_mother.store.records import Candidate, StoredFingerprint
from mlflow_mother.store.tables import fingerprint_data, fingerprints, versions
from mlflow_mother.types import ModelVersionRef

COARSE_VALUES = 1024
"""Most values of a coarse vector: 4 KB."""


class Fingerprints(Part):
    """Storing fingerprints, and finding candidates for a new one."""

    def __init__(self, database: Database, spec: str) -> None:
        super().__init__(database, spec)
        self._index = CoarseIndex()

    def put_fingerprint(self, ref: ModelVersionRef, fingerprint: StoredFingerprint) -> None:
        """Stores a version's fingerprint of spec :attr:`spec`; equal weights share one.

        Raises:
            StoreError: The store does not know the version, or the coarse vector is too long.
        """
        row = {
            "digest": fingerprint.digest,
            "spec": self.spec,
            "signature": fingerprint.signature,
            "parameters": fingerprint.parameters,
            "coarse": _packed(fingerprint),
        }
        with self._database.write() as connection:
            version = locked_version(connection, ref)
            inserted = connection.execute(
                self._database.insert_missing(fingerprints).values(**row, created_at=self._database.now(connection))
            )
            if inserted.rowcount == 1:
                key = select(fingerprints.c.id).where(
                    fingerprints.c.digest == fingerprint.digest, fingerprints.c.spec == self.spec
                )
                connection.execute(
                    fingerprint_data.insert().values(
                        fingerprint_id=connection.execute(key).scalar_one(), data=fingerprint.data
                    )
                )
            self._hold(connection, version.id, fingerprint.digest)

    def share_fingerprint(self, ref: ModelVersionRef, digest: str) -> bool:
        """Gives a version the stored fingerprint of equal weights, e.g. after ``copy_model_version``.

        Returns:
            False when the store does not hold that fingerprint.

        Raises:
            StoreError: The store does not know the version.
        """
        known = select(fingerprints.c.id).where(fingerprints.c.digest == digest, fingerprints.c.spec == self.spec)
        with self._database.write() as connection:
            version = locked_version(connection, ref)
            if connection.execute(known).first() is None:
                return False
            self._hold(connection, version.id, digest)
            return True

    def get_fingerprint(self, digest: str) -> bytes | None:
        """The serialised fingerprint of these weights; None when there is none of spec :attr:`spec`."""
        return self.get_fingerprints([digest]).get(digest)

    def get_fingerprints(self, digests: Collection[str]) -> dict[str, bytes]:
        """The serialised fingerprints of spec :attr:`spec` by digest; unknown digests are left out."""
        found: dict[str, bytes] = {}
        with self._database.read() as connection:
            for batch in batches(digests, 500):
                query = (
                    select(fingerprints.c.digest, fingerprint_data.c.data)
                    .join_from(fingerprints, fingerprint_data)
                    .where(fingerprints.c.spec == self.spec, fingerprints.c.digest.in_(batch))
                )
                found.update({row.digest: bytes(row.data) for row in connection.execute(query)})
        return found

    def candidates(
        self, registry: str, coarse: npt.NDArray[np.float32], limit: int, *, exclude: Collection[str] = ()
    ) -> tuple[Candidate, ...]:
        """The known weights whose coarse vectors point most nearly in the same or the opposite direction.

        Args:
            registry: The registry to look in; ignored versions and fingerprints of other specs do not count.
            coarse: Coarse vector, float32, shape ``(d,)``.
            limit: Most candidates.
            exclude: Digests to leave out.

        Returns:
            Candidates by falling |cosine|; ties by digest.
        """
        mine = (versions.c.registry == registry, versions.c.spec == self.spec, ~versions.c.ignored)
        with self._database.read() as connection:
            known = set(connection.scalars(select(versions.c.digest).where(*mine, versions.c.digest.is_not(None))))
            known.difference_update(exclude)
            nearest = self._index.nearest(connection, self.spec, sorted(known), coarse, limit)
            refs: dict[str, list[ModelVersionRef]] = {digest: [] for digest, _ in nearest}
            oldest_first = (versions.c.registered_at.nulls_last(), versions.c.id)
            holders = select(*REF, versions.c.digest).where(*mine, versions.c.digest.in_(refs)).order_by(*oldest_first)
            for row in connection.execute(holders):
                refs[row.digest].append(ref_of(row))
            signatures = {
                row.digest: row.signature
                for row in connection.execute(
                    select(fingerprints.c.digest, fingerprints.c.signature).where(
                        fingerprints.c.spec == self.spec, fingerprints.c.digest.in_(refs)
                    )
                )
            }
        return tuple(
            Candidate(digest=digest, cosine=cosine, signature=signatures[digest], refs=tuple(refs[digest]))
            for digest, cosine in nearest
        )

    def _hold(self, connection: Connection, version_id: int, digest: str) -> None:
        connection.execute(update(versions).where(versions.c.id == version_id).values(digest=digest, spec=self.spec))


class CoarseIndex:
    """The coarse vectors that this process has read so far, as the rows of one matrix.

    A vector belongs to its digest and never changes, so that nothing here can go stale: each search reads the digests
    that count now, and only the vectors that are not here yet.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, int] = {}
        self._matrix: npt.NDArray[np.float32] = np.empty((0, 0), np.float32)

    def nearest(
        self, connection: Connection, spec: str, digests: list[str], coarse: npt.NDArray[np.float32], limit: int
    ) -> list[tuple[str, float]]:
        """The ``limit`` digests of largest |cosine| with their cosines, largest first."""
        query = _unit(coarse)
        with self._lock:
            self._load(connection, spec, [digest for digest in digests if digest not in self._rows], len(query))
            digests = [digest for digest in digests if digest in self._rows]
            rows = np.array([self._rows[digest] for digest in digests], np.intp)
            cosines = (self._matrix[: len(self._rows)] @ query)[rows] if len(rows) else np.empty(0, np.float32)
        order = np.argsort(-np.abs(cosines), kind="stable")[:limit]
        return [(digests[i], float(np.clip(cosines[i], -1, 1))) for i in order]

    def _load(self, connection: Connection, spec: str, digests: Iterable[str], width: int) -> None:
        for batch in batches(digests, 1000):
            query = select(fingerprints.c.digest, fingerprints.c.coarse).where(
                fingerprints.c.spec == spec, fingerprints.c.digest.in_(batch)
            )
            for digest, packed in connection.execute(query):
                vector = np.frombuffer(packed, "<f4")
                if len(vector) == width:
                    self._append(digest, vector)

    def _append(self, digest: str, vector: npt.NDArray[np.float32]) -> None:
        used = len(self._rows)
        if used == len(self._matrix):
            grown = np.empty((max(64, 2 * used), len(vector)), np.float32)
            grown[:used] = self._matrix[:used] if used else 0
            self._matrix = grown
        self._matrix[used] = vector
        self._rows[digest] = used


def _packed(fingerprint: StoredFingerprint) -> bytes:
    if fingerprint.coarse.ndim != 1 or not 0 < len(fingerprint.coarse) <= COARSE_VALUES:
        shape = fingerprint.coarse.shape
        raise StoreError(
            f"The coarse vector of {fingerprint.digest} has shape {shape}, not 1 to {COARSE_VALUES} values.",
            "Make it with `fingerprint.coarse.coarse_vector`.",
        )
    return _unit(fingerprint.coarse).astype("<f4").tobytes()


def _unit(vector: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The vector at length 1, or 0 where it has no finite direction."""
    values = vector.astype(np.float64)
    norm = float(np.linalg.norm(values))
    if norm == 0 or not np.isfinite(norm):
        return np.zeros(len(vector), np.float32)
    return (values / norm).astype(np.float32)
