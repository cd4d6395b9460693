from __future__ import annotations

from hypothesis import given, settings
from tree_samples import edge, everything, tree, trees, uri

from mlflow_mother.export.structure import families
from mlflow_mother.types import ModelTree, Relation


def generations(sample: ModelTree) -> dict[str, int]:
    return {member: g for family in families(sample) for member, g in family.generation.items()}


def test_families_are_the_connected_parts_and_the_largest_comes_first():
    assert [len(family.members) for family in families(everything())] == [7, 3, 2, 1, 1]


def test_a_generation_is_the_longest_way_from_a_root():
    sample = tree(["a", "b", "c"], [edge("a", "b"), edge("b", "c"), edge("a", "c", Relation.MERGE)])
    assert generations(sample) == {"a": 0, "b": 1, "c": 2}


def test_a_merge_hangs_from_its_heaviest_parent_of_the_generation_before():
    sample = tree(
        ["a", "b", "m"], [edge("a", "m", Relation.MERGE, weight=0.3), edge("b", "m", Relation.MERGE, weight=0.7)]
    )
    (family,) = families(sample)
    assert family.spine["m"].start == "b"


def test_members_are_in_natural_order():
    sample = tree([uri(12), uri(2), uri(1)], [edge(uri(1), uri(2)), edge(uri(1), uri(12))])
    assert families(sample)[0].branches()[uri(1)] == [uri(2), uri(12)]


def test_an_undecided_edge_joins_the_smaller_group_to_the_larger_one():
    sample = tree(["a", "p", "q", "r"], [edge("p", "q"), edge("p", "r"), edge("a", "p", direction="undecided")])
    assert generations(sample) == {"p": 0, "q": 1, "r": 1, "a": 1}


def test_a_cycle_and_edges_to_nowhere_do_no_harm():
    sample = tree(["a", "b"], [edge("a", "b"), edge("b", "a"), edge("a", "gone"), edge("a", "a")])
    assert generations(sample) == {"a": 0, "b": 1}


@settings(max_examples=150, deadline=None)
@given(trees())
def test_every_node_is_in_one_family_and_every_spine_link_leads_one_generation_back(sample: ModelTree):
    found = families(sample)
    assert sorted(m for family in found for m in family.members) == sorted(n.id for n in sample.nodes)
    for family in found:
        assert min(family.generation.values()) == 0
        assert all(family.span(link) == 1 for link in family.spine.values())
        assert all(family.span(link) >= 0 for link in family.links)
