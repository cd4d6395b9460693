"""The evidence on candidate parents: what triangles say, and what it does not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from heritage_samples import law
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.heritage import ENGINE
from mlflow_mother.heritage.parentage import EVIDENCE, Parentage, evidence, fitted, log_weights

BETWEEN, PENDANT = EVIDENCE.index("between"), EVIDENCE.index("pendant")


def squared(points: np.ndarray) -> np.ndarray:
    return ((points[:, None] - points[None]) ** 2).sum(-1)


def of_distances(distance: np.ndarray) -> np.ndarray:
    flat = np.full(distance.shape, 0.5)
    plain = distance + np.diag([np.inf] * len(distance))
    return evidence(flat, flat, plain, distance, np.zeros(distance.shape), np.zeros(distance.shape, bool))


AXES = np.eye(6)
CHAIN = np.cumsum(AXES[:4], axis=0)
"""Four models, each changed at a right angle to all that was before."""


def test_in_a_chain_a_model_lies_between_its_parent_and_its_child_only():
    found = of_distances(squared(CHAIN))
    between = -found[..., BETWEEN]
    assert between[0, 2] == between[1, 3] == pytest.approx(1.0)
    assert between[0, 1] == between[1, 2] == between[2, 3] == pytest.approx(0.0, abs=1e-6)


def test_a_parent_lies_on_the_way_and_a_sibling_does_not():
    root, child, sibling, far = np.zeros(6), AXES[0], AXES[1], AXES[2]
    found = of_distances(squared(np.stack([root, child, sibling, far])))
    assert -found[0, 1, PENDANT] == pytest.approx(0.0, abs=1e-9)
    assert -found[2, 1, PENDANT] > 0.1


def test_children_that_drift_together_do_not_speak_against_their_parent():
    drift = 3 * AXES[5]
    points = np.stack([np.zeros(6), *(drift + AXES[i] for i in range(4))])
    found = of_distances(squared(points))
    assert np.all(-found[0, 1:, PENDANT] == 0)
    assert np.all(-found[1, 2:, PENDANT] > 0.1)


def test_two_models_have_no_triangles():
    found = of_distances(squared(CHAIN[:2]))
    assert not found[..., [BETWEEN, PENDANT]].any()


@law
@given(st.integers(0, 10_000), st.permutations(range(5)))
def test_the_order_of_the_models_changes_nothing(seed, order):
    rng = np.random.default_rng(seed)
    chosen = np.ix_(order, order)
    ancestor, projection, identical = rng.random((3, 5, 5))
    distance = squared(rng.normal(size=(5, 8)))
    plain = distance + np.diag([np.inf] * 5)
    given_ = [ancestor, projection, plain, distance, identical, rng.random((5, 5)) < 0.3]
    np.testing.assert_allclose(evidence(*(x[chosen] for x in given_)), evidence(*given_)[chosen], atol=1e-12)


def test_a_model_is_no_parent_of_itself():
    found = of_distances(squared(CHAIN))
    assert not found[np.arange(4), np.arange(4)].any()


def test_own_children_say_nothing_of_a_model_s_parent():
    """The middle of a chain is far from its parent and near its child, with which it shares untouched tensors."""
    ancestor = np.array([[0.0, 0.9, 0.9], [0.05, 0.0, 0.9], [0.05, 0.05, 0.0]])
    distance = np.array([[np.inf, 1.0, 1.0], [1.0, np.inf, 0.01], [1.0, 0.01, np.inf]])
    identical = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.8], [0.0, 0.8, 0.0]])
    squares = np.where(np.isinf(distance), 0, distance)
    found = evidence(ancestor, np.full((3, 3), 0.5), distance, squares, identical, np.zeros((3, 3), bool))
    assert found[0, 1, EVIDENCE.index("distance")] == found[0, 1, EVIDENCE.index("untouched")] == 0
    assert found[0, 2, EVIDENCE.index("distance")] < -4
    assert found[0, 2, EVIDENCE.index("untouched")] == -1


def test_whatever_a_clock_finds_younger_than_a_relative_is_rather_somebody_s_child():
    older = np.array([[False, True], [False, False]])
    flat = np.full((2, 2), 0.5)
    found = evidence(flat, flat, flat, flat, flat, older)[..., EVIDENCE.index("younger")]
    assert (found[0, 1], found[1, 0]) == (1, 0)


def test_other_coefficients_are_another_engine():
    """Stored results are made anew only when the engine's version changes."""
    numbers = tuple(getattr(fitted(), name) for name in (*EVIDENCE, "alone"))
    assert (ENGINE, numbers) == (
        "mother-heritage/5",
        (0.955, 0.91, 0.605, 2.956, 16.021, 4.153, 0.821, -2.108),
    )


def test_the_shipped_coefficients_all_speak_the_way_they_should():
    parentage = fitted()
    assert all(getattr(parentage, name) > 0 for name in EVIDENCE)


def test_log_weights_are_the_weighted_sum():
    parentage = Parentage(version=1, alone=0.0, **{name: float(n) for n, name in enumerate(EVIDENCE)})
    found = log_weights(np.ones((2, 2, len(EVIDENCE))), parentage)
    assert np.all(found == sum(range(len(EVIDENCE))))
