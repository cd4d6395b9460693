"""The accuracy lab: cases hold the truth about what is left, scores count it, every method answers every case."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from family_samples import finetuned, root
from safetensors.numpy import save_file

from benchmarks.accuracy.cases import Case, case
from benchmarks.accuracy.distances import distances
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.scores import RATES, Score, rate, score

PARENTS = {
    "base": {},
    "tuned": {"base": 1.0},
    "further": {"tuned": 1.0},
    "stored": {"tuned": 1.0},
    "other": {"base": 1.0},
    "mixed": {"tuned": 0.5, "other": 0.5},
    "stranger": {},
}
KINDS = {"base": "root", "stored": "cast", "mixed": "soup", "stranger": "other-seed"}
RELATIONS = {"root": None, "other-seed": None, "cast": "cast", "soup": "merge", "finetune": "finetune"}


def fact(name: str) -> dict[str, object]:
    """What ``truth.json`` says of a network."""
    kind = KINDS.get(name, "finetune")
    return {"parents": PARENTS[name], "kind": kind, "relation": RELATIONS[kind], "rank": None, "resembles": None}


def networks() -> dict[str, dict[str, np.ndarray]]:
    """The tree's weights by name."""
    weights = {"base": root(1), "stranger": root(9)}
    weights["tuned"] = finetuned(weights["base"], 2, 0.2)
    weights["other"] = finetuned(weights["base"], 3, 0.2)
    weights["further"] = finetuned(weights["tuned"], 4, 0.1)
    weights["stored"] = {name: value.astype(np.float16) for name, value in weights["tuned"].items()}
    weights["mixed"] = {name: (value + weights["other"][name]) / 2 for name, value in weights["tuned"].items()}
    return weights


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "vit-uneven"
    folder.mkdir()
    for name, tensors in networks().items():
        save_file(tensors, folder / f"{name}.safetensors")
    facts = {name: fact(name) for name in PARENTS}
    truth = {"architecture": "vit", "shape": "uneven", "registered": list(PARENTS), "networks": facts}
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def named(posed: Case, order: list[str]) -> dict[str, str]:
    """Ids by name: they are registered in the truth's order."""
    return dict(zip(order, posed.order, strict=True))


def test_a_whole_tree_is_its_own_truth(tree: Path) -> None:
    posed = case(tree, 0.0, 1)
    ids = named(posed, list(PARENTS))
    assert {name: posed.parents[ids[name]] for name in PARENTS} == {
        name: frozenset(ids[parent] for parent in found) for name, found in PARENTS.items()
    }
    assert posed.families == 2
    assert not any(posed.surrogates.values())
    again = case(tree, 0.0, 2)
    assert list(again.models) != list(posed.models), "names follow the seed"


def test_what_is_withheld_leaves_the_nearest_ancestors_and_what_stands_for_it(tree: Path) -> None:
    for seed in range(20):
        posed = case(tree, 0.3, seed)
        missing = set(PARENTS) - names_of(posed)
        assert len(missing) == len(PARENTS) - len(posed.models) == 2 and "base" in missing
        if "tuned" in missing:
            ids = named(posed, [name for name in PARENTS if name not in missing])
            assert posed.parents[ids["further"]] == frozenset()
            assert posed.surrogates[ids["further"]] == {ids["stored"]}
            assert posed.parents[ids["mixed"]] == {ids["other"]}
            return
    raise AssertionError("no seed withheld it")


def names_of(posed: Case) -> set[str]:
    """What is left, known by the energies of its weights."""
    left = [float(model.stats["sumsq"].sum()) for model in posed.models.values()]
    energies = {
        name: sum(float(np.square(value, dtype=np.float64).sum()) for value in tensors.values())
        for name, tensors in networks().items()
    }
    return {name for name, energy in energies.items() if any(abs(energy / one - 1) < 1e-9 for one in left)}


def test_every_method_answers_and_mothers_is_right(tree: Path) -> None:
    posed = case(tree, 0.0, 1)
    found = {name: score(posed, method(posed)) for name, method in METHODS.items()}
    assert all(one.models == 7 and one.edges == 6 for one in found.values())
    assert found["mother"].exact == 7
    assert max(one.exact for name, one in found.items() if not name.startswith("mother")) < 7, (
        "none of them knows merges"
    )


def test_scores_tell_right_wrong_reversed_and_declined_apart() -> None:
    posed = Case(
        tree="t",
        architecture="vit",
        shape="uneven",
        withheld=0.4,
        models=dict.fromkeys("abcd"),
        order=("a", "b", "c", "d"),
        families=1,
        parents={"a": frozenset(), "b": frozenset("a"), "c": frozenset("b"), "d": frozenset()},
        surrogates={"a": frozenset(), "b": frozenset(), "c": frozenset(), "d": frozenset("c")},
    )
    found = score(posed, {"a": frozenset("b"), "b": None, "c": frozenset("b"), "d": frozenset("c")})
    assert found == Score(
        models=4,
        exact=1,
        surrogate=1,
        declined=1,
        edges=2,
        said=3,
        linked=2,
        decided=2,
        directed=1,
        roots=2,
        roots_found=0,
    )
    value, low, high = rate([found, found], "direction")
    assert value == low == high == 0.5
    shown = {what: rate([found], what)[0] for what in RATES}
    assert np.isnan(shown.pop("root of the tree")), "no family's root is known here"
    assert all(0 <= value <= 1 for value in shown.values())
    assert shown["edge F1"] == pytest.approx(2 * 2 / (3 + 2))


def test_distances_and_kurtosis_are_those_of_the_weights(tree: Path) -> None:
    posed = case(tree, 0.0, 1)
    ids = named(posed, list(PARENTS))
    measured = distances(posed.models, [ids["base"], ids["tuned"]])
    base = root(1)
    tuned = finetuned(base, 2, 0.2)
    matrices = [name for name, value in base.items() if value.ndim >= 2]
    expected = np.mean([np.sqrt(np.square(base[name].astype(np.float64) - tuned[name]).mean()) for name in matrices])
    assert measured.full[0, 1] == pytest.approx(expected, rel=0.1)  # sketches
    weights = [base[name].astype(np.float64) for name in matrices if base[name].size > 64]
    kurtosis = [((w - w.mean()) ** 4).mean() / w.var() ** 2 for w in weights]
    assert measured.kurtosis[0] == pytest.approx(np.mean(kurtosis), rel=1e-6)
