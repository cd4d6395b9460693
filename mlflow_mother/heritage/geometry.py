"""Two fingerprints side by side: which tensors correspond, their energies and their squared distances."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mlflow_mother.errors import SpecMismatchError
from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.naming import common_names
from mlflow_mother.heritage.roles import Role, roles

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Geometry:
    """The L tensors that two models have in common, as arrays of shape ``(L,)``.

    Attributes:
        a: Indices into the first fingerprint.
        b: Indices into the second.
        role: :class:`Role` of each pair.
        energy_a: Squared Frobenius norm of the first tensor around the mean of its initialisation, exact.
        energy_b: The same of the second.
        distance: Squared Frobenius distance, from the sketches (off by ``~1/k``); 0 where the digests agree.
        identical: Whether the digests agree.
        resized: Pairs of one name and one row length but different numbers of rows, as ``(index, index)``.
        only_a: Matrices of the first without a counterpart.
        only_b: Matrices of the second without a counterpart.
        k: Sketch width that both were folded to.
    """

    a: Indices
    b: Indices
    role: npt.NDArray[np.int8]
    energy_a: Floats
    energy_b: Floats
    distance: Floats
    identical: npt.NDArray[np.bool_]
    resized: tuple[tuple[int, int], ...]
    only_a: int
    only_b: int
    k: int

    @property
    def product(self) -> Floats:
        """Inner products ``<a, b>``, by the polarisation identity."""
        return (self.energy_a + self.energy_b - self.distance) / 2

    def mirrored(self) -> Geometry:
        """The same pair read from the other model's side."""
        return replace(
            self,
            a=self.b,
            b=self.a,
            energy_a=self.energy_b,
            energy_b=self.energy_a,
            resized=tuple((j, i) for i, j in self.resized),
            only_a=self.only_b,
            only_b=self.only_a,
        )

    def trained(self, role: Role) -> npt.NDArray[np.bool_]:
        """Which pairs have this role, carry energy, and differ."""
        floor = 1e-14 * np.sqrt(self.energy_a * self.energy_b)
        return np.asarray(
            (self.role == role) & (self.energy_a > 0) & (self.energy_b > 0) & (self.distance > floor) & ~self.identical
        )


def geometry(first: Fingerprint, second: Fingerprint) -> Geometry:
    """Aligns two models' tensors and measures each pair.

    Raises:
        SpecMismatchError: The fingerprints follow different specs.
    """
    if first.spec != second.spec:
        raise SpecMismatchError(
            f"Fingerprints of specs {first.spec} and {second.spec} cannot be compared.",
            "Recompute the older one with `mlflow-mother reconcile`.",
        )
    k = min(first.k, second.k)
    first, second = fold(first, k), fold(second, k)
    a, b, resized = align(first, second)
    role_a, role_b = roles(first), roles(second)
    role = np.where(role_a[a] == role_b[b], role_a[a], np.maximum(role_a[a], role_b[b])).astype(np.int8)
    mean = (role == Role.GAIN).astype(np.float64)
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    identical = np.fromiter((first.digests[i] == second.digests[j] for i, j in pairs), bool, len(a))
    energy_a, energy_b = _energy(first.stats[a], mean), _energy(second.stats[b], mean)
    # No difference is longer than both together; a fingerprint from elsewhere may hold any sketch.
    distance = np.minimum(_distances(first, second, a, b), 2 * (energy_a + energy_b))
    distance[identical] = 0.0
    lone_a, lone_b = role_a == Role.MATRIX, role_b == Role.MATRIX
    lone_a[[*a, *(i for i, _ in resized)]] = False
    lone_b[[*b, *(j for _, j in resized)]] = False
    return Geometry(
        a=a,
        b=b,
        role=role,
        energy_a=energy_a,
        energy_b=energy_b,
        distance=distance,
        identical=identical,
        resized=resized,
        only_a=int(lone_a.sum()),
        only_b=int(lone_b.sum()),
        k=k,
    )


def align(first: Fingerprint, second: Fingerprint) -> tuple[Indices, Indices, tuple[tuple[int, int], ...]]:
    """Pairs tensors by name and shape, then by name and row length, then what is left by shape and order.

    Names are compared as :func:`.naming.common_names` reads them.

    Returns:
        Indices into both fingerprints of the pairs of equal shape, and the pairs that differ in rows only.
    """
    if first.names == second.names and first.shapes == second.shapes:
        everything = np.arange(len(first.names))
        return everything, everything, ()
    pairs: list[tuple[int, int]] = []
    resized: list[tuple[int, int]] = []
    names, other_names = common_names(first, second)
    by_name = {name: j for j, name in enumerate(other_names)}
    left: dict[tuple[int, ...], list[int]] = defaultdict(list)
    used: set[int] = set()
    for i, name in enumerate(names):
        j = by_name.get(name)
        one, other = first.shapes[i], second.shapes[j] if j is not None else ()
        if j is not None and one == other:
            pairs.append((i, j))
            used.add(j)
        elif j is not None and len(one) == len(other) and one[1:] == other[1:]:
            resized.append((i, j))
            used.add(j)
        else:
            left[one].append(i)
    for j, shape in enumerate(second.shapes):
        if j not in used and left.get(shape):
            pairs.append((left[shape].pop(0), j))
    pairs.sort()
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1], tuple(resized)


def _energy(stats: npt.NDArray[np.void], mean: Floats) -> Floats:
    energy = stats["sumsq"] - 2 * mean * stats["sum"] + mean**2 * stats["count"]
    return np.asarray(np.maximum(energy, 0.0))


def _distances(first: Fingerprint, second: Fingerprint, a: Indices, b: Indices) -> Floats:
    if not len(a):
        return np.zeros(0)
    if np.array_equal(a, b) and len(a) == len(first.names) == len(second.names):
        difference = first.sketch.astype(np.float64) - second.sketch
        starts = first.sketch_offsets[:-1]
        full = np.diff(first.sketch_offsets) > 0
        sums = np.zeros(len(a))
        sums[full] = np.add.reduceat(np.square(difference, out=difference), starts[full]) if full.any() else 0.0
        return sums
    found = np.zeros(len(a))
    for n, (i, j) in enumerate(zip(a, b, strict=True)):
        difference = first.sketch_of(i).astype(np.float64).ravel() - second.sketch_of(j).ravel()
        found[n] = difference @ difference
    return found
