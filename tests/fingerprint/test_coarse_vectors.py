"""Coarse vectors of related models point the same way, whatever the tensors are called."""

from __future__ import annotations

import numpy as np
import pytest
from fingerprint_samples import fingerprint, named, normal, small_model

from mlflow_mother.fingerprint.coarse import DIMENSIONS, coarse_vector
from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.weights import NamedTensor


def network(seed: int, noise: float = 0.0, rows: int = 500) -> list[NamedTensor]:
    shapes = {"embed": (rows, 64), "up": (256, 64), "down": (64, 256), "conv": (32, 8, 3, 3), "gain": (64,)}
    return [
        named(
            f"{name}.weight",
            (name == "gain") + normal(shape, seed + i, 0.1) + normal(shape, 900 + seed + i, 0.1 * noise),
        )
        for i, (name, shape) in enumerate(shapes.items())
    ]


def vector(tensors: list[NamedTensor]) -> np.ndarray:
    return coarse_vector(fingerprint(*tensors))


def test_it_is_a_unit_vector_of_4_kb() -> None:
    found = vector(network(0))
    assert found.shape == (DIMENSIONS,)
    assert found.dtype == np.float32
    assert found.nbytes <= 4096
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-6)


def test_related_models_are_near_and_unrelated_ones_are_not() -> None:
    root = vector(network(0))
    assert root @ vector(network(0, noise=0.1)) > 0.97
    assert root @ vector(network(0, noise=0.5)) > 0.7
    chance = [float(root @ vector(network(seed))) for seed in range(100, 1100, 100)]
    assert max(map(abs, chance)) < 0.35
    assert abs(np.mean(chance)) < 0.1


def test_names_and_order_do_not_matter() -> None:
    tensors = network(0)
    renamed = [NamedTensor(f"z{i}", t.dtype, t.shape, t.source) for i, t in enumerate(reversed(tensors))]
    np.testing.assert_allclose(vector(renamed), vector(tensors), rtol=0, atol=1e-6)


def test_an_extended_vocabulary_stays_near() -> None:
    small, large = normal((500, 64), 0, 0.1), normal((520, 64), 77, 0.1)
    large[:500] = small
    others = network(0)[1:]
    assert vector([named("e", small), *others]) @ vector([named("e", large), *others]) > 0.95


def test_the_width_hardly_matters() -> None:
    whole = fingerprint(*network(0))
    np.testing.assert_allclose(coarse_vector(fold(whole, 8)), coarse_vector(whole), rtol=0, atol=1e-5)


def test_models_of_vectors_only_have_one_too() -> None:
    one = [named("a", normal((50,), 1)), named("b", normal((5000,), 2))]
    other = [named("a", normal((50,), 1) + normal((50,), 3, 0.1)), named("b", normal((5000,), 2))]
    assert vector(one) @ vector(other) > 0.9


def test_a_model_without_energy_has_a_zero_vector() -> None:
    assert not vector([named("a", np.zeros((4, 4), np.float32))]).any()
    assert not coarse_vector(fingerprint()).any()


def test_vectors_and_scalars_do_not_disturb_matrices() -> None:
    matrices = [tensor for tensor in small_model() if len(tensor.shape) >= 2]
    np.testing.assert_allclose(vector(matrices), vector(small_model()), rtol=0, atol=1e-6)
