"""A vector of 4 KB per model with which relatives are found among thousands before any fingerprint is opened."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint import seeds
from mlflow_mother.fingerprint.fold import fold, fold_vector, signed_buckets
from mlflow_mother.fingerprint.layout import BUCKETS_PER_WIDTH
from mlflow_mother.fingerprint.record import Fingerprint

DIMENSIONS = 1024
"""Length of a coarse vector."""

_WIDTH = 8
_SLOT = _WIDTH * _WIDTH


def coarse_vector(fingerprint: Fingerprint) -> npt.NDArray[np.float32]:
    """A direction that related models share, whatever their tensors' names, order and sharding.

    The sketches of all matrices of one column count are folded to ``8 x 8`` and added up; the sum, scaled to length 1,
    goes with signs of its own into one of 16 slots of 64. So every group of tensors has the same say, and a model
    whose vocabulary was extended or whose head was replaced keeps the other groups. Vectors count only in a model
    without matrices: norm gains and biases look alike in unrelated models.

    Args:
        fingerprint: Of any width; the result hardly depends on it.

    Returns:
        float32, shape ``(1024,)``, of length 1; all zeros for a model without energy. The cosine of two related models
        is near 1; that of two unrelated ones has mean 0 and spread about ``1 / (8 sqrt(groups))``.
    """
    narrow = fold(fingerprint, _WIDTH)
    groups: dict[int, npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(_SLOT))
    matrices = any(len(shape) >= 2 and 0 not in shape for shape in narrow.shapes)
    for index, shape in enumerate(narrow.shapes):
        count = int(narrow.stats["count"][index])
        sketch = narrow.sketch_of(index).astype(np.float64).ravel()
        if matrices and len(shape) >= 2 and count:
            groups[count // shape[0]] += sketch
        elif not matrices and count:
            groups[count] += _buckets(sketch, count)
    vector = np.zeros(DIMENSIONS)
    for key, total in sorted(groups.items()):
        norm = float(np.linalg.norm(total))
        if norm > 0.0:
            slot, signs = seeds.coarse_slot(key)
            vector[slot * _SLOT : (slot + 1) * _SLOT] += signs * total / norm
    norm = float(np.linalg.norm(vector))
    return (vector / norm if norm > 0.0 else vector).astype(np.float32)


def _buckets(sketch: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    if count > BUCKETS_PER_WIDTH * _WIDTH:
        return sketch
    return fold_vector(signed_buckets(sketch), seeds.VECTOR_BUCKETS + 1, _WIDTH)
