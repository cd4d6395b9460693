"""Trees from edges: lasting names, numbers for people, and the nearest part of a family."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.registry.tags import root_of
from mlflow_mother.service.families import (
    MAX_LINEAGE,
    changed,
    component,
    heritage,
    lineage_of,
    renamed,
    tree_of,
    with_lasting_names,
    with_numbers,
)
from mlflow_mother.types import Edge, ModelTree, Node, Relation

MODELS = [f"models:/m/{i}" for i in range(1, 9)]
ANCESTORS = ["unregistered:1", "unregistered:2"]


def edge(parent: str, child: str) -> Edge:
    return Edge(parent=parent, child=child, relation=Relation.FINETUNE, probability=0.9)


@st.composite
def forests(draw: st.DrawFn) -> ModelTree:
    """Each node's parent comes before it, so that there are no circles."""
    order = draw(st.permutations([*MODELS, *ANCESTORS]))
    edges = []
    for place, child in enumerate(order[1:], 1):
        if draw(st.booleans()):
            edges.append(edge(order[draw(st.integers(0, place - 1))], child))
    return tree_of(edges, {name: Node(id=name) for name in MODELS})


@given(forests())
def test_lasting_names_do_not_depend_on_numbers(tree: ModelTree) -> None:
    swapped = renamed(tree, {ANCESTORS[0]: ANCESTORS[1], ANCESTORS[1]: ANCESTORS[0]})
    once = {node.id for node in with_lasting_names(tree).nodes}
    assert once == {node.id for node in with_lasting_names(swapped).nodes}


@given(forests())
def test_numbers_are_dense_and_stable(tree: ModelTree) -> None:
    numbered = with_numbers(with_lasting_names(tree))
    loose = [node.id for node in numbered.nodes if node.kind == "unregistered"]
    assert loose == [f"unregistered:{i}" for i in range(1, len(loose) + 1)]
    assert with_numbers(numbered) == numbered
    assert len(numbered.edges) == len(tree.edges)


@given(forests())
def test_unregistered_ancestors_connect_at_least_two_nodes(tree: ModelTree) -> None:
    for node in tree.nodes:
        if node.kind == "unregistered":
            assert len([e for e in tree.edges if node.id in (e.parent, e.child)]) >= 2


@given(forests())
def test_a_tree_is_the_sum_of_its_nodes_own_edges(tree: ModelTree) -> None:
    own = {e for name in MODELS for e in heritage(tree.edges, name)}
    assert tree_of(own, {name: Node(id=name) for name in MODELS}).edges == tuple(e for e in tree.edges if e in own)


def test_a_lineage_holds_the_nearest_nodes() -> None:
    chain = [edge(f"models:/m/{i}", f"models:/m/{i + 1}") for i in range(1, 1000)]
    nodes = {f"models:/m/{i}": Node(id=f"models:/m/{i}") for i in range(1, 1001)}
    found = lineage_of("models:/m/500", "d", chain, nodes)
    assert len(found.nodes) == MAX_LINEAGE
    kept = sorted(int(node.id.rpartition("/")[2]) for node in found.nodes)
    assert kept == list(range(kept[0], kept[0] + MAX_LINEAGE))
    assert kept[0] < 500 < kept[-1]


def test_a_component_follows_edges_both_ways() -> None:
    edges = [edge("models:/a/1", "models:/b/1"), edge("models:/c/1", "models:/b/1"), edge("models:/x/1", "models:/y/1")]
    assert component(edges, "models:/a/1") == {"models:/a/1", "models:/b/1", "models:/c/1"}


@given(forests(), forests())
def test_who_has_other_edges_or_another_root_than_before_has_changed(before: ModelTree, after: ModelTree) -> None:
    def said(tree: ModelTree, name: str) -> object:
        lineage = lineage_of(name, "digest", tree.edges, {model: Node(id=model) for model in MODELS})
        own = {(one.parent, one.child) for one in tree.edges if name in (one.parent, one.child)}
        return own, root_of(lineage)

    assert set(MODELS) & changed(before.edges, after.edges) == {
        name for name in MODELS if said(before, name) != said(after, name)
    }


def test_all_below_a_new_root_have_changed() -> None:
    chain = [edge(parent, child) for parent, child in pairwise(MODELS[1:])]
    assert changed(chain, [edge(MODELS[0], MODELS[1]), *chain]) == set(MODELS)
    assert changed(chain, chain) == set()
