"""What matching, spectra and the count of agreeing units promise, on matrices of any kind."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from mlflow_mother.alignment.maps import Turn, Units, identity
from mlflow_mother.alignment.matching import balanced, match
from mlflow_mother.alignment.scales import fit_scales
from mlflow_mother.alignment.spaces import by_chance, shared_units
from mlflow_mother.alignment.spectra import ROUNDING, spectral_distance, spectrum

seeds = st.integers(0, 2**32 - 1)
shapes = st.tuples(st.integers(16, 40), st.integers(16, 40), st.sampled_from([1, 1, 9]))


def units(rng: np.random.Generator, n: int) -> Units:
    return Units(rng.permutation(n), rng.choice([-1.0, 1.0], n))


@settings(max_examples=25, deadline=None)
@given(seeds, shapes)
def test_what_was_done_to_rows_and_columns_is_found_and_undone_exactly(seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape).astype(np.float32)
    rows, columns = units(rng, shape[0]), units(rng, shape[1])
    b = columns.apply(rows.apply(a, 0), 1)
    found, back = match(a, b), match(b, a)
    assert found.cosine == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_array_equal(found.sides[1].apply(found.sides[0].apply(b, 0), 1), a)
    for there, again in zip(found.sides, back.sides, strict=True):
        np.testing.assert_array_equal(there.order[again.order], np.arange(len(there.order)))


@settings(max_examples=25, deadline=None)
@given(seeds, shapes)
def test_factors_of_rows_and_columns_do_not_disturb_the_match(seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    rows, columns = units(rng, shape[0]), units(rng, shape[1])
    factors = [np.exp(rng.normal(size=length)) for length in shape[:2]]
    b = columns.apply(rows.apply(a * factors[0][:, None, None] * factors[1][None, :, None], 0), 1)
    np.testing.assert_allclose(balanced(b), columns.apply(rows.apply(balanced(a), 0), 1), rtol=1e-2, atol=1e-3)
    found = match(a.astype(np.float32), b.astype(np.float32))
    moved = found.sides[1].apply(found.sides[0].apply(b, 0), 1)
    scales = fit_scales(a, moved)
    assert scales is not None
    # Rows and columns are fitted in turns, ten times. Near the solution a turn of rows takes to the rows' errors what
    # was the columns', averaged with the entries' energies as weights, and back: all errors but the common factor's
    # shrink by the second singular value of the energies, rows and columns normalised. The constant is for the start.
    energies = np.square(a).sum(axis=2)
    shares = energies / np.sqrt(np.outer(energies.sum(axis=1), energies.sum(axis=0)))
    contraction = np.linalg.svd(shares, compute_uv=False)[1]
    np.testing.assert_allclose(scales.apply(moved), a, rtol=100 * contraction ** (2 * 10) + 1e-10)


@settings(max_examples=25, deadline=None)
@given(seeds, shapes)
def test_spectra_survive_orders_signs_factors_and_rotations(seed: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    moved = units(rng, shape[1]).apply(units(rng, shape[0]).apply(a, 0), 1)
    scaled = moved * np.exp(rng.normal(size=(shape[0], 1, 1))) * np.exp(rng.normal(size=(1, shape[1], 1)))
    rotated = Turn(ortho_group.rvs(shape[0], random_state=seed % 2**32)).apply(a, 0)
    for changed in (moved, rotated, -3 * a):
        assert spectral_distance(spectrum(a), spectrum(changed)) < ROUNDING
    assert spectral_distance(spectrum(a), spectrum(scaled)) < 1e-3  # balanced in a finite number of steps
    assert spectral_distance(spectrum(a), spectrum(rng.standard_normal(shape))) > 2e-3


def test_unrelated_orders_agree_as_often_as_is_said() -> None:
    agreeing = np.array([sum(i == j for i, j in enumerate(order)) for order in permutations(range(8))])
    assert agreeing.mean() == 1.0
    for count in range(1, 6):
        assert by_chance(count) == pytest.approx((agreeing >= count).mean(), rel=0.02, abs=1e-3)
    assert by_chance(0) == 1.0


def test_units_that_stay_in_place_do_not_count_unless_their_signs_agree() -> None:
    rng = np.random.default_rng(0)
    n = 400
    signs = rng.choice([-1.0, 1.0], n)
    still = identity(n)
    assert shared_units(still, still) == 0
    assert shared_units(Units(still.order, signs), Units(still.order, -signs)) == n
    assert shared_units(Units(still.order, signs), Units(still.order, rng.choice([-1.0, 1.0], n))) < n / 8
    order = rng.permutation(n)
    assert shared_units(Units(order, signs), Units(order, signs)) >= n - 10
    assert shared_units(Units(order, signs), Units(rng.permutation(n), signs)) < 10


def test_a_fine_tune_is_no_rescaling() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((48, 32, 1))
    assert fit_scales(a, a + 0.1 * rng.standard_normal(a.shape)) is None
    assert fit_scales(a, a) is None
