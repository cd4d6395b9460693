"""The accuracy lab: cases hold the truth about what is left, every method answers them, and all of it is reported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from family_samples import finetuned, root
from safetensors.numpy import save_file

from benchmarks.accuracy.cases import Case, Grown, case
from benchmarks.accuracy.distances import distances
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.report import document, report
from benchmarks.accuracy.running import measure
from benchmarks.accuracy.scores import score
from benchmarks.accuracy.strangers import across
from benchmarks.accuracy.tables import tables

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
    change = "finetune rate=1.0" if kind == "finetune" else kind
    return {"parents": PARENTS[name], "kind": kind, "change": change, "relation": RELATIONS[kind], "rank": None}


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


def test_an_ancestor_is_not_the_nearest_where_another_lies_between(tree: Path) -> None:
    grown = Grown(tree)
    grown.facts["base"]["parents"] = {"stranger": 1.0}
    for seed in range(40):
        posed = grown.case(0.3, seed)
        ids = {network.name: i for i, network in posed.networks.items()}
        if not {"tuned", "base"} & set(ids) and {"other", "mixed", "stranger", "further"} <= set(ids):
            assert posed.parents[ids["mixed"]] == {ids["other"]}, "the stranger is behind it"
            assert posed.parents[ids["further"]] == posed.parents[ids["other"]] == {ids["stranger"]}
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


def test_an_adapter_and_what_is_permuted_are_reported_by_themselves(tree: Path) -> None:
    grown = Grown(tree)
    grown.facts["further"]["kind"] = "permuted"
    posed = grown.case(0.0, 1)
    ids = named(posed, list(PARENTS))
    assert posed.apart == {ids["further"]} and len(posed.edges) == 5
    found = {i: frozenset[str]() for i in posed.models}
    counted = score(posed, {**found, ids["further"]: frozenset({ids["other"]})})
    assert (counted.models, counted.apart, counted.apart_exact, counted.apart_wrong) == (6, 1, 0, 1)
    assert counted.said == 0, "a link to it is no false one"
    link = frozenset({ids["further"], ids["stranger"]})
    assert score(posed, found, frozenset({link})).said == 0, "nor is one without direction"


def test_half_of_the_children_declare_their_parents_and_some_are_wrong(tree: Path) -> None:
    grown = Grown(tree)
    wrong = said = 0
    for draw in range(60):
        posed = grown.case(0.0, 1, draw)
        assert len(posed.declared) == round(5 / 2)
        said += len(posed.declared)
        wrong += sum(frozenset(parents) != posed.parents[child] for child, parents in posed.declared.items())
    assert 0.03 < wrong / said < 0.2


def test_draws_withhold_different_networks_and_share_what_was_compared(tree: Path) -> None:
    grown = Grown(tree)
    left = {frozenset(network.name for network in grown.case(0.4, 1, draw).networks.values()) for draw in range(6)}
    assert len(left) > 2
    METHODS["mother"](grown.case(0.0, 1))
    known = len(grown.known.comparisons)
    METHODS["mother"](grown.case(0.4, 1, 3))
    assert known == len(grown.known.comparisons) > 0


def test_a_run_is_reported_in_tables_and_as_a_document(tree: Path) -> None:
    measured = measure(tree, [0.0, 0.4], draws=2, seed=0)
    assert [(run.withheld, run.scores["mother"].models) for run in measured.runs] == [(0.0, 7), (0.4, 4), (0.4, 4)]
    found = report([measured], [])
    assert found["conditions"]["all"]["0"]["methods"]["mother"]["exact parents"][0] == 1.0
    assert found["relations"]["right"][0] == found["relations"]["two parents found"][0] == 1.0
    assert found["relations"]["coefficients"]["largest error"] < 0.03
    assert found["strangers"]["other-seed"]["edges"] == 0 and found["strangers"]["other-seed"]["pairs"] == 6
    assert found["strangers"]["other-seed"]["auc"][0] == 1.0
    assert found["relations"]["changes"]["rate=1.0"]["right"][0] == 1.0
    text = "\n".join(tables(found))
    assert max(len(line) for line in text.splitlines()) <= 140
    assert "mother - best from weights" in text and "must hold" in text
    json.dumps(document(found), allow_nan=False)


@pytest.mark.full  # drawing takes seconds
def test_pictures_are_drawn(tree: Path, tmp_path: Path) -> None:
    from benchmarks.accuracy.plots import plots

    measured = measure(tree, [0.0, 0.4], draws=1, seed=0)
    for picture in plots(report([measured], []), [measured.slopes], tmp_path):
        assert picture.stat().st_size > 5000 and picture.with_suffix(".png").stat().st_size > 5000


def test_trees_of_one_architecture_are_strangers_unless_they_start_from_one_network(tree: Path) -> None:
    one, same, other = Grown(tree), Grown(tree), Grown(tree)
    same.name, other.name = "vit-same", "vit-other"
    other.models = dict.fromkeys(other.models, other.models["stranger"])
    assert not [some for some in across([one, same]) if some.pairs != 2 * 6]  # only the strangers with the others
    found = across([one, other])
    assert sum(some.pairs for some in found) == 6 * 7 and sum(some.parents for some in found) == 0


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
