"""Cache of pairwise comparisons: two sets of weights never change, so neither does what they have in common."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping

from sqlalchemy import select

from mlflow_mother.store.database import batches
from mlflow_mother.store.part import Part
from mlflow_mother.store.tables import comparisons

_ROWS = 500


class Comparisons(Part):
    """Reading and writing comparisons in bulk, by pair of digests ``(a, b)`` with ``a <= b``."""

    def comparisons(self, digests: Collection[str], *, engine: str) -> dict[tuple[str, str], bytes]:
        """All stored comparisons between any two of these weights.

        Args:
            digests: Digests of weights.
            engine: Version of the engine; comparisons by other versions do not count.
        """
        wanted = set(digests)
        found: dict[tuple[str, str], bytes] = {}
        with self._database.read() as connection:
            for batch in batches(sorted(wanted), _ROWS):
                query = select(comparisons.c.digest_a, comparisons.c.digest_b, comparisons.c.data).where(
                    comparisons.c.digest_a.in_(batch), comparisons.c.spec == self.spec, comparisons.c.engine == engine
                )
                if len(wanted) <= _ROWS:
                    query = query.where(comparisons.c.digest_b.in_(wanted))
                for a, b, packed in connection.execute(query):
                    if b in wanted:
                        found[a, b] = zlib.decompress(packed)
        return found

    def put_comparisons(self, found: Mapping[tuple[str, str], bytes], *, engine: str) -> None:
        """Stores comparisons in place of those that older engines made of the same pairs.

        Args:
            found: Serialised comparisons by ``(a, b)``, ``a <= b``.
            engine: Version of the engine that made them.
        """
        # Sorted, so that two writers of the same pairs lock them in the same order.
        rows = [
            {"digest_a": a, "digest_b": b, "spec": self.spec, "engine": engine, "data": zlib.compress(data, 1)}
            for (a, b), data in sorted(found.items())
        ]
        for batch in batches(rows, _ROWS):
            with self._database.write() as connection:
                connection.execute(self._database.upsert(comparisons), batch)
