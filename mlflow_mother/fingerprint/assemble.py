"""From tensors' results to one fingerprint: the widest sketch that stays below the size bound.

Sketches are always computed at the widest ``k`` in float64 and folded from there, step by step, so the outcome is the
same whenever a step is taken. That lets a model of many tensors be folded while it is still being read.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint.entries import Entry
from mlflow_mother.fingerprint.fold import saturated
from mlflow_mother.fingerprint.format import MAX_BYTES, to_bytes
from mlflow_mother.fingerprint.layout import WIDTHS, offsets
from mlflow_mother.fingerprint.pooling import pool
from mlflow_mother.fingerprint.record import STATS, Fingerprint
from mlflow_mother.weights.names import normalise

_NAME_LENGTH = 200
_TEXT_LENGTH = 500
_DECLARED = 16
_RESERVED_BYTES = 32_000


class Assembler:
    """Collects tensors' results and turns them into a fingerprint.

    Args:
        model: What to call the model in messages.
        format: Weight format it was read from.
        adapter: Description of an unmerged adapter.
        declared: Parents that the model's files name.

    Attributes:
        k: Width of sketches so far; it never grows again.
    """

    def __init__(
        self,
        model: str,
        *,
        format: str = "",  # noqa: A002
        adapter: Mapping[str, str | int | float | None] | None = None,
        declared: Sequence[str] = (),
    ) -> None:
        self._model = model
        self._format = format[:_TEXT_LENGTH]
        self._adapter = {key: v[:_TEXT_LENGTH] if isinstance(v, str) else v for key, v in (adapter or {}).items()}
        self._declared = tuple(text[:_TEXT_LENGTH] for text in declared[:_DECLARED])
        self._entries: list[Entry] = []
        self._names: set[str] = set()
        self.k = WIDTHS[0]
        self._least_bytes = 0

    def add(self, entry: Entry) -> None:
        """Takes the result of the next tensor, at a sketch of at least the width so far.

        Raises:
            FingerprintError: The model holds two tensors of this name.
        """
        if entry.name in self._names:
            raise FingerprintError(
                f"Model {self._model} holds two tensors named {entry.name!r}.", "Save it again with unique names."
            )
        self._names.add(entry.name)
        self._entries.append(entry.folded(self.k))
        self._least_bytes += entry.nbytes(self.k)
        while self._least_bytes > MAX_BYTES and self.k > WIDTHS[-1]:
            self._narrow()

    def finish(self) -> Fingerprint:
        """The fingerprint of all tensors added, at the widest sketch that fits.

        Raises:
            FingerprintError: Even pooled, the model has too many different tensors.
        """
        normal = normalise([entry.name for entry in self._entries])
        self._entries = [replace(entry, name=_short(normal[entry.name])) for entry in self._entries]
        overhead = len(to_bytes(self._packed([])))
        while (excess := overhead + self._total_bytes() - MAX_BYTES) > 0 and self.k > WIDTHS[-1]:
            self._narrow()
        if excess > 0:
            # What is pooled must not depend on how much text a model's files say of it.
            self._entries = pool(self._entries, MAX_BYTES - max(overhead, _RESERVED_BYTES))
        if overhead + self._total_bytes() > MAX_BYTES:
            raise FingerprintError(
                f"Model {self._model} has {len(self._names)} tensors of too many different shapes for a fingerprint.",
                "Register its parts as models of their own.",
            )
        return self._packed(sorted(self._entries, key=lambda entry: entry.name))

    def _narrow(self) -> None:
        self.k //= 2
        self._entries = [entry.folded(self.k) for entry in self._entries]
        self._least_bytes = self._total_bytes()

    def _total_bytes(self) -> int:
        return sum(entry.nbytes(self.k) for entry in self._entries)

    def _packed(self, entries: Sequence[Entry]) -> Fingerprint:
        scales = [math.sqrt(self.k) if len(entry.shape) >= 2 else 1.0 for entry in entries]
        sketches = [entry.sketch.ravel() / scale for entry, scale in zip(entries, scales, strict=True)]
        return Fingerprint(
            names=tuple(entry.name for entry in entries),
            dtypes=tuple(entry.dtype for entry in entries),
            shapes=tuple(entry.shape for entry in entries),
            digests=tuple(entry.digest for entry in entries),
            stats=np.array([entry.stats for entry in entries], STATS),
            k=self.k,
            sketch=saturated(np.concatenate([*sketches, np.zeros(0)])),
            sketch_offsets=offsets([len(sketch) for sketch in sketches]),
            sample=np.concatenate([*(entry.sample for entry in entries), np.zeros(0, np.float32)]),
            sample_offsets=offsets([len(entry.sample) for entry in entries]),
            format=self._format,
            adapter=self._adapter,
            declared=self._declared,
        )


def _short(name: str) -> str:
    """A name of at most 200 characters: of a longer one, its start and a digest of the whole."""
    if len(name) <= _NAME_LENGTH:
        return name
    return f"{name[: _NAME_LENGTH - 33]}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
