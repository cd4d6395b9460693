"""One family of related models, and all that is known of its pairs and triangles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.certificates import PROOF
from mlflow_mother.heritage.comparison import Comparison, ComparisonTable
from mlflow_mother.heritage.increments import LEAST_WHITENED, whitened_distances
from mlflow_mother.heritage.merges import Merge, find_merges
from mlflow_mother.heritage.parentage import EVIDENCE, Parentage, evidence
from mlflow_mother.heritage.projection import believed
from mlflow_mother.types import Evidence

Floats = npt.NDArray[np.float64]

TIME_LOG_ODDS, DECLARED_LOG_ODDS = 0.5, 3.0
"""Log-odds of "registered earlier" and of "declared as parent", where these count at all."""

_LEAST_DISTANCE = float(np.finfo(np.float64).tiny)
_UNRELATED_DISTANCE = 2.0


@dataclass(frozen=True)
class Family:
    """Related models and all that is known of their pairs.

    Attributes:
        members: Ids, sorted.
        models: Fingerprints by id.
        table: Comparisons of pairs of ids.
        times: Registration times by id.
        declared: Declared parents by id.
        extra_evidence: More evidence on a directed pair.
        decide_probability: Least probability of a decided direction.
        parentage: Coefficients of the evidence on candidate edges.
    """

    members: Sequence[str]
    models: Mapping[str, Fingerprint]
    table: ComparisonTable
    times: Mapping[str, float]
    declared: Mapping[str, Sequence[str]]
    extra_evidence: Callable[[Fingerprint, Fingerprint], Iterable[Evidence]] | None
    decide_probability: float
    parentage: Parentage

    def pair(self, first: int, second: int) -> Comparison | None:
        """The comparison of two members by position, from the first one's side."""
        return self.table.get((self.members[first], self.members[second]))

    def either(self, first: int, second: int) -> Comparison | None:
        """The same from whichever side it was made."""
        return self.table.either(self.members[first], self.members[second])

    @cached_property
    def _compared(self) -> list[tuple[int, int, Comparison]]:
        """All comparisons, each with the positions of its first and its second model."""
        found = []
        for i, j in combinations(range(len(self.members)), 2):
            pair = self.either(i, j)
            if pair is not None:
                found.append((i, j, pair) if pair.first == self.models[self.members[i]].digest else (j, i, pair))
        return found

    def _of_pairs(self, value: Callable[[Comparison], float], *, alone: float) -> Floats:
        """A symmetric value of all pairs, shape ``(n, n)``; ``alone`` on the diagonal and where none was compared."""
        found = np.full((len(self.members), len(self.members)), alone)
        for i, j, pair in self._compared:
            found[i, j] = found[j, i] = value(pair)
        return found

    @cached_property
    def distance(self) -> Floats:
        """Relative squared distances, shape ``(n, n)``; infinite where a pair was not compared or is unrelated."""
        return self._of_pairs(
            lambda pair: max(pair.distance, _LEAST_DISTANCE) if pair.related > 0 else np.inf, alone=np.inf
        )

    @cached_property
    def posterior(self) -> Floats:
        """Probabilities of ancestor, descendant, siblings for each ordered pair, shape ``(n, n, 3)``."""
        count = len(self.members)
        found = np.full((count, count, 3), 1 / 3)
        for i, j, pair in self._compared:
            ancestor, descendant, siblings = pair.hypotheses.shifted(self._outside(i, j)).posterior()
            found[i, j] = ancestor, descendant, siblings
            found[j, i] = descendant, ancestor, siblings
        return found

    @cached_property
    def related(self) -> Floats:
        """Probability that each pair is related at all, shape ``(n, n)``."""
        return self._of_pairs(lambda pair: pair.related, alone=0.0)

    @cached_property
    def log_related(self) -> Floats:
        """Logarithm of the probability that each pair is related, ``-inf`` where none was compared."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.where(np.isfinite(self.distance), np.log(self.related), -np.inf))

    @cached_property
    def originals(self) -> list[int]:
        """Members that are not proven to be copies or merges of others."""
        return [i for i in range(len(self.members)) if i not in self.proven and i not in self.merged]

    @cached_property
    def evidence(self) -> Floats:
        """Evidence on all candidate edges between originals, shape ``(o, o, len(EVIDENCE))``."""
        return self._evidence(self.originals)

    @cached_property
    def evidence_of_merges(self) -> Floats:
        """Evidence on merges as parents of originals, shape ``(m, o, len(EVIDENCE))``.

        Looked at beside the originals, so that merges, which lie between their parents, are no third models to these.
        """
        count = len(self.originals)
        return self._evidence([*self.originals, *self.merged])[count:, :count]

    def _evidence(self, members: Sequence[int]) -> Floats:
        """Evidence on all candidate edges between some members, shape ``(n, n, len(EVIDENCE))``."""
        if len(members) < 2:
            return np.zeros((len(members), len(members), len(EVIDENCE)))
        chosen = np.ix_(members, members)
        plain = np.where(np.isfinite(self.distance), self.distance, _UNRELATED_DISTANCE)[chosen]
        np.fill_diagonal(plain, 0.0)
        many = len(members) >= LEAST_WHITENED
        whitened = whitened_distances([self.models[self.members[i]] for i in members]) if many else None
        return evidence(
            ancestor=self.posterior[chosen][..., 0],
            projection=self._projection[chosen],
            distance=self.distance[chosen],
            whitened=plain if whitened is None else whitened,
            identical=self._of_pairs(lambda pair: pair.identical / max(pair.tensors, 1), alone=0.0)[chosen],
            older=self._older[chosen],
        )

    @cached_property
    def _older(self) -> npt.NDArray[np.bool_]:
        """Whether a clock tells that the first of two is the older one, shape ``(n, n)``."""
        found = np.zeros((len(self.members), len(self.members)), bool)
        for i, j, pair in self._compared:
            clocks = [certificate.forward for certificate in pair.certificates if certificate.clock]
            found[i, j], found[j, i] = True in clocks, False in clocks
        return found

    @cached_property
    def _projection(self) -> Floats:
        """Median projections over matrices, as far as they are to be believed, shape ``(n, n)``; 1/2 where unknown."""
        found = np.full((len(self.members), len(self.members)), 0.5)
        for i, j, pair in self._compared:
            for group in pair.projections:
                if group.role == "matrix":
                    found[i, j] = 0.5 + (np.clip(group.median, -0.5, 1.5) - 0.5) * believed(group.overshoot)
                    found[j, i] = 1.0 - found[i, j]
        return found

    @cached_property
    def proven(self) -> dict[int, int]:
        """Nearest parent that an exact certificate proves, by child."""
        found: dict[int, int] = {}
        for child in range(len(self.members)):
            for parent in np.argsort(self.distance[:, child], kind="stable"):
                either = self.either(int(parent), child)
                pair = self.pair(int(parent), child) if either and either.certificates else None
                if pair and any(item.forward and item.log_odds >= PROOF for item in pair.certificates):
                    found[child] = int(parent)
                    break
        return found

    @cached_property
    def merged(self) -> dict[int, Merge]:
        """Merges by child."""
        derived = {self.members[child]: self.members[parent] for child, parent in self.proven.items()}
        near = {
            name: [self.members[i] for i in np.argsort(column, kind="stable") if np.isfinite(column[i])]
            for name, column in zip(self.members, self.distance.T, strict=True)
            if name not in derived
        }
        found = find_merges(near, self.models, derived)
        return {self.members.index(name): merge for name, merge in found.items()}

    def _outside(self, parent: int, child: int) -> float:
        """Log-odds for a directed pair from outside the weights."""
        one, other = self.members[parent], self.members[child]
        total = 0.0
        if one in self.times and other in self.times:
            total += TIME_LOG_ODDS * float(np.sign(self.times[other] - self.times[one]))
        total += DECLARED_LOG_ODDS * ((one in self.declared.get(other, ())) - (other in self.declared.get(one, ())))
        if self.extra_evidence:
            for sign, before, after in ((1, one, other), (-1, other, one)):
                items = self.extra_evidence(self.models[before], self.models[after])
                total += sign * sum(item.log_odds or 0.0 for item in items)
        return total
