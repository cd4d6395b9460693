"""What is said of a family: merges have children, nobody is his own ancestor, and one parent is one."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import pytest
from heritage_samples import arrows, base, recovered

from mlflow_mother.testing.trees import Weights, finetuned, merged
from mlflow_mother.types import Relation


@pytest.fixture(scope="module")
def heirs() -> dict[str, Weights]:
    """A merge of two fine-tunes, two fine-tunes of the merge, and one of these."""
    small = base(1, 32, 3)
    models = {"root": small, "one": finetuned(small, 2), "other": finetuned(small, 3)}
    models["merge"] = merged([(models["one"], 0.5), (models["other"], 0.5)])
    models["heir"] = finetuned(models["merge"], 5, size=0.1)
    models["brother"] = finetuned(models["merge"], 6, size=0.1)
    models["grandchild"] = finetuned(models["heir"], 7, size=0.1)
    return models


@pytest.mark.parametrize("withheld", [(), ("root",), ("brother", "grandchild"), ("root", "brother", "grandchild")])
def test_what_descends_from_a_merge_gets_it_for_a_parent(heirs: dict[str, Weights], withheld: tuple[str, ...]) -> None:
    present = heirs.keys() - set(withheld)
    found = arrows(recovered({name: heirs[name] for name in sorted(present)}).edges)
    truth = {("one", "merge"), ("other", "merge"), ("merge", "heir"), ("merge", "brother"), ("heir", "grandchild")}
    assert {edge for edge in truth if present.issuperset(edge)} <= found
    assert not {edge for edge in found - truth if edge[0] in heirs.keys() - {"root"}}


@pytest.mark.parametrize("withheld", [(), ("root",), ("merge",), ("root", "merge")])
def test_nobody_is_an_ancestor_of_his_own(heirs: dict[str, Weights], withheld: tuple[str, ...]) -> None:
    tree = recovered({name: heirs[name] for name in sorted(heirs.keys() - set(withheld))})
    assert nx.is_directed_acyclic_graph(nx.DiGraph(arrows(tree.edges)))


def test_without_a_merge_nobody_has_two_decided_parents() -> None:
    """The parents' marginals here make a root most probably the parent of a model that has one already."""
    seed, top = 148482, base(148482, 16, 2)
    one, other = finetuned(top, seed + 1, size=0.05), finetuned(top, seed + 2, size=0.05)
    near = finetuned(merged([(one, 0.5), (other, 0.5)]), seed + 3, size=0.03)
    models = {"A": one, "B": other, "O": near, "O2": finetuned(near, seed + 4, size=0.1)}
    edges = [edge for edge in recovered(models).edges if edge.relation is not Relation.MERGE]
    assert edges
    assert max(Counter(edge.child for edge in edges if edge.direction == "decided").values()) == 1
