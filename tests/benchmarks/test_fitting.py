"""The fit of the engine's coefficients: its gradient, what it finds, and that the files in use are of its making."""

from __future__ import annotations

import json

import numpy as np
from scipy.optimize import approx_fprime

from benchmarks.accuracy import fitting
from benchmarks.accuracy.ablation import judge, variants
from benchmarks.accuracy.engine import unseen
from benchmarks.accuracy.fitting import FOLDS, Example
from benchmarks.zoo.networks import ARCHITECTURES
from mlflow_mother.heritage.parentage import EVIDENCE


def example(seed: int, coefficients: np.ndarray | None = None, count: int = 6, of: str = "none") -> Example:
    """A family whose parents were drawn with these coefficients, or at random; earlier ones come first."""
    rng = np.random.default_rng(seed)
    evidence = rng.normal(size=(count, count, len(EVIDENCE)))
    parents = []
    for child in range(count):
        logs = np.zeros(child + 1)
        if coefficients is not None:
            logs = np.append(evidence[:child, child] @ coefficients[:-1], coefficients[-1])
        chances = np.exp(logs - logs.max())
        drawn = int(rng.choice(child + 1, p=chances / chances.sum()))
        parents.append(-1 if drawn == child else drawn)
    offset = np.where(np.triu(np.ones((count, count), bool), 1), 0.0, -np.inf)
    return Example(of, evidence, offset, np.array(parents), 1.0, complete=seed % 2 == 0)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    data = [example(seed) for seed in range(3)]
    at = np.random.default_rng(1).normal(size=len(EVIDENCE) + 1)
    numeric = approx_fprime(at, lambda x: fitting._loss(x, data)[0], 1e-6)
    np.testing.assert_allclose(fitting._loss(at, data)[1], numeric, atol=1e-3)


def test_the_coefficients_that_made_the_trees_are_found() -> None:
    true = np.array([1.0, -1.0, 0.5, 2.0, 0.0, 1.5, -0.5, 0.5])
    found = fitting.fit([example(seed, true, 8) for seed in range(300)])
    values = np.array([getattr(found, name) for name in (*EVIDENCE, "alone")])
    assert np.abs(values - true).max() < 0.3


def test_evidence_that_decides_is_missed_and_evidence_that_says_nothing_is_not() -> None:
    true = np.array([0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, -1.0])
    data = [example(seed, true, 6, of) for seed in range(20) for of in ("one", "other")]
    named = dict(variants(data))
    whole, decisive, idle = (
        judge((name, named[name]))[1] for name in ("all evidence", f"without {EVIDENCE[2]}", f"without {EVIDENCE[1]}")
    )
    assert whole.complete > 0.8 > decisive.complete
    assert whole.log_likelihood > decisive.log_likelihood + 50
    assert abs(whole.log_likelihood - idle.log_likelihood) < 5


def test_no_architecture_is_judged_by_coefficients_that_saw_it() -> None:
    folds = json.loads(FOLDS.read_text())
    assert {*ARCHITECTURES} <= folds.keys()
    assert len({unseen(name) for name in folds}) == len(folds)
