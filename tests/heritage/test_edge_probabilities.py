"""Edge probabilities against an enumeration of all forests, and the most probable forest."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from heritage_samples import law
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.heritage.topology import best_forest, edge_probabilities, log_total


@st.composite
def log_weights(draw: st.DrawFn, most: int, forbidden: bool = True) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(1, most))
    number = st.floats(-8, 8)
    entry = st.one_of(number, st.just(-np.inf)) if forbidden else number
    weights = np.array(draw(st.lists(entry, min_size=count**2, max_size=count**2))).reshape(count, count)
    roots = np.array(draw(st.lists(number, min_size=count, max_size=count)))
    return weights, roots


def is_forest(parents: tuple[int | None, ...] | list[int | None]) -> bool:
    for start in range(len(parents)):
        node: int | None = start
        for _ in range(len(parents) + 1):
            node = None if node is None else parents[node]
        if node is not None:
            return False
    return True


def forests(count: int) -> list[tuple[int | None, ...]]:
    choices = product([None, *range(count)], repeat=count)
    return [parents for parents in choices if all(p != c for c, p in enumerate(parents)) and is_forest(parents)]


def test_the_enumeration_is_complete():
    """Cayley: rooted labelled forests number (n + 1)^(n - 1)."""
    assert [len(forests(count)) for count in (1, 2, 3, 4)] == [1, 3, 16, 125]


@law
@given(log_weights(most=4))
def test_probabilities_equal_the_enumeration_over_all_forests(given_weights):
    weights, roots = given_weights
    count = len(roots)
    expected, expected_roots = np.zeros((count, count)), np.zeros(count)
    for parents in forests(count):
        weight = np.exp(sum(roots[c] if p is None else weights[p, c] for c, p in enumerate(parents)))
        for child, parent in enumerate(parents):
            if parent is None:
                expected_roots[child] += weight
            else:
                expected[parent, child] += weight
    total = expected[:, 0].sum() + expected_roots[0]
    edges, alone = edge_probabilities(weights, roots)
    np.testing.assert_allclose(edges, expected / total, atol=1e-6)
    np.testing.assert_allclose(alone, expected_roots / total, atol=1e-6)


@law
@given(log_weights(most=30))
def test_the_parents_of_a_model_and_having_none_add_up_to_one(given_weights):
    edges, alone = edge_probabilities(*given_weights)
    np.testing.assert_allclose(edges.sum(axis=0) + alone, 1.0)
    assert edges.min() >= 0 and alone.min() >= 0
    assert not np.diag(edges).any()
    assert not edges[~np.isfinite(given_weights[0])].any()


@law
@given(log_weights(most=8), st.randoms(use_true_random=False))
def test_probabilities_do_not_depend_on_the_order_of_the_models(given_weights, random):
    weights, roots = given_weights
    order = list(range(len(roots)))
    random.shuffle(order)
    edges, alone = edge_probabilities(weights, roots)
    other_edges, other_alone = edge_probabilities(weights[np.ix_(order, order)], roots[order])
    np.testing.assert_allclose(other_edges, edges[np.ix_(order, order)], atol=1e-9)
    np.testing.assert_allclose(other_alone, alone[order], atol=1e-9)


def test_weights_far_apart_do_not_overflow():
    weights = np.array([[0.0, 900.0], [-np.inf, 0.0]])
    edges, alone = edge_probabilities(weights, np.array([-800.0, -800.0]))
    assert edges[0, 1] == pytest.approx(1) and alone[0] == pytest.approx(1)


@law
@given(log_weights(most=12, forbidden=False))
def test_the_best_forest_has_no_circle(given_weights):
    edges, alone = np.exp(given_weights[0] - 9), np.exp(given_weights[1] - 9)
    np.fill_diagonal(edges, 0)
    parents = best_forest(edges, alone)
    assert is_forest(parents)
    assert all(parent != child for child, parent in enumerate(parents))


@law
@given(log_weights(most=4, forbidden=False))
def test_the_best_forest_has_the_largest_product_of_probabilities(given_weights):
    edges, alone = edge_probabilities(*given_weights)

    def log_product(parents: tuple[int | None, ...] | list[int | None]) -> float:
        factors = [alone[c] if p is None else edges[p, c] for c, p in enumerate(parents)]
        return float(np.log(np.maximum(factors, 1e-300)).sum())

    assert log_product(best_forest(edges, alone)) >= max(map(log_product, forests(len(alone)))) - 1e-9


@law
@given(log_weights(most=4))
def test_the_total_is_the_sum_of_all_forests_weights(given_weights):
    weights, roots = given_weights
    logs = [
        sum(roots[child] if parent is None else weights[parent, child] for child, parent in enumerate(parents))
        for parents in forests(len(roots))
    ]
    assert log_total(weights, roots) == pytest.approx(np.logaddexp.reduce(logs), abs=1e-6)
