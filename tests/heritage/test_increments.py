"""Distances in a family's own metric: what they do not depend on, and what all training has in common counts less."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heritage_samples import base, law, printed
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.heritage.increments import whitened_distances
from mlflow_mother.testing.trees import finetuned, tree

SHAPE = {"a": None, "b": "a", "c": "a", "d": "b", "e": "b"}


def family(seed: int = 3) -> list:
    return [printed(member.weights) for member in tree(seed, SHAPE).values()]


def test_identical_models_have_no_metric():
    assert whitened_distances([printed(base()), printed(base())]) is None


def test_models_without_a_common_tensor_have_no_metric():
    other = {f"other.{name}": torch.cat([value, value]) for name, value in base(2).items()}
    assert whitened_distances([printed(base()), printed(other)]) is None


@law
@given(st.permutations(range(len(SHAPE))))
def test_the_order_of_the_models_changes_nothing(order):
    models = family()
    found = whitened_distances(models)
    np.testing.assert_allclose(whitened_distances([models[i] for i in order]), found[np.ix_(order, order)], rtol=1e-9)


@pytest.mark.parametrize("place", range(len(SHAPE)))
def test_a_matrix_that_starts_at_zero_counts_the_same_wherever_the_root_stands(place):
    """Only in the root it is constant, and so has no say; for a while the first model decided for all."""
    noise = np.random.default_rng(0)
    members = {name: dict(member.weights) for name, member in tree(3, SHAPE).items()}
    for name, weights in members.items():
        values = torch.from_numpy(noise.normal(size=(48, 48))).float()
        weights["extra.weight"] = torch.zeros(48, 48) if name == "a" else values
    order = [*range(1, place + 1), 0, *range(place + 1, len(members))]
    models = [printed(weights) for weights in members.values()]
    found = whitened_distances(models)
    np.testing.assert_allclose(whitened_distances([models[i] for i in order]), found[np.ix_(order, order)], rtol=1e-9)


def test_the_scale_of_a_tensor_changes_nothing():
    weights = [member.weights for member in tree(3, SHAPE).values()]
    larger = [{n: 8 * v if n.startswith("blocks.0") else v for n, v in w.items()} for w in weights]
    np.testing.assert_allclose(
        whitened_distances([printed(w) for w in larger]), whitened_distances([printed(w) for w in weights]), rtol=1e-5
    )


def cosine(distance: np.ndarray, at: int, one: int, other: int) -> float:
    sides = distance[at, one] + distance[at, other] - distance[one, other]
    return float(sides / (2 * np.sqrt(distance[at, one] * distance[at, other])))


@pytest.mark.parametrize("seed", range(3))
def test_siblings_that_drift_the_same_way_come_closer_to_a_right_angle(seed):
    """All children move along one rank-one direction of every matrix, besides what is their own."""
    root = base(seed)
    generator = torch.Generator().manual_seed(seed)
    drift = {
        name: torch.randn(len(v), 1, generator=generator) @ torch.randn(1, v.shape[1], generator=generator)
        for name, v in root.items()
        if v.ndim == 2
    }
    children = [finetuned(root, 10 * seed + i, size=0.05) for i in range(5)]
    for child in children:
        for name, way in drift.items():
            child[name] = child[name] + 0.05 * root[name].norm() / way.norm() * way
    models = [printed(weights) for weights in (root, *children)]
    values = [np.concatenate([m.sketch_of(i).ravel() for i, n in enumerate(m.names) if n in drift]) for m in models]
    plain = np.array([[((a - b) ** 2).sum() for b in values] for a in values], float)
    whitened = whitened_distances(models)
    before = np.mean([cosine(plain, 0, i, j) for i in range(1, 6) for j in range(1, i)])
    after = np.mean([cosine(whitened, 0, i, j) for i in range(1, 6) for j in range(1, i)])
    assert after < before / 2
