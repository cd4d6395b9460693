"""The accuracy lab's metrics on answers made by hand, whose rates can be counted on fingers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.accuracy.calibration import Judged, by_default, calibration, coverage_at, curve, judge
from benchmarks.accuracy.cases import Case, Network
from benchmarks.accuracy.engine import Claim, answer_of, claims, undecided
from benchmarks.accuracy.goals import Goal
from benchmarks.accuracy.relations import children
from benchmarks.accuracy.scores import RATES, Score, rate, rates, score, share
from benchmarks.accuracy.strangers import Pairs, auc, false_edges, kind_of, upper_bound
from mlflow_mother.types import Edge, ModelTree, Node, Relation

NONE: frozenset[str] = frozenset()


def posed(parents: Mapping[str, str], networks: Mapping[str, Network] | None = None, **more: object) -> Case:
    """A case of models with names of one letter."""
    known = {"surrogates": dict.fromkeys(parents, NONE), "withheld": 0.0, **more}
    return Case(
        tree="t",
        architecture="vit",
        shape="uneven",
        models=dict.fromkeys(parents),
        order=tuple(parents),
        families=1,
        parents={child: frozenset(found) for child, found in parents.items()},
        networks=networks or {},
        **known,
    )


def network(name: str, kind: str = "finetune", origin: str = "a", **more: object) -> Network:
    known = {"change": kind, "relation": kind, "rank": None, "shares": {}, "complete": True, "stored": "F32", **more}
    return Network(name=name, kind=kind, origin=origin, **known)


def claim(parent: str, child: str, probability: float = 0.9, *, decided: bool = True, **more: object) -> Claim:
    known = {"direction_probability": 0.9, "relation": "finetune", "rank": None, "weight": 1.0, **more}
    return Claim(parent=parent, child=child, probability=probability, decided=decided, **known)


def test_scores_tell_right_wrong_reversed_and_declined_apart() -> None:
    case = posed({"a": "", "b": "a", "c": "b", "d": ""}, surrogates={"a": NONE, "b": NONE, "c": NONE, "d": {"c"}})
    found = score(case, {"a": frozenset("b"), "b": None, "c": frozenset("b"), "d": frozenset("c")})
    expected = Score(
        models=4, exact=1, surrogate=1, declined=1, edges=2, said=3, linked=2, decided=2, directed=1, roots=2
    )
    assert found == expected
    assert rate([found, found], "direction") == (0.5, 0.5, 0.5)
    shown = {what: rate([found], what)[0] for what in RATES}
    assert np.isnan(shown.pop("root of the tree")), "no family's root is known here"
    assert all(0 <= value <= 1 for value in shown.values())
    assert shown["edge F1"] == pytest.approx(2 * 2 / (3 + 2))


def test_an_undecided_link_counts_as_linked_but_not_as_directed_or_exact() -> None:
    found = (claim("b", "a", decided=False), claim("b", "c"))
    answer = answer_of(found, "abc")
    assert answer == {"a": None, "b": None, "c": frozenset("b")}
    counted = score(posed({"a": "", "b": "a", "c": "b"}), answer, undecided(found))
    assert (counted.exact, counted.declined, counted.linked, counted.decided, counted.directed) == (1, 2, 2, 1, 1)
    assert counted.roots_found == 0


def test_the_root_of_a_tree_is_found_when_most_stand_below_it() -> None:
    case = posed({"a": "", "b": "a", "c": "a", "d": "c"}, {name: network(name) for name in "abcd"})
    below = {"a": NONE, "b": frozenset("a"), "c": frozenset("b"), "d": NONE}
    assert (score(case, below).trees, score(case, below).trees_rooted) == (1, 1)
    assert score(case, {**below, "b": NONE}).trees_rooted == 0, "nobody is left below it"
    assert score(case, {**below, "a": None}).trees_rooted == 0
    assert score(case, {**below, "a": frozenset("d"), "d": frozenset("c")}).trees_rooted == 0, "a circle"


def test_intervals_come_from_whole_trees() -> None:
    good, bad = Score(models=100, exact=100), Score(models=100, exact=0)
    two = rates([("one", good), ("two", bad)])["exact parents"]
    assert two == (0.5, 0.0, 1.0), "200 models of two trees are two observations"
    many = rates([(str(n), good if n % 2 else bad) for n in range(100)])["exact parents"]
    assert many[0] == 0.5 and 0.35 < many[1] < 0.45 and 0.55 < many[2] < 0.65
    drawn_twice = rates([("one", good), ("one", bad)])["exact parents"]
    assert drawn_twice[0] == 0.5 and np.isnan(drawn_twice[1:]).all(), "draws of one tree are one observation"
    assert share([("one", True), ("one", True), ("two", False)])[0] == pytest.approx(2 / 3)


def test_a_difference_between_methods_is_taken_tree_by_tree() -> None:
    scores = [(str(n), Score(models=10, exact=n)) for n in range(2, 10)]
    worse = [(tree, Score(models=10, exact=one.exact - 2)) for tree, one in scores]
    value, low, high = rates(scores, worse)["exact parents"]
    assert value == pytest.approx(0.2) and low == pytest.approx(0.2) and high == pytest.approx(0.2)


def test_edges_over_an_unregistered_ancestor_are_one_claim() -> None:
    def edge(parent: str, child: str, probability: float, direction: str = "decided") -> Edge:
        return Edge(
            parent=parent, child=child, relation=Relation.FINETUNE, probability=probability, direction=direction
        )

    nodes = (Node(id="a"), Node(id="b"), Node(id="c"), Node(id="u", kind="unregistered"))
    edges = (edge("a", "u", 0.8), edge("u", "b", 0.5), edge("u", "c", 0.9), edge("b", "c", 0.6, "undecided"))
    found = claims(ModelTree(nodes=nodes, roots=("a",), edges=edges))
    said = {(one.parent, one.child): (pytest.approx(one.probability), one.decided) for one in found}
    assert said == {("a", "b"): (0.4, True), ("a", "c"): (0.72, True), ("b", "c"): (0.6, False)}
    assert answer_of(found, "abc") == {"a": NONE, "b": frozenset("a"), "c": frozenset("a")}


def test_relations_ranks_shares_and_directions_are_read_off_the_claims() -> None:
    networks = {
        "a": network("a", "root", relation=None),
        "b": network("b", "lora", relation="lora-merged", rank=8, shares={"a": 1.0}),
        "c": network("c", "soup", relation="merge", shares={"a": 0.7, "b": 0.3}),
        "d": network("d", "cast", relation="cast", shares={"b": 1.0}),
        "e": network("e", "slerp", relation="merge", shares={"a": None, "b": None}),
        "f": network("f", "finetune", relation="finetune", shares={}, complete=False),
        "g": network("g", "adapter", relation="adapter", shares={"a": 1.0}),
    }
    found = children(
        posed(dict.fromkeys("abcdefg", ""), networks),
        (
            claim("a", "b", relation="lora-merged", rank=4),
            claim("a", "c", relation="merge", weight=0.65),
            claim("b", "c", relation="merge", weight=0.25),
            claim("f", "c", relation="merge", weight=0.1),
            claim("d", "b", 0.2, decided=False),
            claim("e", "a"),
        ),
    )
    by_kind = {child.kind: child for child in found}
    assert set(by_kind) == {"lora", "soup", "cast", "slerp"}, "neither adapters nor children of missing parents"
    lora, soup, cast, slerp = (by_kind[kind] for kind in ("lora", "soup", "cast", "slerp"))
    assert (lora.said, lora.rank, lora.rank_said, lora.direction) == ("lora-merged", 8, 4, "right")
    assert (soup.all_found, soup.exact, soup.error) == (True, False, pytest.approx(0.1))
    assert (cast.said, cast.direction) == (None, "undecided")
    assert (slerp.direction, slerp.all_found, slerp.error) == ("reversed", False, None)


def judged(said: list[float], right: list[bool], *, tree: str = "t", weight: float = 1.0, **more: object) -> Judged:
    columns = {"probability": said, "right": right, "direction": said, "directed": right, "forced": said}
    columns |= {"forced_right": right, "answers": said, "answered": right, **more}
    return Judged(tree, 0.0, weight, **{name: np.array(values, float) for name, values in columns.items()})


def test_calibration_is_zero_for_the_honest_and_large_for_the_boastful() -> None:
    said = [0.1] * 10 + [0.9] * 10
    honest = calibration([judged(said, [True] + [False] * 9 + [True] * 9 + [False])], "probability")
    assert honest.error[0] == pytest.approx(0.0) and honest.brier[0] == pytest.approx(0.09)
    assert [(one.said, one.right[0]) for one in honest.bins] == [pytest.approx((0.1, 0.1)), pytest.approx((0.9, 0.9))]
    boastful = calibration([judged([0.9] * 10, [True] * 5 + [False] * 5)], "direction")
    assert boastful.error[0] == pytest.approx(0.4) and boastful.brier[0] == pytest.approx(0.5 * (0.01 + 0.81))


def test_bins_have_equal_mass() -> None:
    chance = np.random.default_rng(0)
    said = chance.random(1000) ** 4
    found = calibration([judged(said.tolist(), (chance.random(1000) < said).tolist())], "probability")
    assert [one.weight for one in found.bins] == [100] * 10
    assert found.error[0] < 0.03


def test_cases_of_several_draws_count_in_part() -> None:
    cases = [judged([0.8], [True]), judged([0.8], [False], weight=0.2), judged([0.8], [False], weight=0.2)]
    assert calibration(cases, "probability").bins[0].right[0] == pytest.approx(1 / 1.4)
    assert by_default(cases)[0][0] == pytest.approx(1 / 1.4)


def test_coverage_is_what_is_answered_at_the_precision() -> None:
    one = judged([0.9, 0.8, 0.7, 0.6], [True, True, False, True], answers=[0.9, 0.8, 0.6, 0.0], answered=[1, 1, 1, 0])
    thresholds, precision, covered = curve([one])
    assert thresholds.tolist() == [0.9, 0.8, 0.7, 0.6]
    assert precision.tolist() == pytest.approx([1, 1, 2 / 3, 3 / 4])
    assert covered.tolist() == pytest.approx([0.25, 0.5, 0.5, 0.75])
    assert coverage_at([one], 0.95, draws=5)[0] == 0.5
    assert coverage_at([one], 0.75, draws=5)[0] == 0.75
    assert [found[0] for found in by_default([one])] == [0.75, 0.75]


def test_claims_are_judged_by_edges_and_by_directions() -> None:
    found = judge(
        posed({"a": "", "b": "a", "c": "b"}),
        (claim("a", "b", 0.9), claim("c", "b", 0.6), claim("a", "c", 0.7), claim("b", "a", decided=False)),
        (claim("a", "b", 0.9), claim("a", "c", 0.7)),
        draws=2,
    )
    assert (found.weight, found.right.tolist()) == (0.5, [1, 0, 0])
    assert found.directed.tolist() == [1, 0], "that c descends from a is no question of direction"
    assert found.answers.tolist() == [0.9, 0.7] and found.answered.tolist() == [1, 1]


def test_kinds_of_strangers() -> None:
    root, tuned = network("root", "root"), network("tuned")
    same, student = network("s", "same-start", "s"), network("d", "student", "d")
    assert kind_of(root, tuned) == "relatives"
    assert kind_of(tuned, same) == "same-start" == kind_of(same, network("t", "same-start", "t"))
    assert kind_of(same, student) == "other-seed", "neither resembles the other"
    assert kind_of(root, network("z", "root", "z")) == "another root's"


def test_no_false_edge_seen_leaves_a_bound() -> None:
    assert upper_bound(0, 1000) == pytest.approx(3 / 1000, rel=0.01), "the rule of three"
    assert upper_bound(5, 5) == 1.0

    def pairs(kind: str, tree: str, parents: int, related: list[float]) -> Pairs:
        return Pairs(kind, (tree, tree), 50, parents, 1, np.array(related))

    measured = [
        pairs("relatives", "t", 40, [0.9, 0.2]),
        pairs("student", "t", 0, [0.1]),
        pairs("student", "u", 5, [0.2]),
    ]
    found = false_edges(measured, "student")
    assert found is not None and false_edges(measured, "same-start") is None
    assert (found.pairs, found.edges, found.undecided, found.rate) == (100, 5, 2, (0.05, 0.0, 0.1))
    assert (found.touched, found.clusters) == (1, 2)
    assert found.auc[0] == pytest.approx((1 + 1 + 1 + 0.5) / 4)


def test_pairs_across_trees_are_drawn_with_both() -> None:
    measured = [Pairs("another tree's", ("a", other), 50, n, 0, np.zeros(1)) for other, n in (("b", 5), ("c", 0))]
    found = false_edges(measured, "another tree's")
    assert found is not None and found.rate == (0.05, 0.0, pytest.approx(0.1)), "b or c alone, where a is drawn too"
    assert np.isnan(found.auc[0]), "there are no relatives to tell them from"


def test_area_under_the_curve_takes_weights_and_ties() -> None:
    positive, negative = np.array([0.9, 0.5]), np.array([0.5, 0.1])
    assert auc(positive, negative, np.ones(2), np.ones(2)) == pytest.approx(3.5 / 4)
    assert auc(positive, negative, np.array([0.0, 1.0]), np.array([3.0, 1.0])) == pytest.approx((3 * 0.5 + 1) / 4)


def test_goals_are_met_missed_or_not_measured() -> None:
    spread = (0.0, 1.0)
    assert [Goal("", ">=", 0.9, (value, *spread)).met for value in (0.9, 0.89, float("nan"))] == [True, False, None]
    assert Goal("", "<=", 0.0, (0.0, *spread)).met and not Goal("", ">", 0.0, (0.0, *spread)).met
