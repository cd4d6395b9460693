"""Fine-tunes of confident perceptrons run along the weights; the engine must not read a direction from that."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from benchmarks.perceptrons import families, fingerprint
from mlflow_mother.heritage import compare, explain, recover
from mlflow_mother.heritage.projection import Projection, weigh


@pytest.fixture(scope="module")
def perceptrons() -> list[tuple[object, object]]:
    return pairs(weight_decay=0.0)


def pairs(weight_decay: float) -> list[tuple[object, object]]:
    trained = islice(families(norm=False, seeds=[7], weight_decay=weight_decay), 2)
    return [(fingerprint(root), fingerprint(child)) for root, child in trained]


def test_dead_units_that_decayed_tell_the_direction_all_the_same() -> None:
    for root, child in pairs(weight_decay=0.01):
        (edge,) = recover({"b": root, "a": child}).edges
        assert (edge.parent, edge.child, edge.direction) == ("b", "a", "decided")


def test_a_perceptron_that_calms_its_logits_is_linked_with_open_direction(perceptrons) -> None:  # type: ignore[no-untyped-def]
    for root, child in perceptrons:
        pair = compare(root, child)
        plain = np.array([group.median for group in pair.projections if group.role == "matrix"])
        assert plain > 0.5, "the plain statistic points from child to parent"
        (edge,) = recover({"b": root, "a": child}).edges
        assert {edge.parent, edge.child} == {"a", "b"}
        assert edge.direction == "undecided"
        assert any("hardly tell which came first" in reason.text for reason in explain(root, child)[1].evidence)


def test_slopes_count_the_less_the_farther_projections_overshoot() -> None:
    def odds(overshoot: float) -> float:
        group = Projection(role="matrix", tensors=9, median=0, slope=0, error=0.1, shrink=0, overshoot=overshoot)
        said = weigh((group,))
        return said.ancestor - said.descendant

    assert odds(0.0) > odds(0.1) > odds(0.2) > odds(0.3) == odds(5.0) == 0.0


def test_overshoot_reads_the_same_from_both_sides(perceptrons) -> None:  # type: ignore[no-untyped-def]
    root, child = perceptrons[0]
    one, other = compare(root, child).projections, compare(child, root).projections
    assert [group.overshoot for group in one] == pytest.approx([group.overshoot for group in other])
