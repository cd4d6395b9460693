"""Evidence reads as plain words: the exact texts of one edge of each relation."""

from __future__ import annotations

import re

import pytest
import torch
from heritage_samples import base, printed, recovered

from mlflow_mother.heritage import compare, recover
from mlflow_mother.heritage.projection import Projection
from mlflow_mother.heritage.relation import classify
from mlflow_mother.testing.trees import (
    Weights,
    adapter,
    cast,
    extended,
    finetuned,
    fingerprint,
    lora_merged,
    merged,
    pruned,
    quantised,
    retrained,
)
from mlflow_mother.types import Evidence, Relation

SCALE = "0: the parent first, 1: the child first, between: siblings"
PROJECTIONS = (
    f"14 matrices look as if the parent came first (projection 0.00 +- 0.01; {SCALE})",
    f"13 biases look as if the parent came first (projection 0.00 +- 0.00; {SCALE})",
    f"4 norm gains look as if the parent came first (projection 0.00 +- 0.00; {SCALE})",
)


def alike(cosine: str, chance: str = "0.007") -> str:
    return f"the weights are more alike than chance makes them (cosine {cosine}, chance {chance})"


def counted(weights: Weights, steps: int) -> Weights:
    return {**weights, "bn.num_batches_tracked": torch.tensor(steps)}


def last_block(parent: Weights) -> Weights:
    return finetuned(parent, 2, frozen=lambda name: not name.startswith("blocks.3"))


