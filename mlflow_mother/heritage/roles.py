"""What a tensor does in its network, and the known mean of its initialisation that follows from it."""

from __future__ import annotations

from enum import IntEnum
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.record import Fingerprint

_STATE_WORDS = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "position_ids",
    "relative_position_index",
    "inv_freq",
    "attn_mask",
    "freqs_cis",
)
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")


class Role(IntEnum):
    """A tensor's part in the network."""

    MATRIX = 0
    """Matrices, convolutions, embeddings: initialised around 0."""
    BIAS = 1
    """One-dimensional, initialised around 0."""
    GAIN = 2
    """One-dimensional, initialised at 1: the gains of normalisation layers."""
    STATE = 3
    """Without a say: running statistics, counters, index tables, constants, tensors mostly of NaN or infinities, and
    those whose values are far from what any training reaches."""


_LEAST_SQUARE, _LARGEST_SQUARE = 1e-92, 1e60
"""Mean squares of values that have a say, from single precision's smallest on. Ratios of others leave what a number can
hold."""


_known: WeakKeyDictionary[Fingerprint, npt.NDArray[np.int8]] = WeakKeyDictionary()
"""Roles of the fingerprints in use: one is compared with many others."""


def roles(fingerprint: Fingerprint) -> npt.NDArray[np.int8]:
    """Role of each tensor, shape ``(T,)``, from its dtype, shape and values, and from its name only for known buffers.

    Values rather than names tell a gain from a bias, so that renaming a network's tensors changes nothing: a gain's
    mean is near 1 and carries at least three quarters of its energy.
    """
    found = _known.get(fingerprint)
    if found is None:
        found = _known[fingerprint] = _roles(fingerprint)
        found.setflags(write=False)
    return found


def _roles(fingerprint: Fingerprint) -> npt.NDArray[np.int8]:
    stats = fingerprint.stats
    count = np.maximum(stats["count"], 1)
    mean = stats["sum"] / count
    gain = (mean > 0.3) & (mean < 3.0) & (mean**2 * count > 0.75 * stats["sumsq"])
    matrix = np.array([len(shape) >= 2 for shape in fingerprint.shapes], bool)
    constant = matrix & (stats["min"] == stats["max"]) & (stats["count"] > 1)
    tensors = zip(fingerprint.names, fingerprint.dtypes, fingerprint.shapes, strict=True)
    named = [
        dtype not in _FLOATS or not shape or name.rpartition(".")[2] in _STATE_WORDS for name, dtype, shape in tensors
    ]
    found = np.where(matrix, Role.MATRIX, np.where(gain, Role.GAIN, Role.BIAS)).astype(np.int8)
    broken = 2 * stats["nonfinite"] > stats["count"]
    broken |= (stats["sumsq"] > 0) & (stats["sumsq"] < _LEAST_SQUARE * count)
    broken |= stats["sumsq"] > _LARGEST_SQUARE * count
    found[constant | broken | np.array(named, bool)] = Role.STATE
    return found
