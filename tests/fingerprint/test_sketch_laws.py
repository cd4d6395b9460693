"""The sketch is linear, unbiased, nested in its width, and blind to rows that are only appended."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fingerprint_samples import fingerprint, named, normal, sketch
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint import seeds
from mlflow_mother.fingerprint.fold import fold

SHAPES = st.one_of(
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.tuples(st.integers(1, 5), st.integers(1000, 5000)),
    st.tuples(st.integers(1000, 5000), st.integers(1, 5)),
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3000)),
    st.just(()),
)


def spec_sketch(values: np.ndarray, k: int) -> np.ndarray:
    """The definition of the spec, written down once more."""
    if values.ndim >= 2:
        matrix = values.astype(np.float64).reshape(len(values), -1)
        rows, columns = matrix.shape
        buckets, signs = seeds.row_buckets(0, rows)
        select = np.zeros((rows, k))
        select[np.arange(rows), buckets % k] = signs
        return select.T @ matrix @ seeds.column_signs(0, columns)[:, :k] / math.sqrt(k)
    flat = values.astype(np.float64).ravel()
    if len(flat) <= 8 * k:
        return flat
    total = np.zeros(8 * k)
    np.add.at(total, np.arange(len(flat)) % (8 * k), flat * seeds.vector_signs(0, len(flat)))
    return total


@settings(max_examples=40, deadline=None)
@given(SHAPES, st.integers(0, 1000))
def test_equals_its_definition_at_every_width(shape: tuple[int, ...], seed: int) -> None:
    values = normal(shape, seed)
    widest = fingerprint(named("w", values))
    assert widest.k == 64
    for k in (64, 32, 16, 8):
        expected = spec_sketch(values, k)
        found = fold(widest, k)
        assert found.k == k
        np.testing.assert_allclose(found.sketch_of(0), expected, rtol=0, atol=1e-6 * np.linalg.norm(values) + 1e-30)


@settings(max_examples=25, deadline=None)
@given(SHAPES, st.integers(0, 1000))
def test_the_sketch_of_a_difference_is_the_difference_of_sketches(shape: tuple[int, ...], seed: int) -> None:
    a, b = normal(shape, seed), normal(shape, seed + 1)
    expected = sketch(np.subtract(a, b, dtype=np.float64), "F64")
    scale = np.linalg.norm(a) + np.linalg.norm(b)
    np.testing.assert_allclose(sketch(a) - sketch(b), expected, rtol=0, atol=1e-6 * scale)


def test_the_sketch_of_a_tiny_update_keeps_float32_precision() -> None:
    a = normal((3000, 700))
    b = a + normal(a.shape, 1, scale=1e-4)
    update = b.astype(np.float64) - a
    error = np.linalg.norm(sketch(b) - sketch(a) - spec_sketch(update, 64))
    assert error < 5e-8 * np.linalg.norm(a)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 300), st.integers(0, 1000))
def test_appended_rows_leave_the_sketch_of_the_others_alone(rows: int, extra: int, columns: int, seed: int) -> None:
    old, new = normal((rows, columns), seed), normal((extra, columns), seed + 1)
    only_new = np.concatenate([np.zeros_like(old), new])
    found = sketch(np.concatenate([old, new])) - sketch(only_new)
    scale = np.linalg.norm(old) + np.linalg.norm(new)
    np.testing.assert_allclose(found, sketch(old), rtol=0, atol=1e-6 * scale)
    np.testing.assert_array_equal(sketch(np.concatenate([old, np.zeros_like(new)])), sketch(old))


def test_few_rows_keep_their_geometry_and_single_entries_their_energy() -> None:
    values = normal((64, 8), 3)
    assert np.linalg.norm(sketch(values[:, :1])) == pytest.approx(np.linalg.norm(values[:, :1]), rel=1e-6)
    for row, column in ((0, 0), (70, 1500), (5000, 3)):
        single = np.zeros((row + 1, column + 1), np.float32)
        single[row, column] = 3.0
        assert np.linalg.norm(sketch(single)) == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize("k", [64, 32, 16, 8])
@pytest.mark.parametrize("shape", [(300, 200), (2000, 7), (7, 2000), (40_000,)])
def test_energy_is_unbiased(shape: tuple[int, ...], k: int) -> None:
    ratios = []
    for seed in range(40):
        values = normal(shape, seed)
        found = fold(fingerprint(named("w", values)), k).sketch_of(0)
        ratios.append(np.sum(found.astype(np.float64) ** 2) / np.sum(values.astype(np.float64) ** 2))
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / math.sqrt(len(ratios)) + 1e-6
    spread = math.sqrt(2 / (k * min(k, *shape))) if len(shape) == 2 else math.sqrt(2 / (8 * k))
    assert np.std(ratios) < 1.5 * spread


def test_the_rank_of_an_update_shows_in_the_singular_values() -> None:
    base = normal((512, 384), 0, 0.05)
    for rank in (1, 4, 16):
        update = normal((512, rank), 1) @ normal((rank, 384), 2) * 1e-3
        values = np.linalg.svd(sketch(base + update) - sketch(base), compute_uv=False)
        assert values[rank - 1] > 100 * values[rank]


@pytest.mark.parametrize("k", [7, 0, -8, 128, 64])
def test_folding_to_an_impossible_width_is_refused(k: int) -> None:
    narrow = fold(fingerprint(named("w", normal((4, 4)))), 32)
    with pytest.raises(FingerprintError, match="cannot be folded"):
        fold(narrow, k)


def test_folding_in_steps_equals_folding_at_once() -> None:
    whole = fingerprint(named("w", normal((100, 100))), named("v", normal((300,))), named("s", normal((20,))))
    steps = fold(fold(fold(whole, 32), 16), 8)
    np.testing.assert_allclose(steps.sketch, fold(whole, 8).sketch, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(steps.sample, fold(whole, 8).sample)
    assert steps.stats.tobytes() == whole.stats.tobytes()


def test_wide_matrices_need_no_memory_for_their_columns() -> None:
    columns = 300_000
    values = np.zeros((2, columns), np.float32)
    values[1, -1] = 5.0
    expected = 5.0 * seeds.column_signs(columns - 1, 1)[0] / 8.0
    found = sketch(values)
    np.testing.assert_allclose(np.abs(found).sum(0), np.abs(expected), rtol=1e-6)
    assert np.count_nonzero(np.abs(found).sum(1)) == 1
