"""Versions find their parents, whatever the order in which they come."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from registry_samples import Bench, Weights, finetuned, network

from mlflow_mother.service import Service
from mlflow_mother.types import Lineage, ModelTree

ROOT = network(0)
LEFT = finetuned(ROOT, 1)
RIGHT = finetuned(ROOT, 2)
GRANDCHILD = finetuned(LEFT, 3)
STRANGER = network(99)

FAMILY: dict[str, Weights] = {
    "root": ROOT,
    "left": LEFT,
    "right": RIGHT,
    "grandchild": GRANDCHILD,
    "stranger": STRANGER,
}
TRUE_EDGES = {("root", "left"), ("root", "right"), ("left", "grandchild")}


def edges_by_model(tree: ModelTree) -> set[tuple[str, str]]:
    def model(uri: str) -> str:
        return uri.removeprefix("models:/").partition("/")[0]

    return {(model(edge.parent), model(edge.child)) for edge in tree.edges if edge.direction == "decided"}


ORDERS = [*itertools.islice(itertools.permutations(FAMILY), 0, 120, 37)]
"""From parents first to children first."""


@pytest.mark.parametrize(
    "order", [ORDERS[0], ORDERS[-1], *(pytest.param(order, marks=pytest.mark.full) for order in ORDERS[1:-1])]
)
def test_the_tree_is_the_same_whatever_the_order_of_registration(
    sqlite: Bench, service: Service, order: tuple[str, ...]
) -> None:
    for name in order:
        sqlite.register(name, FAMILY[name])
    assert edges_by_model(service.tree()) == TRUE_EDGES
    for child, parent in (("left", "root"), ("right", "root"), ("grandchild", "left")):
        assert sqlite.mother(f"models:/{child}/1")["parent"] == f"models:/{parent}/1"
        assert sqlite.mother(f"models:/{child}/1")["root"] == "models:/root/1"
    assert "parent" not in sqlite.mother("models:/stranger/1")
    assert {sqlite.mother(f"models:/{name}/1")["status"] for name in FAMILY} == {"done"}


def test_a_parent_that_comes_after_its_child_revises_it(sqlite: Bench, service: Service) -> None:
    child = sqlite.register("left", LEFT)
    assert "parent" not in sqlite.mother(child)
    parent = sqlite.register("root", ROOT)
    assert sqlite.mother(child)["parent"] == parent
    reasons = [made.reason for made in service.store.history(service.registry.parse(child))]
    assert reasons == ["", f"revised with {parent}"]


def test_a_parent_in_between_takes_over(sqlite: Bench, service: Service) -> None:
    sqlite.register("root", ROOT)
    grandchild = sqlite.register("grandchild", GRANDCHILD)
    assert sqlite.mother(grandchild)["parent"] == "models:/root/1"
    sqlite.register("left", LEFT)
    assert sqlite.mother(grandchild)["parent"] == "models:/left/1"


def test_a_deleted_parent_leaves_the_tree(sqlite: Bench, service: Service) -> None:
    sqlite.register("root", ROOT)
    child = sqlite.register("left", LEFT)
    sqlite.client.delete_registered_model("root")
    report = service.reconcile()
    assert report.forgotten == 1
    assert [node.id for node in service.tree().nodes] == [child]
    assert "parent" not in sqlite.mother(child)


def test_a_human_decision_survives_every_new_inference(sqlite: Bench, service: Service) -> None:
    child = service.registry.parse(sqlite.register("left", LEFT))
    decided = service.store.decide(child, "corrected", "models:/elsewhere/1", by="auditor")
    sqlite.register("root", ROOT)
    service.infer(child)
    assert service.store.decisions(service.registry.id)[child] == (decided,)


def test_lineage_json_is_a_lineage_with_numbered_ancestors(sqlite: Bench, service: Service) -> None:
    sqlite.register("left", LEFT)
    right = sqlite.register("right", RIGHT)
    version = sqlite.client.get_model_version("right", "1")
    path = sqlite.client.download_artifacts(version.run_id, "mother/right/1/lineage.json", str(sqlite.folder))
    lineage = Lineage.model_validate_json(Path(path).read_text())
    assert lineage.subject == right
    unregistered = [node.id for node in lineage.nodes if node.kind == "unregistered"]
    assert unregistered in ([], ["unregistered:1"])
    assert service.show(service.registry.parse(right)).edges == lineage.edges


def test_ancestors_and_descendants(sqlite: Bench, service: Service) -> None:
    for name in ("root", "left", "grandchild"):
        sqlite.register(name, FAMILY[name])
    parse = service.registry.parse
    assert [(kin.ref.name, kin.depth) for kin in service.ancestors(parse("models:/grandchild/1"))] == [
        ("left", 1),
        ("root", 2),
    ]
    assert [kin.ref.name for kin in service.descendants(parse("models:/root/1"))] == ["left", "grandchild"]


def test_a_second_analysis_changes_nothing(sqlite: Bench, service: Service) -> None:
    sqlite.register("root", ROOT)
    child = service.registry.parse(sqlite.register("left", LEFT))
    before = service.store.history(child)
    service.infer(child)
    assert service.store.history(child) == before
