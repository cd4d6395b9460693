"""The screen for merges: all that any search would find passes, and fine-tunes of one model hardly do."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from heritage_samples import base, few, law, printed
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.heritage.merges import MOST_PARENTS, find_merge
from mlflow_mother.heritage.screening import may_be_merges
from mlflow_mother.testing.trees import Weights, cast, finetuned, fingerprint, merged

ROOT = base(width=16, depth=2)
SOURCES: dict[str, Weights] = {"root": ROOT, **{str(n): finetuned(ROOT, 30 + n, size=0.3) for n in range(6)}}
PRINTS = {name: printed(weights) for name, weights in SOURCES.items()}


def passes(child: Weights, names: list[str]) -> bool:
    models = {**PRINTS, "child": fingerprint(child)}
    """Whether a child passes; what does not pass is no merge to :func:`find_merge` either."""
    (passed,) = may_be_merges([("child", tuple(names))], models, MOST_PARENTS)
    if not passed:
        assert find_merge("child", names, models) is None
    return passed


chosen = st.lists(st.sampled_from(sorted(SOURCES)), min_size=2, max_size=MOST_PARENTS, unique=True)


@few
@given(chosen, st.randoms(use_true_random=False), st.sampled_from([torch.float32, torch.bfloat16]))
def test_weighted_sums_pass(names, random, dtype):
    shares = np.array([random.uniform(0.1, 1) for _ in names])
    parents = [(SOURCES[name], float(share)) for name, share in zip(names, shares / shares.sum(), strict=True)]
    assert passes(cast(merged(parents), dtype), sorted(SOURCES))


@few
@given(chosen, st.randoms(use_true_random=False))
def test_layers_of_several_models_pass(names, random):
    tensors = {name: SOURCES[names[n % len(names)]][name] for n, name in enumerate(ROOT)}
    assert passes(tensors, random.sample(sorted(SOURCES), len(SOURCES)))


@few
@given(st.sampled_from(list(combinations(sorted(SOURCES), 2))), st.randoms(use_true_random=False))
def test_weights_of_each_tensor_s_own_pass(pair, random):
    one, other = (SOURCES[name] for name in pair)
    between = {name: torch.lerp(one[name], other[name], random.uniform(0.05, 0.95)) for name in one}
    assert passes(between, sorted(SOURCES))


def test_finetunes_do_not_pass():
    """Nor do their own, whatever is known of them."""
    models = {**PRINTS, **{f"{name}'": printed(finetuned(w, 50, size=0.3)) for name, w in SOURCES.items()}}
    searches = [(child, tuple(name for name in models if name != child)) for child in models]
    assert sum(may_be_merges(searches, models, MOST_PARENTS)) <= len(models) // 4


def test_a_partial_finetune_does_not_pass():
    """Its parent alone explains what it left untouched."""
    trained = finetuned(ROOT, 60, size=0.3)
    assert not passes({**ROOT, **{name: trained[name] for name in list(ROOT)[-2:]}}, sorted(SOURCES))


def test_models_with_other_tensors_are_compared_in_what_is_common():
    models = {name: dict(weights) for name, weights in SOURCES.items()}
    for n, weights in enumerate(models.values()):
        weights["head.weight"] = torch.randn(3 + n, 16, generator=torch.Generator().manual_seed(n))
    blend = merged([(SOURCES["0"], 0.5), (SOURCES["1"], 0.5)])
    prints = {name: fingerprint(weights) for name, weights in models.items()} | {"child": fingerprint(blend)}
    searches = [("child", tuple(SOURCES)), ("child", ("2", "3")), ("2", ("3", "4"))]
    assert may_be_merges(searches, prints, MOST_PARENTS) == [True, False, False]


def test_nothing_is_screened_where_there_is_nothing_to_find():
    assert may_be_merges([], PRINTS, MOST_PARENTS) == []


@law
@given(st.floats(-1e30, 1e30, allow_subnormal=False), st.sampled_from(["zeros", "huge", "one tensor"]))
def test_degenerate_weights_do_not_mislead(value, kind):
    weights = {name: tensor.clone() for name, tensor in ROOT.items()}
    for name in weights if kind != "one tensor" else list(weights)[:1]:
        weights[name] = torch.full_like(weights[name], 0.0 if kind == "zeros" else value)
    passes(weights, sorted(SOURCES))
