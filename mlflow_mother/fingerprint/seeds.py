"""The pseudo-random numbers that the spec fixes: they depend on an index only, never on a file, name or framework.

All come from streams of 64-bit words of the counter-based generator Philox4x64-10 (Salmon et al., 2011, "Parallel
random numbers: as easy as 1, 2, 3"), so any part of a stream is reached at once. Only raw words are used, whose values
numpy guarantees; no floating-point distribution is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

K_MAX = 64
"""Widest sketch; narrower ones are folded from it."""

VECTOR_BUCKETS = 8 * K_MAX
"""Buckets of the count-sketch of a tensor with fewer than two dimensions, at the widest sketch."""

SAMPLE_MAX = 256
"""Most values of one tensor that are kept as they are."""

_KEY = 0x6D6F746865726670  # "motherfp"
_ROWS, _COLUMNS, _VECTORS, _MEMBERS, _POSITIONS, _COARSE = range(1, 7)
_WORDS_PER_BLOCK = 4
_PERMUTED_COUNT = 4096


def words(stream: int, start: int, count: int) -> npt.NDArray[np.uint64]:
    """Words ``start .. start + count`` of a stream.

    Args:
        stream: Number of the stream, 0 to 2^64 - 1.
        start: Index of the first word.
        count: How many.

    Returns:
        uint64, shape ``(count,)``.
    """
    block, skip = divmod(start, _WORDS_PER_BLOCK)
    generator = np.random.Philox(key=np.array([_KEY, stream], dtype=np.uint64), counter=block)
    return np.asarray(generator.random_raw(skip + count), dtype=np.uint64)[skip:]


def bit_signs(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Bits of 64-bit words as signs: -1 where a bit is set, else +1, lowest bit first.

    Returns:
        float64, shape ``(len(values), 64)``.
    """
    octets = np.ascontiguousarray(values.astype("<u8")).view(np.uint8).reshape(-1, 8)
    signs: npt.NDArray[np.float64] = np.unpackbits(octets, axis=1, bitorder="little").astype(np.float64)
    signs *= -2.0
    signs += 1.0
    return signs


def row_buckets(start: int, count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The sign-bucket matrix S: which of 64 sketch rows a matrix row is added to, and with which sign.

    Every 64 successive rows (from a multiple of 64 on) go to 64 different buckets: an affine map of the index modulo
    64 with an odd multiplier. So a matrix of at most 64 rows keeps its geometry exactly, and so does, at a smaller
    power of two ``k``, every aligned run of ``k`` rows.

    Args:
        start: First row.
        count: Number of rows.

    Returns:
        Buckets (int64) and signs (float64), both of shape ``(count,)``.
    """
    first, last = start // K_MAX, -(-(start + count) // K_MAX)
    pairs = words(_ROWS, 2 * first, 2 * (last - first)).reshape(-1, 2)
    multiplier = ((pairs[:, 0] & np.uint64(31)) * np.uint64(2) + np.uint64(1)).astype(np.int64)
    offset = ((pairs[:, 0] >> np.uint64(8)) & np.uint64(63)).astype(np.int64)
    buckets = (multiplier[:, None] * np.arange(K_MAX) + offset[:, None]) % K_MAX
    part = slice(start - first * K_MAX, start - first * K_MAX + count)
    return buckets.reshape(-1)[part], bit_signs(pairs[:, 1]).reshape(-1)[part]


def column_signs(start: int, count: int) -> npt.NDArray[np.float64]:
    """Rows ``start .. start + count`` of the matrix ``R sqrt(k)``, entries +-1; row j belongs to the tensor's column j.

    Returns:
        float64, shape ``(count, 64)``.
    """
    return bit_signs(words(_COLUMNS, start, count))


def vector_signs(start: int, count: int) -> npt.NDArray[np.float64]:
    """Signs of the elements of a vector's count-sketch, whose buckets are the index modulo the number of buckets.

    Returns:
        float64, shape ``(count,)``.
    """
    first, last = start // K_MAX, -(-(start + count) // K_MAX)
    part = slice(start - first * K_MAX, start - first * K_MAX + count)
    return bit_signs(words(_VECTORS, first, last - first)).reshape(-1)[part]


def member_rotations(count: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """How the members of a pooled tensor are laid over each other: bucket ``b`` goes to ``multiplier b + offset``.

    Returns:
        Odd multipliers, offsets (int64, 0 to 2^16 - 1) and signs (float64), each of shape ``(count,)``.
    """
    pairs = words(_MEMBERS, 0, 2 * count).reshape(-1, 2)
    multiplier = ((pairs[:, 0] & np.uint64(0x7FFF)) * np.uint64(2) + np.uint64(1)).astype(np.int64)
    offset = ((pairs[:, 0] >> np.uint64(16)) & np.uint64(0xFFFF)).astype(np.int64)
    return multiplier, offset, 1.0 - 2.0 * (pairs[:, 1] & np.uint64(1)).astype(np.float64)


def coarse_slot(key: int) -> tuple[int, npt.NDArray[np.float64]]:
    """The slot (0 to 15) of a coarse vector that a group of tensors goes to, and its 64 signs."""
    pair = words(_COARSE + (key << 8), 0, 2)
    return int(pair[0] & np.uint64(15)), bit_signs(pair[1:]).reshape(-1)


@lru_cache(maxsize=256)
def sample_positions(count: int) -> npt.NDArray[np.int64]:
    """Flat positions of the sampled values of a tensor of ``count`` elements, without repeats.

    Up to 4096 elements: the indices in the order of the stream's words, ties by index; beyond: the words modulo
    ``count``, without the repeats. The first ``s`` of them are the positions of a smaller sample.

    Returns:
        int64, shape ``(min(count, 256),)``, read-only.
    """
    stream = _POSITIONS + (count << 8)
    if count <= _PERMUTED_COUNT:
        order = np.argsort(words(stream, 0, count), kind="stable")[:SAMPLE_MAX]
    else:
        drawn = words(stream, 0, 2 * SAMPLE_MAX) % np.uint64(count)
        _, firsts = np.unique(drawn, return_index=True)
        order = drawn[np.sort(firsts)][:SAMPLE_MAX]
    positions = order.astype(np.int64)
    positions.setflags(write=False)
    return positions
