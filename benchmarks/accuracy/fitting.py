"""Fits the engine's coefficients: ``python -m benchmarks.accuracy.fitting [--check]``.

The parents of a family are a spanning forest. Every forest's probability is proportional to the product of its edges'
and roots' weights, and an edge's log-weight is linear in its evidence (:mod:`mlflow_mother.heritage.parentage`). So the
likelihood of the true forests is convex in the coefficients, the normalising sum being a determinant, and its gradient
the evidence of the true edges minus the expected one (Koo, Globerson, Carreras and Collins, EMNLP 2007).

Coefficients for judging an architecture come from all the other ones (``folds.json``, which ``benchmarks.accuracy``
reads); those that are shipped from all. ``--check`` writes nothing, and says whether the files are what it would write.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from benchmarks.accuracy.cases import Case, Grown
from benchmarks.zoo.growing import TRUTH
from benchmarks.zoo.plans import zoo
from mlflow_mother.heritage import parentage as shipped
from mlflow_mother.heritage.parentage import EVIDENCE, Parentage
from mlflow_mother.heritage.recovery import families
from mlflow_mother.heritage.topology import best_forest, edge_probabilities, log_total

Floats = npt.NDArray[np.float64]

SHARES = (0.0, 0.2, 0.4, 0.6)
DRAWS = 3
COMPLETE_WEIGHT = float(len(SHARES) - 1)
"""Weight of a complete tree against that of the same one with one share of its networks withheld: as all of these."""

PRIOR = 0.1
"""Precision of a normal prior on each coefficient, around 0."""

VERSION = 2
SHIPPED = Path(shipped.__file__).with_name("parentage.json")
FOLDS = Path(__file__).with_name("folds.json")
_DIGITS = 3


@dataclass(frozen=True)
class Example:
    """The originals of one family, and their true parents.

    Attributes:
        architecture: Of the family.
        evidence: On every candidate edge, shape ``(n, n, len(EVIDENCE))``.
        offset: Log-weight of every edge from outside, ``-inf`` of impossible ones, shape ``(n, n)``.
        parents: Position of each one's true parent, -1 for none, shape ``(n,)``.
        weight: Of this example in the likelihood.
        complete: Whether no network of the tree is withheld.
    """

    architecture: str
    evidence: Floats
    offset: Floats
    parents: npt.NDArray[np.int64]
    weight: float
    complete: bool


def examples(folder: Path, seed: int = 0) -> list[Example]:
    """All families of a grown tree, complete and with networks withheld."""
    tree = Grown(folder)
    return [
        example
        for share in SHARES
        for draw in range(DRAWS if share else 1)
        for example in _of(tree.case(share, seed + 1000, draw))
    ]


def _of(case: Case) -> list[Example]:
    found = []
    weight = 1 / DRAWS if case.withheld else COMPLETE_WEIGHT
    for family in families(case.models, comparisons=case.known.comparisons, parentage=shipped.fitted()):
        # Children of several parents or of none that can be found are no examples; others' surrogates are.
        names = [family.members[i] for i in family.originals]
        known = [i for i, name in enumerate(names) if name not in case.apart and len(case.parents[name]) < 2]
        if len(known) < 2 or len(known) < len(names):
            continue
        above = [next(iter(case.parents[name]), None) for name in names]
        parents = np.array([names.index(parent) if parent in names else -1 for parent in above])
        chosen = np.ix_(family.originals, family.originals)
        offset = family.log_related[chosen]
        # A parent that does not even look related counts as missing.
        parents = np.where(np.isfinite(offset[parents, np.arange(len(parents))]), parents, -1)
        found.append(Example(case.architecture, family.evidence, offset, parents, weight, not case.withheld))
    return found


def fit(data: Sequence[Example]) -> Parentage:
    """The most likely coefficients, as they are shipped."""
    values = [round(float(value), _DIGITS) for value in coefficients(data)]
    return Parentage(version=VERSION, **dict(zip((*EVIDENCE, "alone"), values, strict=True)))


def coefficients(data: Sequence[Example]) -> Floats:
    """The most likely coefficients under a weak prior, the root's last; convex, so there is one answer."""
    start = np.zeros(data[0].evidence.shape[-1] + 1)
    found = minimize(_loss, start, args=(data,), jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12})
    return np.asarray(found.x)


def log_likelihood(example: Example, coefficients: Floats) -> float:
    """Logarithm of the true forest's probability."""
    weights, roots = _log_weights(example, coefficients)
    child = np.flatnonzero(example.parents >= 0)
    told = weights[example.parents[child], child].sum() + roots[example.parents < 0].sum()
    return float(told - log_total(weights, roots))


def most_probable(example: Example, coefficients: Floats) -> npt.NDArray[np.int64]:
    """Each one's parent in the engine's answer, -1 for none."""
    found = best_forest(*edge_probabilities(*_log_weights(example, coefficients)))
    return np.array([-1 if parent is None else parent for parent in found])


def _log_weights(example: Example, coefficients: Floats) -> tuple[Floats, Floats]:
    weights = np.asarray(example.offset + example.evidence @ coefficients[:-1])
    return weights, np.full(len(weights), coefficients[-1])


def _loss(coefficients: Floats, data: Sequence[Example]) -> tuple[float, Floats]:
    total, gradient = 0.5 * PRIOR * float(coefficients @ coefficients), PRIOR * coefficients
    for example in data:
        edges, alone = edge_probabilities(*_log_weights(example, coefficients))
        child = np.flatnonzero(example.parents >= 0)
        total -= example.weight * log_likelihood(example, coefficients)
        edges[example.parents[child], child] -= 1
        gradient[:-1] += example.weight * np.einsum("ij,ijf->f", edges, example.evidence)
        gradient[-1] += example.weight * (alone.sum() - np.count_nonzero(example.parents < 0))
    return total, gradient


def main() -> None:
    """Fits and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where the zoo is kept")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the files are other ones")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    threadpool_limits(1)  # Matrices are small, and processes as many as processors.
    folders = [options.cache / plan.name for plan in zoo()]
    missing = [folder.name for folder in folders if not (folder / TRUTH).exists()]
    if missing:
        parser.error(f"grow the zoo first (python -m benchmarks.zoo): there is no {', '.join(missing)}")
    with ProcessPoolExecutor(options.jobs) as pool:
        data = [example for found in pool.map(partial(examples), folders) for example in found]
    architectures = sorted({example.architecture for example in data})
    print(f"{len(data)} families of {len(folders)} trees")
    folds = {name: fit([e for e in data if e.architecture != name]) for name in architectures}
    everything = fit(data)
    for name, found in (*((f"without {n}", f) for n, f in folds.items()), ("all: shipped", everything)):
        print(f"{name:16}", *(f"{key} {value:.3f}" for key, value in found.model_dump().items() if key != "version"))
    texts = {
        SHIPPED: json.dumps(everything.model_dump(), indent=1) + "\n",
        FOLDS: json.dumps({name: found.model_dump() for name, found in folds.items()}, indent=1) + "\n",
    }
    for path, text in texts.items():
        if options.check and (not path.exists() or path.read_text() != text):
            sys.exit(f"{path.name} is not what this zoo gives.")
        if not options.check:
            path.write_text(text)


if __name__ == "__main__":
    main()