GOLDEN = {
    "finetune": (
        lambda: (base(), finetuned(base(), 2)),
        Relation.FINETUNE,
        (*PROJECTIONS, alike("0.980"), "0 of 31 tensors untouched"),
    ),
    "finetune with counters": (
        lambda: (counted(base(), 100), counted(finetuned(base(), 2), 150)),
        Relation.FINETUNE,
        (
            "step counters grew from 100 to 150",
            *PROJECTIONS,
            alike("0.980"),
            "0 of 31 tensors untouched",
        ),
    ),
    "partial finetune": (
        lambda: (base(), last_block(base())),
        Relation.PARTIAL_FINETUNE,
        (
            "24 of 31 tensors untouched",
            f"3 matrices look as if the parent came first (projection -0.01 +- 2.12; {SCALE})",
            f"3 biases leave open which came first (projection 0.00 +- 2.12; {SCALE})",
            f"1 norm gain leaves open which came first (projection 0.00 +- 6.35; {SCALE})",
            alike("1.000"),
        ),
    ),
    "merged LoRA": (
        lambda: (base(), lora_merged(base(), 2, rank=4)),
        Relation.LORA_MERGED,
        (
            "the change is of low rank, as a merged LoRA's is (rank 4)",
            "19 of 31 tensors untouched",
            f"12 matrices look as if the parent came first (projection -0.04 +- 0.09; {SCALE})",
            alike("0.985"),
        ),
    ),
    "cast": (
        lambda: (base(), cast(base(), torch.bfloat16)),
        Relation.CAST,
        (
            "exact rounding to bf16: all 4,554 sampled values of 31 tensors agree",
            "0 of 31 tensors untouched",
            alike("1.000"),
        ),
    ),
    "pruned": (
        lambda: (base(), pruned(base())),
        Relation.PRUNED,
        (
            "50% zeros, 0% before; every other sampled value is the parent's",
            "17 of 31 tensors untouched",
            alike("0.964"),
        ),
    ),
    "pruned and retrained": (
        lambda: (base(), retrained(pruned(base()), 2)),
        Relation.PRUNED,
        (
            "50% zeros, 0% before; the rest was trained on",
            "0 of 31 tensors untouched",
            alike("0.961"),
        ),
    ),
    "quantised": (
        lambda: (base(5, 96), quantised(base(5, 96))),
        Relation.QUANTIZED,
        (
            "13 of 13 large matrices lie on a grid (93% of their values are repeated), 17 biases and norms untouched",
            "18 of 31 tensors untouched",
            alike("1.000", "0.006"),
        ),
    ),
    "extended": (
        lambda: (base(), extended(base(), 2)),
        Relation.EXTENDED,
        (
            "1 tensor has more rows (96 -> 112)",
            "30 of 30 tensors untouched",
            alike("1.000"),
        ),
    ),
    "copy": (
        lambda: (base(), dict(base())),
        Relation.COPY,
        ("all weights are identical", "registered later than the model it equals"),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_texts_of_one_edge(name):
    make, relation, expected = GOLDEN[name]
    parent, child = make()
    (edge,) = recovered({"parent": parent, "child": child}, times={"parent": 1.0, "child": 2.0}).edges
    assert (edge.parent, edge.relation) == ("parent", relation)
    assert tuple(item.text for item in edge.evidence) == expected


def test_texts_of_evidence_from_outside_the_weights():
    models = {"a": base(), "b": finetuned(base(), 2)}
    (edge,) = recovered(models, times={"a": 1.0, "b": 2.0}, weigh_times=True, declared={"b": ["a"]}).edges
    assert [item.text for item in edge.evidence[-2:]] == [
        "the parent was registered earlier than the child",
        "the child's metadata names this parent",
    ]


def test_text_of_a_merge():
    one, other = finetuned(base(), 2), finetuned(base(), 3)
    models = {"root": base(), "one": one, "other": other, "soup": merged([(one, 0.6), (other, 0.4)])}
    edges = [edge for edge in recovered(models).edges if edge.child == "soup"]
    (text,) = {item.text for edge in edges for item in edge.evidence}
    assert re.fullmatch(
        r"0\.600 one \+ 0\.400 other explains all but \d\.\de-\d\d of the squared distance \(4,554 values\)", text
    )


def test_text_of_an_adapter():
    child = fingerprint(adapter(base(), 2), base="org/base", rank=4)
    (edge,) = recover({"base": printed(base()), "adapter": child}).edges
    assert [item.text for item in edge.evidence] == [
        "its configuration names the base 'org/base'",
        "4 of 4 adapted layers fit the base's shapes",
    ]


def test_text_of_an_unregistered_ancestor():
    edges = recovered({f"s{n}": finetuned(base(), 60 + n) for n in range(3)}).edges
    for edge in edges:
        (item,) = edge.evidence
        assert re.fullmatch(
            r"related to 2 models without being their parent or child "
            r"\(projection 0\.\d\d; siblings give about 0\.5\)",
            item.text,
        )


def test_no_text_needs_a_programmer():
    """One line, no names of classes, no tuples, no repeated blanks."""
    found: list[Evidence] = []
    for make, _, _ in GOLDEN.values():
        found += [item for edge in recovered(dict(zip("ab", make(), strict=True))).edges for item in edge.evidence]
    for item in found:
        assert re.fullmatch(r"[\w ,.:;%()'>+-]+", item.text) and "  " not in item.text
        assert "np." not in item.text and "None" not in item.text and "_" not in item.text


def test_texts_of_projections_that_do_not_point_from_the_parent():
    parent, child = printed(base()), printed(finetuned(base(), 2))
    pair = compare(parent, child)
    one = Projection(role="matrix", tensors=12, median=1, slope=0.9, error=0.1, shrink=0, overshoot=0.2)
    other = Projection(role="gain", tensors=4, median=0.5, slope=0.5, error=0.01, shrink=0)
    doctored = pair.model_copy(update={"projections": (one, other), "cosine": 0.01})
    assert [item.text for item in classify(parent, child, doctored).evidence[:4]] == [
        f"12 matrices look as if the child came first (projection 0.90 +- 0.22; {SCALE})",
        f"4 norm gains leave open which came first (projection 0.50 +- 0.04; {SCALE})",
        "in a network like this, matrices hardly tell which came first "
        "(their projections leave 0 to 1 by 0.20 on average)",
        "the weights are not clearly more alike than chance makes them (cosine 0.010, chance 0.007)",
    ]
