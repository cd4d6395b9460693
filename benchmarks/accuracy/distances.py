"""What most methods go by: how far networks are apart, and the shape of their weights' distribution."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.geometry import geometry
from mlflow_mother.heritage.roles import Role

Floats = npt.NDArray[np.float64]

RANK_TOLERANCE = 1e-3
"""Singular values below this share of the largest are rounding."""


@dataclass(frozen=True)
class Distances:
    """All pairs of some networks.

    Attributes:
        ids: Rows and columns.
        full: Mean over matrices of the difference's root mean square, shape ``(n, n)``; MoTHer's for full fine-tuning
            (Horwitz et al., arXiv 2405.18432), whose authors take square matrices only, which not every network has.
        rank: Mean over matrices of the difference's rank, as far as sketches show it; MoTHer's for LoRA.
        kurtosis: Mean over matrices of the weights' kurtosis, shape ``(n,)``.
    """

    ids: tuple[str, ...]
    full: Floats
    rank: Floats
    kurtosis: Floats


def distances(
    models: Mapping[str, Fingerprint],
    ids: Sequence[str],
    known: MutableMapping[tuple[str, str], tuple[float, float]] | None = None,
) -> Distances:
    """Measures all pairs, or takes them from ``known`` by their digests, smaller first."""
    known = {} if known is None else known
    full, rank = np.zeros((len(ids), len(ids))), np.zeros((len(ids), len(ids)))
    for i, one in enumerate(ids):
        for j in range(i):
            first, second = sorted((models[one], models[ids[j]]), key=lambda model: model.digest)
            key = first.digest, second.digest
            if key not in known:
                known[key] = _pair(first, second)
            full[i, j], rank[i, j] = known[key]
    for measured in (full, rank):
        apart = np.isinf(measured)
        measured[apart] = 10 * measured[~apart].max(initial=1.0)
    return Distances(tuple(ids), full + full.T, rank + rank.T, np.array([_kurtosis(models[one]) for one in ids]))


def _pair(one: Fingerprint, other: Fingerprint) -> tuple[float, float]:
    if one.adapter or other.adapter:
        return np.inf, np.inf
    pair = geometry(one, other)
    matrices = pair.role == Role.MATRIX
    if not matrices.any():
        return np.inf, np.inf
    k = min(one.k, other.k)
    ranks = []
    for a, b in zip(pair.a[matrices], pair.b[matrices], strict=True):
        first, second = one.sketch_of(int(a)), other.sketch_of(int(b))
        if first.shape != second.shape or first.ndim != 2:
            continue
        values = np.linalg.svd(first.astype(np.float64) - second, compute_uv=False)
        ranks.append(int((values > RANK_TOLERANCE * max(values[0], 1e-30)).sum()) if values[0] > 0 else 0)
    mean_squares = np.maximum(pair.distance[matrices], 0) / one.stats["count"][pair.a[matrices]]
    return float(np.sqrt(mean_squares).mean()), float(np.mean(ranks)) if ranks else float(k)


def _kurtosis(model: Fingerprint) -> float:
    """Mean over matrices of the fourth central moment over the squared variance."""
    chosen = np.array([len(shape) >= 2 for shape in model.shapes]) & (model.stats["count"] > 64)
    stats = model.stats[chosen]
    n = stats["count"]
    mean = stats["sum"] / n
    second, third, fourth = (stats[name] / n for name in ("sumsq", "sum3", "sum4"))
    variance = second - mean**2
    central = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
    return float(np.mean(central[variance > 0] / variance[variance > 0] ** 2)) if (variance > 0).any() else 0.0
