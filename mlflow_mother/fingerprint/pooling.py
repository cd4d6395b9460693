"""Very deep models: tensors of one template and shape are laid over each other as one virtual, stacked tensor.

The members' sketches are added with a sign and a rotation of buckets that depend on the member's place, which is the
sketch of the members stacked along their first dimension under another fixed S: still linear, still unbiased.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint import seeds
from mlflow_mother.fingerprint.entries import Entry
from mlflow_mother.fingerprint.fold import fold_vector, signed_buckets
from mlflow_mother.fingerprint.layout import BUCKETS_PER_WIDTH, sample_limit
from mlflow_mother.fingerprint.record import STATS

POOLED_WIDTH = 8
"""Pooling only happens at the narrowest sketch."""

_ADDED = ("count", "sum", "sumsq", "sum3", "sum4", "abs", "zeros", "nonfinite")
_DIGITS = re.compile(r"(\d+)")


def pool(entries: Iterable[Entry], excess: int) -> list[Entry]:
    """Pools the largest groups, one after the other, until at least ``excess`` bytes are saved.

    First tensors whose names differ in their numbers only; if that is not enough, all of one shape.

    Args:
        entries: Tensors at width 8.
        excess: Bytes to save.

    Returns:
        Fewer tensors; possibly still too many.
    """
    remaining = list(entries)
    for template in (lambda entry: _DIGITS.sub("#", entry.name), lambda entry: "#"):
        if excess > 0:
            remaining, excess = _pool_groups(remaining, excess, template)
    return remaining


def _pool_groups(entries: list[Entry], excess: int, template: Callable[[Entry], str]) -> tuple[list[Entry], int]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[_pooled_name(template(entry), entry)].append(entry)
    kept: list[Entry] = []
    for name, members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        if excess <= 0 or len(members) == 1:
            kept += members
            continue
        pooled = _stack(name, sorted(members, key=lambda entry: _natural(entry.name)))
        excess -= sum(entry.nbytes(POOLED_WIDTH) for entry in members) - pooled.nbytes(POOLED_WIDTH)
        kept.append(pooled)
    return kept, excess


def _pooled_name(template: str, entry: Entry) -> str:
    return f"{template}[{'x'.join(str(size) for size in entry.shape)}:{entry.dtype}]"


def _natural(name: str) -> tuple[list[str | int], str]:
    words: list[str | int] = [*_DIGITS.split(name)]
    words[1::2] = [int(word) for word in words[1::2]]
    return words, name


def _stack(name: str, members: Sequence[Entry]) -> Entry:
    first = members[0]
    count = len(members)
    shape = (count * first.shape[0], *first.shape[1:]) if first.shape else (count,)
    stats = np.zeros(1, STATS)
    column = np.array([entry.stats for entry in members], STATS)
    for field in _ADDED:
        stats[field] = column[field].sum()
    stats["min"], stats["max"] = column["min"].min(), column["max"].max()
    stats["mantissa"], stats["distinct"] = column["mantissa"].max(), column["distinct"].max()
    hasher = hashlib.sha256(b"".join(entry.digest for entry in members))
    limit = min(count * first.count, sample_limit(POOLED_WIDTH))
    sample = [members[i % count].sample[i // count] for i in range(limit)]
    return Entry(
        name=name,
        dtype=first.dtype,
        shape=shape,
        digest=hasher.digest()[: len(first.digest)],
        stats=stats[0],
        sketch=_matrices(members) if len(shape) >= 2 else _vectors(members),
        sample=np.array(sample, dtype=np.float32),
    )


def _matrices(members: Sequence[Entry]) -> npt.NDArray[np.float64]:
    return _overlay([entry.sketch for entry in members])


def _vectors(members: Sequence[Entry]) -> npt.NDArray[np.float64]:
    size = members[0].count
    if size * len(members) <= BUCKETS_PER_WIDTH * POOLED_WIDTH:
        return np.concatenate([entry.sketch for entry in members])
    wide = [signed_buckets(entry.sketch) if len(entry.sketch) == size else entry.sketch for entry in members]
    return _overlay([fold_vector(sketch, seeds.VECTOR_BUCKETS + 1, POOLED_WIDTH) for sketch in wide])


def _overlay(sketches: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    total = np.zeros_like(sketches[0])
    buckets = np.arange(len(total))
    for multiplier, offset, sign, sketch in zip(*seeds.member_rotations(len(sketches)), sketches, strict=True):
        total[(multiplier * buckets + offset) % len(total)] += sign * sketch
    return total
