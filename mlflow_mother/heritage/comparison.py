"""Everything the engine knows of one pair of models, as a record that is stored and never recomputed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.certificates import Certificate, certify
from mlflow_mother.heritage.geometry import Geometry, geometry
from mlflow_mother.heritage.packed import packed
from mlflow_mother.heritage.projection import Hypotheses, Projection, project, weigh
from mlflow_mother.heritage.roles import Role
from mlflow_mother.types import Record

ENGINE = "mother-heritage/5"
"""Version of the engine; comparisons of another version are recomputed."""

RELATED_COSINE = 0.2
"""Median cosine at which a pair is as likely related as not: networks trained apart stay below 0.16."""

_RELATED_SLOPE = 40.0
_CHANCE_SIGMAS = 6.0
_LEAST_ELEMENTS = 64


class Comparison(Record):
    """One pair of models, read from the first one's side.

    Attributes:
        engine: Version of the engine that made it.
        first: Digest of the first model.
        second: Digest of the second.
        tensors: Tensors that correspond and have a say (not buffers).
        identical: How many of them are identical.
        matrices: Matrices that correspond.
        missing: Share of the smaller model's matrices without a counterpart.
        cosine: Median cosine over matrices, counting missing ones as 0; 1 where one packs the other's weights.
        chance: Spread of that median between unrelated networks, ``~1/sqrt(d)``.
        distance: Squared distance over all corresponding tensors, relative to their energy.
        projections: The projection regressions, one a group of tensors.
        certificates: Exact facts.
    """

    engine: str = ENGINE
    first: str
    second: str
    tensors: int
    identical: int
    matrices: int
    missing: float
    cosine: float
    chance: float
    distance: float
    projections: tuple[Projection, ...]
    certificates: tuple[Certificate, ...]

    @property
    def copies(self) -> bool:
        """Whether the two hold the same weights."""
        return self.first == self.second

    @property
    def related(self) -> float:
        """Probability that the two share an ancestor closer than a random initialisation.

        A logistic curve in the median cosine, 0 where the cosine is within chance of zero.
        """
        if self.copies:
            return 1.0
        if self.matrices == 0 or self.cosine < _CHANCE_SIGMAS * self.chance:
            return 0.0
        return 1.0 / (1.0 + math.exp(-_RELATED_SLOPE * (self.cosine - RELATED_COSINE)))

    @property
    def hypotheses(self) -> Hypotheses:
        """Likelihoods of ancestor, descendant and siblings, certificates included."""
        weighed = weigh(self.projections)
        for certificate in self.certificates:
            if certificate.forward is not None:
                weighed = weighed.shifted(certificate.log_odds if certificate.forward else -certificate.log_odds)
        return weighed

    def swapped(self) -> Comparison:
        """The same comparison read from the other model's side."""
        return self.model_copy(
            update={
                "first": self.second,
                "second": self.first,
                "projections": tuple(group.swapped() for group in self.projections),
                "certificates": tuple(certificate.swapped() for certificate in self.certificates),
            }
        )


class ComparisonTable(Mapping[tuple[str, str], Comparison]):
    """Comparisons by ordered pair of ids: each is kept from one side, and turned when it is wanted from the other."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Comparison] = {}

    def keep(self, first: str, second: str, comparison: Comparison) -> None:
        """Adds the comparison of a pair."""
        self._kept[first, second] = comparison

    def either(self, first: str, second: str) -> Comparison | None:
        """The comparison of a pair from whichever side it is kept, for what does not depend on the side."""
        return self._kept.get((first, second)) or self._kept.get((second, first))

    def __getitem__(self, pair: tuple[str, str]) -> Comparison:
        kept = self._kept.get(pair)
        return kept if kept is not None else self._kept[pair[::-1]].swapped()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for first, second in self._kept:
            yield first, second
            yield second, first

    def __len__(self) -> int:
        return 2 * len(self._kept)


def compare(first: Fingerprint, second: Fingerprint) -> Comparison:
    """Compares two fingerprints; symmetric but for the side it is read from.

    Args:
        first: One model.
        second: The other.

    Raises:
        SpecMismatchError: The fingerprints follow different specs.
    """
    pair = geometry(first, second)
    voting = pair.role != Role.STATE
    packing = packed(first, second)
    cosine, chance, matrices, missing = (1.0, 0.0, 1, 0.0) if packing else _cosine(first, pair)
    scale = np.sqrt(pair.energy_a * pair.energy_b)[voting].sum()
    distance = float(pair.distance[voting].sum() / scale) if scale > 0 else math.inf
    return Comparison(
        first=first.digest,
        second=second.digest,
        tensors=int(voting.sum()),
        identical=int((pair.identical & voting).sum()),
        matrices=matrices,
        missing=missing,
        cosine=cosine,
        chance=chance,
        distance=min(distance, 1e30),
        projections=project(pair) if matrices and not packing else (),
        certificates=packing or (certify(first, second, pair) if cosine > _CHANCE_SIGMAS * chance else ()),
    )


def _cosine(first: Fingerprint, pair: Geometry) -> tuple[float, float, int, float]:
    """Median cosine over matrices with its spread by chance, how many there are, and the share without counterpart.

    Matrices of fewer than 64 elements and tensors with no energy say nothing. A cosine from sketches of width ``k`` has
    at least the spread ``1/k``, one from ``d`` elements ``1/sqrt(d)``; over ``m`` matrices a median's spread is
    ``sqrt(pi / 2 m)`` times that.
    """
    elements = first.stats["count"][pair.a]
    usable = (pair.role == Role.MATRIX) & (elements >= _LEAST_ELEMENTS) & (pair.energy_a > 0) & (pair.energy_b > 0)
    matrices = int(usable.sum()) + len(pair.resized)
    if not usable.any():
        return 0.0, 1.0, 0, 1.0
    cosines = pair.product[usable] / np.sqrt(pair.energy_a[usable] * pair.energy_b[usable])
    lost = min(pair.only_a, pair.only_b)
    missing = lost / (matrices + lost)
    spread = np.sqrt(1.0 / pair.k**2 + 1.0 / np.median(elements[usable]))
    chance = float(spread * math.sqrt(math.pi / (2 * usable.sum())))
    return float(np.median(np.concatenate([cosines, np.zeros(lost)]))), chance, matrices, missing
