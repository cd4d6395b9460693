"""Dormant weights: what training leaves without gradients decays alike, and only that is taken for a clock."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from heritage_samples import compared, law, printed
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.heritage import recover
from mlflow_mother.heritage.dormant import LEAST_DECAY, Decay, _common, decay
from mlflow_mother.heritage.geometry import geometry
from mlflow_mother.heritage.projection import weigh
from mlflow_mother.testing.trees import Weights

WORDS, WIDTH, CLASSES = 300, 32, 5


def started(seed: int) -> Weights:
    return trained(network(seed).state_dict(), seed=seed, words=WORDS, weight_decay=0.0, rate=3e-3)


def network(seed: int) -> torch.nn.Sequential:
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Embedding(WORDS, WIDTH), torch.nn.Flatten(), torch.nn.Linear(4 * WIDTH, 64), torch.nn.Tanh(),
        torch.nn.Linear(64, CLASSES),
    )  # fmt: skip


def trained(start: Weights, *, seed: int, words: int, weight_decay: float, rate: float = 1e-3) -> Weights:
    """AdamW on sentences in which only the first ``words`` words occur."""
    model = network(0)
    model.load_state_dict(start)
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=weight_decay)
    for _ in range(40):
        x = torch.randint(words, (32, 4), generator=random)
        loss = torch.nn.functional.cross_entropy(model(x), x.sum(1) % CLASSES)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def root() -> Weights:
    return started(0)


def decayed(one: Weights, other: Weights) -> Decay:
    first, second = printed(one), printed(other)
    return decay(first, second, geometry(first, second))


@pytest.mark.parametrize("weight_decay", [0.01, 0.1])
def test_words_that_the_data_does_not_hold_tell_how_much_a_child_decayed(root, weight_decay):
    found = decayed(root, trained(root, seed=1, words=100, weight_decay=weight_decay))
    assert found.values > 100
    assert found.log == pytest.approx(-40 * np.log1p(-1e-3 * weight_decay), rel=0.01)


def test_decay_adds_up_along_a_lineage_and_read_backwards_it_is_negative(root):
    child = trained(root, seed=1, words=100, weight_decay=0.1)
    grandchild = trained(child, seed=2, words=50, weight_decay=0.05)
    ways = decayed(root, child).log, decayed(child, grandchild).log, decayed(root, grandchild).log
    assert ways[0] + ways[1] == pytest.approx(ways[2], rel=0.01)
    assert decayed(child, root).log == pytest.approx(-ways[0], rel=1e-9)


def test_there_is_no_clock_without_decay_nor_without_dormant_weights_nor_between_strangers(root):
    assert decayed(root, trained(root, seed=1, words=100, weight_decay=0.0)).values == 0
    assert decayed(root, trained(root, seed=1, words=WORDS, weight_decay=0.1)).values == 0
    assert decayed(root, started(9)).values == 0


def test_coarse_grids_have_no_clock(root):
    def rounded(weights: Weights) -> Weights:
        return {name: value.bfloat16() for name, value in weights.items()}

    child = trained(root, seed=1, words=100, weight_decay=0.1)
    assert decayed(rounded(root), rounded(child)).values == 0


def test_a_clock_decides_a_direction_that_slopes_leave_open(root):
    child = trained(root, seed=1, words=100, weight_decay=0.01)
    assert weigh(compared(root, child).projections).posterior()[0] < 0.8
    tree = recover({"a": printed(child), "b": printed(root)})
    (edge,) = tree.edges
    assert (edge.parent, edge.child, edge.direction) == ("b", "a", "decided")
    assert any("weight decay" in item.text for item in edge.evidence)


def test_the_certificate_is_read_the_same_from_both_sides(root):
    child = trained(root, seed=1, words=100, weight_decay=0.01)
    (there,) = [item for item in compared(root, child).certificates if item.clock]
    (back,) = [item for item in compared(child, root).certificates if item.clock]
    assert there == back.swapped()
    assert there.forward is True


@law
@given(st.integers(0, 10_000), st.integers(40, 400), st.floats(-0.1, 0.1))
def test_a_common_ratio_is_found_among_others_and_turns_its_sign_with_them(seed, dormant, log):
    rng = np.random.default_rng(seed)
    logs = np.sort(np.concatenate([rng.normal(0, 0.05, 2000), np.full(dormant, log) + rng.normal(0, 2e-7, dormant)]))
    found, back = _common(logs), _common(np.sort(-logs))
    assert back == Decay(found.values, -found.log)
    if abs(log) > 2 * LEAST_DECAY:
        assert found.log == pytest.approx(log, abs=1e-6)
        # The widest window holds three of the others on average, and up to ten more.
        assert abs(found.values - dormant) <= 10


@law
@given(st.integers(0, 10_000), st.sampled_from([1e-6, 1e-5, 1e-4, 1e-2]), st.integers(0, 20_000))
def test_changes_of_whatever_size_are_no_common_ratio(seed, size, count):
    logs = np.sort(np.random.default_rng(seed).normal(0, size, count))
    assert _common(logs) == Decay(0, 0.0)
