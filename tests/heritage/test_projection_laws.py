"""The projection statistic: laws that hold for any pair, and what it says of pairs of known heritage."""

from __future__ import annotations

import numpy as np
import pytest
from heritage_samples import base, compared, law
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.heritage.geometry import Geometry
from mlflow_mother.heritage.projection import Hypotheses, _regress, interval, project, weigh
from mlflow_mother.heritage.roles import Role
from mlflow_mother.testing.trees import finetuned


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    """Any number of tensors of any role whose energies and distances obey the triangle inequality."""
    count = draw(st.integers(1, 24))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    norm_a = np.exp(random.normal(0, draw(st.floats(0, 2)), count))
    norm_b = norm_a * np.exp(random.normal(0, draw(st.floats(0, 0.5)), count))
    angle = random.uniform(0, np.pi, count) * draw(st.sampled_from([0.01, 0.3, 1.0]))
    distance = norm_a**2 + norm_b**2 - 2 * norm_a * norm_b * np.cos(angle)
    places = np.arange(count)
    return Geometry(
        a=places,
        b=places,
        role=random.choice([Role.MATRIX, Role.BIAS, Role.GAIN, Role.STATE], count).astype(np.int8),
        energy_a=norm_a**2,
        energy_b=norm_b**2,
        distance=distance,
        identical=random.random(count) < 0.2,
        resized=(),
        only_a=0,
        only_b=0,
        k=64,
    )


hypotheses = st.builds(
    Hypotheses, ancestor=st.floats(-50, 50), descendant=st.floats(-50, 50), siblings=st.floats(-50, 50)
)


@law
@given(geometries())
def test_both_sides_add_up_to_one_for_every_group(pair):
    forward, backward = project(pair), project(pair.mirrored())
    assert [group.role for group in forward] == [group.role for group in backward]
    for one, other in zip(forward, backward, strict=True):
        assert one.median + other.median == pytest.approx(1, abs=1e-6 * max(1, abs(one.median)))
        assert one.slope + other.slope == pytest.approx(1, abs=1e-5 * max(1, abs(one.slope)))
        assert one.shrink == pytest.approx(-other.shrink, abs=1e-6)
        assert one.error == pytest.approx(other.error, rel=1e-4, abs=1e-9)


@law
@given(geometries())
def test_swapping_a_projection_twice_changes_nothing(pair):
    for group in project(pair):
        twice = group.swapped().swapped()
        assert (twice.slope, twice.median) == pytest.approx((group.slope, group.median), rel=1e-12, abs=1e-12)
        assert (twice.shrink, twice.error, twice.tensors) == (group.shrink, group.error, group.tensors)


@law
@given(geometries())
def test_likelihoods_read_from_the_other_side_are_swapped(pair):
    groups = project(pair)
    there, back = weigh(groups), weigh(tuple(group.swapped() for group in groups)).swapped()
    assert list(there.model_dump().values()) == pytest.approx(list(back.model_dump().values()), abs=1e-9)


@law
@given(hypotheses, st.floats(-20, 20))
def test_outside_log_odds_for_one_side_are_against_the_other(prior, log_odds):
    there, back = prior.shifted(log_odds).swapped(), prior.swapped().shifted(-log_odds)
    assert list(there.model_dump().values()) == pytest.approx(list(back.model_dump().values()))
    before, after = prior.posterior(), prior.shifted(log_odds).posterior()
    assert sum(before) == pytest.approx(1) and sum(after) == pytest.approx(1)
    assert prior.swapped().swapped() == prior


@law
@given(geometries())
def test_identical_and_untrained_tensors_have_no_say(pair):
    counted = sum(group.tensors for group in project(pair))
    assert counted <= int((~pair.identical & (pair.role != Role.STATE)).sum())


def test_no_tensors_prefer_no_hypothesis():
    assert weigh(()).posterior() == pytest.approx((1 / 3, 1 / 3, 1 / 3))


@pytest.mark.parametrize("size", [0.01, 0.1, 0.5])
def test_a_parent_has_slope_zero_and_its_child_one(size):
    projections = compared(base(), finetuned(base(), 2, size=size)).projections
    assert [group.role for group in projections] == ["matrix", "bias", "gain"]
    for group in projections:
        assert group.slope == pytest.approx(0, abs=0.05)
        assert group.swapped().slope == pytest.approx(1, abs=0.05)


def test_siblings_of_equal_updates_have_slopes_about_one_half():
    pairs = [compared(finetuned(base(), seed), finetuned(base(), seed + 50)) for seed in range(8)]
    assert np.median([pair.projections[0].slope for pair in pairs]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([pair.hypotheses.posterior()[2] for pair in pairs]) > 0.5


@pytest.mark.parametrize("shrink", [0.005, 0.02, 0.05])
def test_weight_decay_goes_into_the_shrink_and_not_into_the_direction(shrink):
    comparison = compared(base(), finetuned(base(), 2, size=0.1, shrink=shrink))
    matrices = comparison.projections[0]
    assert matrices.shrink == pytest.approx(shrink, rel=0.2)
    assert matrices.slope == pytest.approx(0, abs=0.1)
    ancestor, descendant, _ = comparison.hypotheses.posterior()
    assert ancestor > 0.9 > descendant


def test_the_plain_statistic_alone_would_have_been_wrong_about_decay():
    comparison = compared(base(), finetuned(base(), 2, size=0.05, shrink=0.05))
    assert comparison.projections[0].median > 1
    assert comparison.hypotheses.posterior()[0] > 0.9


def test_one_tensor_says_less_than_many():
    few = {"a.weight": base()["blocks.0.up.weight"], "b.weight": base()["blocks.0.down.weight"]}
    (one,) = compared(few, finetuned(few, 2)).projections
    assert interval(one) > 0.5
    assert interval(compared(base(), finetuned(base(), 2)).projections[0]) < 0.1


@pytest.mark.parametrize("x", [1e-14, 1e-9, 1.0])
def test_tensors_that_all_moved_alike_have_a_slope_all_the_same(x: float) -> None:
    y = x * np.array([0.1, 0.2, 0.25, 0.3, 0.4])
    slope, error, shrink = _regress(np.full(5, x), y, 0.01)
    assert 0.1 <= slope <= 0.4
    assert np.isfinite(error)
    assert abs(shrink) <= 0.01
