"""The fingerprint: everything that heritage recovery ever needs to know of a model's weights, in at most 1 MB.

Per tensor it keeps exact float64 statistics, a digest, a *linear sketch* (the sketch of a difference is the
difference of sketches) and a handful of raw values at fixed positions. Columns, not objects: a comparison of two
models is a few vectorised passes over these arrays. numpy only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mlflow_mother.errors import FingerprintError

SPEC = "mother-fp/1"
"""Version of the fingerprint spec; fingerprints of different specs are never compared."""

STATS = np.dtype(
    [
        ("count", "<i8"),  # number of elements
        ("sum", "<f8"),  # sum of values
        ("sumsq", "<f8"),  # sum of squares: ||W||^2, the energy around 0
        ("sum3", "<f8"),  # sum of cubes
        ("sum4", "<f8"),  # sum of fourth powers
        ("abs", "<f8"),  # sum of absolute values
        ("min", "<f8"),  # smallest finite value
        ("max", "<f8"),  # largest finite value
        ("zeros", "<i8"),  # exact zeros of either sign
        ("nonfinite", "<i8"),  # NaN and infinities; they count as 0 everywhere else
        ("mantissa", "<i4"),  # significant bits of float32 mantissas in use, 0..23 (the grid of a cast)
        ("distinct", "<i4"),  # distinct values among the first 4096 (the grid of a quantisation)
    ]
)
"""Exact statistics of one tensor, all around 0; energies around another mean follow from them."""


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A model's fingerprint.

    T tensors in the order of their normalised names; ragged columns are concatenated and cut by offsets.

    Attributes:
        names: Normalised tensor names (wrapper prefixes removed), unique.
        dtypes: Element types, safetensors' names.
        shapes: Dimensions.
        digests: 16-byte digest of each tensor's dtype, shape and values.
        stats: Exact statistics, shape ``(T,)``, dtype :data:`STATS`.
        k: Sketch width, a power of two. A tensor of two or more dimensions, seen as ``(shape[0], rest)``, has a
            ``k x k`` sketch ``S^T W R``; one of fewer dimensions a count-sketch of ``min(count, 8 k)`` buckets.
        sketch: Sketches, row-major, float32, concatenated.
        sketch_offsets: int64, shape ``(T + 1,)``.
        sample: Raw values as float32 at the positions that the spec fixes for each tensor's count.
        sample_offsets: int64, shape ``(T + 1,)``.
        format: Weight format it was read from.
        adapter: ``{"kind", "base", "rank", "alpha"}`` for an unmerged PEFT adapter, else empty.
        declared: Parents that the model's files name, as found.
        spec: Version of the spec.
    """

    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    digests: tuple[bytes, ...]
    stats: npt.NDArray[np.void]
    k: int
    sketch: npt.NDArray[np.float32]
    sketch_offsets: npt.NDArray[np.int64]
    sample: npt.NDArray[np.float32]
    sample_offsets: npt.NDArray[np.int64]
    format: str = ""
    adapter: dict[str, str | int | float | None] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    spec: str = SPEC

    def __post_init__(self) -> None:
        tensors = len(self.names)
        lengths = {len(self.dtypes), len(self.shapes), len(self.digests), len(self.stats)}
        lengths |= {len(self.sketch_offsets) - 1, len(self.sample_offsets) - 1}
        if lengths != {tensors} or len(set(self.names)) != tensors:
            raise FingerprintError("A fingerprint's columns disagree in length or repeat a name.", "Recompute it.")
        for values, offsets in ((self.sketch, self.sketch_offsets), (self.sample, self.sample_offsets)):
            if offsets[0] != 0 or offsets[-1] != len(values) or np.any(np.diff(offsets) < 0):
                raise FingerprintError("A fingerprint's offsets do not fit its values.", "Recompute it.")

    @cached_property
    def digest(self) -> str:
        """Hex digest of all tensors' dtypes, shapes and values, whatever their names, order or sharding."""
        hasher = hashlib.sha256(self.spec.encode())
        for digest in sorted(self.digests):
            hasher.update(digest)
        return hasher.hexdigest()[:32]

    @property
    def parameters(self) -> int:
        """Number of elements over all tensors."""
        return int(self.stats["count"].sum())

    def sketch_of(self, index: int) -> npt.NDArray[np.float32]:
        """Sketch of one tensor: ``(k, k)``, or ``(min(count, 8 k),)`` for a vector or scalar."""
        flat = self.sketch[self.sketch_offsets[index] : self.sketch_offsets[index + 1]]
        return flat.reshape(self.k, self.k) if len(self.shapes[index]) >= 2 else flat

    def sample_of(self, index: int) -> npt.NDArray[np.float32]:
        """Raw values of one tensor at the spec's positions."""
        return self.sample[self.sample_offsets[index] : self.sample_offsets[index + 1]]
