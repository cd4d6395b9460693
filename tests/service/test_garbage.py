"""The collector rests while records are made, and is afterwards as it was before."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from mlflow_mother.service.garbage import uncollected


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leaves the collector as other tests expect it."""
    yield
    gc.enable()


def test_the_collector_rests_and_goes_on() -> None:
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="stopped"), uncollected():
        raise ValueError("stopped")
    assert gc.isenabled()


def test_a_collector_that_somebody_stopped_stays_stopped() -> None:
    gc.disable()
    with uncollected(), uncollected():
        pass
    assert not gc.isenabled()


def test_the_inner_of_two_does_not_wake_the_collector() -> None:
    with uncollected():
        with uncollected():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
