"""Very deep models: successive tensors of one template and shape are laid over each other as one virtual, stacked one.

The members' sketches are added with a sign and a rotation of buckets that depend on the member's place, which is the
sketch of the members stacked along their first dimension under another fixed S: still linear, still unbiased.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint import seeds
from mlflow_mother.fingerprint.entries import Entry, entry_bytes
from mlflow_mother.fingerprint.fold import fold_vector, signed_buckets
from mlflow_mother.fingerprint.layout import BUCKETS_PER_WIDTH, sample_limit
from mlflow_mother.fingerprint.record import STATS

POOLED_WIDTH = 8
"""Pooling only happens at the narrowest sketch."""

_ADDED = ("count", "sum", "sumsq", "sum3", "sum4", "abs", "zeros", "nonfinite")
_DIGITS = re.compile(r"(\d+)")


def pool(entries: Iterable[Entry], limit: int) -> list[Entry]:
    """Pools runs of successive tensors, only as long as needed, so that all fit into ``limit`` bytes.

    Tensors whose names differ in their numbers only make a group, which is cut into runs of one length, 1 at first.
    The group with the most runs gets runs of twice the length, again and again. If one run a group is still too much,
    groups are made anew: of all tensors of one shape.

    Args:
        entries: Tensors at width 8.
        limit: Bytes to stay within.

    Returns:
        Fewer tensors; possibly still too many.
    """
    tensors = list(entries)
    groups: list[_Group] = []
    for template in (lambda entry: _DIGITS.sub("#", entry.name), lambda entry: "#"):
        groups = _grouped(tensors, template)
        if _shorten(groups, limit):
            break
    return [entry for group in groups for entry in group.pooled()]


@dataclass
class _Group:
    """Tensors of one template, shape and type.

    Attributes:
        name: What they have in common.
        members: In natural order of their names.
        length: Members of a run; the last run may have fewer.
    """

    name: str
    members: list[Entry]
    length: int = 1

    @property
    def runs(self) -> int:
        """Number of runs."""
        return -(-len(self.members) // self.length)

    def nbytes(self) -> int:
        """Bytes that the runs take in a fingerprint; never too few."""
        if self.length == 1:
            return sum(entry.nbytes(POOLED_WIDTH) for entry in self.members)
        whole, rest = divmod(len(self.members), self.length)
        return whole * self._run_bytes(self.length) + (self._run_bytes(rest) if rest else 0)

    def _run_bytes(self, length: int) -> int:
        longest = _run_name(self.name, len(self.members), len(self.members))
        own = self.members[-1].nbytes(POOLED_WIDTH) if length == 1 else 0
        return max(own, entry_bytes(longest, self.members[0].dtype, _stacked(self.members[0], length), POOLED_WIDTH))

    def pooled(self) -> Iterator[Entry]:
        """One tensor a run."""
        for start in range(0, len(self.members), self.length):
            run = self.members[start : start + self.length]
            yield run[0] if len(run) == 1 else _stack(_run_name(self.name, start, start + len(run)), run)


def _grouped(entries: Sequence[Entry], template: Callable[[Entry], str]) -> list[_Group]:
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[_pooled_name(template(entry), entry)].append(entry)
    return [_Group(name, sorted(members, key=lambda entry: _natural(entry.name))) for name, members in groups.items()]


def _shorten(groups: Iterable[_Group], limit: int) -> bool:
    """Lengthens runs until all groups fit; says whether they do."""
    queue = [(-group.runs, group.name, group) for group in groups]
    heapq.heapify(queue)
    total = sum(group.nbytes() for _, _, group in queue)
    while total > limit and queue and queue[0][2].runs > 1:
        _, name, group = heapq.heappop(queue)
        total -= group.nbytes()
        group.length *= 2
        total += group.nbytes()
        heapq.heappush(queue, (-group.runs, name, group))
    return total <= limit


def _run_name(name: str, start: int, stop: int) -> str:
    return f"{name}@{start}-{stop}"


def _pooled_name(template: str, entry: Entry) -> str:
    return f"{template}[{'x'.join(str(size) for size in entry.shape)}:{entry.dtype}]"


def _natural(name: str) -> tuple[list[str | int], str]:
    words: list[str | int] = [*_DIGITS.split(name)]
    words[1::2] = [int(word) for word in words[1::2]]
    return words, name


def _stack(name: str, members: Sequence[Entry]) -> Entry:
    first = members[0]
    count = len(members)
    shape = _stacked(first, count)
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


def _stacked(member: Entry, count: int) -> tuple[int, ...]:
    return (count * member.shape[0], *member.shape[1:]) if member.shape else (count,)


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
