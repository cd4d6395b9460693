"""One tensor's result on its way into a fingerprint."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.fold import fold_matrix, fold_vector
from mlflow_mother.fingerprint.layout import sample_length, sample_limit, sketch_length
from mlflow_mother.fingerprint.record import STATS


@dataclass(frozen=True, eq=False)
class Entry:
    """One tensor's result.

    Attributes:
        name: Tensor name.
        dtype: Element type.
        shape: Dimensions.
        digest: 16 bytes.
        stats: A scalar of dtype :data:`~.record.STATS`.
        sketch: float64, unscaled: with R's entries +-1. ``(k, k)`` or ``(buckets,)``.
        sample: float32.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    digest: bytes
    stats: np.void
    sketch: npt.NDArray[np.float64]
    sample: npt.NDArray[np.float32]

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def folded(self, k: int) -> Entry:
        """The same at sketch width ``k``."""
        matrix = len(self.shape) >= 2
        sketch = fold_matrix(self.sketch, k) if matrix else fold_vector(self.sketch, self.count, k)
        return replace(self, sketch=sketch, sample=self.sample[: sample_limit(k)])

    def nbytes(self, k: int) -> int:
        """Bytes that the tensor takes in a serialised fingerprint of width ``k``; never too few."""
        text = json.dumps(json.dumps([self.name, self.dtype, list(self.shape)]))
        values = sketch_length(self.shape, k) + sample_length(self.shape, k)
        return len(text) + STATS.itemsize + len(self.digest) + 4 * values
