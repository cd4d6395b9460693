"""A fingerprint at a smaller sketch width, so that fingerprints of different widths can be compared.

Sketches are nested: rows ``b`` and ``b + k/2`` of the wider one share a bucket of the narrower one, whose columns are
the wider one's first half, rescaled.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint import seeds
from mlflow_mother.fingerprint.layout import BUCKETS_PER_WIDTH, WIDTHS, offsets, sample_limit
from mlflow_mother.fingerprint.record import Fingerprint

_FloatArray = npt.NDArray[np.float64]


def fold(fingerprint: Fingerprint, k: int) -> Fingerprint:
    """Derives the fingerprint of width ``k`` from a wider one.

    It equals the fingerprint computed at that width up to the rounding of its sketches to float32. Folding never
    changes statistics, digests or names.

    Args:
        fingerprint: The wider one.
        k: 8, 16, 32 or 64, at most ``fingerprint.k``.

    Raises:
        FingerprintError: ``k`` is no such width.
    """
    if k not in WIDTHS or k > fingerprint.k:
        raise FingerprintError(
            f"A fingerprint of width {fingerprint.k} cannot be folded to width {k!r}.",
            f"Choose one of {', '.join(str(w) for w in WIDTHS if w <= fingerprint.k)}.",
        )
    if k == fingerprint.k:
        return fingerprint
    sketches, samples = [], []
    for index, shape in enumerate(fingerprint.shapes):
        wide = fingerprint.sketch_of(index).astype(np.float64)
        if len(shape) >= 2:
            sketches.append(fold_matrix(wide, k).ravel() * math.sqrt(fingerprint.k / k))
        else:
            sketches.append(fold_vector(wide, int(fingerprint.stats["count"][index]), k))
        samples.append(fingerprint.sample_of(index)[: sample_limit(k)])
    return replace(
        fingerprint,
        k=k,
        sketch=saturated(np.concatenate([*sketches, np.zeros(0)])),
        sketch_offsets=offsets([len(sketch) for sketch in sketches]),
        sample=np.concatenate([*samples, np.zeros(0, np.float32)]),
        sample_offsets=offsets([len(sample) for sample in samples]),
    )


def saturated(values: _FloatArray) -> npt.NDArray[np.float32]:
    """Values as float32, those beyond its range as its largest."""
    bound = float(np.finfo(np.float32).max)
    return np.clip(values, -bound, bound).astype(np.float32)


def fold_matrix(sketch: _FloatArray, k: int) -> _FloatArray:
    """An unscaled square sketch, or a stack of them, at width ``k``: rows added modulo ``k``, ``k`` columns kept."""
    while sketch.shape[-1] > k:
        half = sketch.shape[-1] // 2
        sketch = sketch[..., :half, :half] + sketch[..., half:, :half]
    return sketch


def fold_vector(sketch: _FloatArray, count: int, k: int) -> _FloatArray:
    """The count-sketch of a vector of ``count`` elements at width ``k``.

    As long as the vector fits into the buckets its sketch is the values themselves, without signs.
    """
    buckets = BUCKETS_PER_WIDTH * k
    if count <= buckets:
        return sketch
    if len(sketch) == count:
        sketch = signed_buckets(sketch)
    while len(sketch) > buckets:
        half = len(sketch) // 2
        sketch = sketch[:half] + sketch[half:]
    return sketch


def signed_buckets(values: _FloatArray) -> _FloatArray:
    """Values of a short vector as the widest count-sketch, 512 signed buckets."""
    sketch = np.zeros(seeds.VECTOR_BUCKETS)
    sketch[: len(values)] = values * _first_signs()[: len(values)]
    return sketch


@lru_cache(maxsize=1)
def _first_signs() -> _FloatArray:
    return seeds.vector_signs(0, seeds.VECTOR_BUCKETS)
