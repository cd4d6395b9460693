from __future__ import annotations

import random
import re
import time
from itertools import combinations, pairwise

from hypothesis import given, settings
from tree_samples import chain, edge, everything, long_trees, star, tree, trees, uri

from mlflow_mother.export.layout import Layout, PlacedEdge, PlacedNode, layout
from mlflow_mother.types import ModelTree, Node, Relation

ROUNDED = 0.1 + 1e-6
"""A box's end and the plan's are each rounded to a tenth, and sums of tenths to a float."""


def corners(path: str) -> list[tuple[float, float]]:
    """End points of the straight stretches, a bend taken at its corner."""
    found = []
    for command, numbers in re.findall(r"([MLQ])([^MLQ]*)", path):
        values = [float(number) for number in numbers.split()]
        found.append((values[0], values[1]))
        if command == "Q":
            found.append((values[2], values[3]))
    return found


def crosses(line: PlacedEdge, box: PlacedNode) -> bool:
    """Whether a line runs through the inside of a box."""
    return any(
        min(x0, x1) < box.x + box.width - 1
        and max(x0, x1) > box.x + 1
        and min(y0, y1) < box.y + box.height - 1
        and max(y0, y1) > box.y + 1
        for (x0, y0), (x1, y1) in pairwise(corners(line.path))
    )


def check(plan: Layout) -> None:
    for a, b in combinations(plan.nodes, 2):
        apart = a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
        assert apart, f"{a.id} lies on {b.id}"
    for box in plan.nodes:
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= plan.width + ROUNDED
        assert box.y + box.height <= plan.height + ROUNDED
    for line in plan.edges:
        width, height = plan.width + ROUNDED, plan.height + ROUNDED
        assert all(-ROUNDED <= x <= width and -ROUNDED <= y <= height for x, y in corners(line.path))
        hit = [box.id for box in plan.nodes if crosses(line, box)]
        assert not hit, f"the line from {line.parent} to {line.child} runs through {hit}"


@settings(max_examples=200, deadline=None)
@given(trees())
def test_no_box_lies_on_another_and_no_line_runs_through_a_box(sample: ModelTree):
    check(layout(sample))


@settings(max_examples=60, deadline=None)
@given(long_trees())
def test_the_same_holds_for_folded_chains(sample: ModelTree):
    check(layout(sample))


@settings(max_examples=60, deadline=None)
@given(trees())
def test_lines_of_different_parents_do_not_run_over_each_other(sample: ModelTree):
    upright = [
        (line, x0, min(y0, y1), max(y0, y1))
        for line in layout(sample).edges
        for (x0, y0), (x1, y1) in pairwise(corners(line.path))
        if abs(x0 - x1) < 0.2
    ]
    for (a, x, low, high), (b, other_x, other_low, other_high) in combinations(upright, 2):
        if {a.parent, a.child}.isdisjoint({b.parent, b.child}) and abs(x - other_x) < 2:
            assert min(high, other_high) - max(low, other_low) < 1, (a, b)


@settings(max_examples=60, deadline=None)
@given(trees())
def test_the_order_of_nodes_and_edges_does_not_matter(sample: ModelTree):
    shuffled = random.Random(0)
    nodes, edges = list(sample.nodes), list(sample.edges)
    shuffled.shuffle(nodes)
    shuffled.shuffle(edges)
    assert layout(ModelTree(nodes=tuple(nodes), edges=tuple(edges), roots=sample.roots)) == layout(sample)


def test_a_layout_survives_json():
    plan = layout(everything())
    assert Layout.model_validate_json(plan.model_dump_json()) == plan


def test_children_stand_right_of_their_parent():
    plan = layout(everything())
    at = {box.id: box for box in plan.nodes}
    assert all(at[line.child].x > at[line.parent].x + at[line.parent].width for line in plan.edges)


def test_an_undecided_edge_has_no_arrow():
    heads = {line.child: line.head for line in layout(everything()).edges}
    assert heads.pop("models:/ocr/2") is None
    assert all(heads.values())


def test_branches_are_ordered_so_that_merges_do_not_cross():
    names = [uri(i) for i in range(7)]
    sample = tree(
        names,
        [edge(names[0], names[i]) for i in range(1, 6)]
        + [edge(names[i], names[6], Relation.MERGE, weight=w) for i, w in ((1, 0.6), (5, 0.4))],
    )
    order = sorted((box.y, box.id) for box in layout(sample).nodes if box.id in names[1:6])
    places = [node_id for _, node_id in order]
    assert abs(places.index(names[1]) - places.index(names[5])) == 1


def test_a_long_chain_is_folded():
    plan = layout(chain(40))
    assert plan.width < 2000
    assert len({box.y for box in plan.nodes}) > 3


def test_the_root_of_a_tall_star_stays_near_the_top():
    plan = layout(star(100))
    root = next(box for box in plan.nodes if box.id == uri(0))
    assert plan.height > 2000
    assert root.y < 200


def test_many_families_fill_a_page_of_readable_proportions():
    sample = tree(
        [uri(i, f"m{k}") for k in range(40) for i in range(3)],
        [edge(uri(0, f"m{k}"), uri(i, f"m{k}")) for k in range(40) for i in (1, 2)],
    )
    plan = layout(sample)
    assert 0.8 < plan.width / plan.height < 2.5


def test_loners_stand_in_a_grid_below_the_families():
    plan = layout(tree([*everything().nodes, *(f"lone{i}" for i in range(30))], list(everything().edges)))
    lowest = max(box.y for box in plan.nodes if box.id == uri(7))
    loners = [box for box in plan.nodes if box.id.startswith("lone")]
    assert all(box.y > lowest for box in loners)
    assert len({box.x for box in loners}) > 3
    assert [caption.text for caption in plan.captions] == ["No relatives found"]


def test_long_names_are_cut_in_the_middle():
    long = "a-registered-model-" + "x" * 200 + "-with-a-telling-end"
    (box,) = layout(ModelTree(nodes=(Node(id=uri(3, long)),))).nodes
    assert box.name.startswith("a-reg")
    assert box.name.endswith("-end")
    assert "…" in box.name
    assert box.detail == "v3"
    assert box.width < 300


def test_two_thousand_nodes_are_placed_within_seconds():
    chance = random.Random(7)
    names = [uri(i) for i in range(2000)]
    edges = [edge(names[int(i * chance.random() ** 2)], names[i]) for i in range(1, 2000)]
    edges += [edge(names[chance.randrange(i)], names[i], Relation.MERGE) for i in range(100, 2000, 20)]
    start = time.perf_counter()
    plan = layout(tree(names, edges))
    assert time.perf_counter() - start < 10
    assert plan.dense
