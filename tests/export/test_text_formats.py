from __future__ import annotations

import json
import shutil
import subprocess

import networkx as nx
import pytest
from hypothesis import given, settings
from tree_samples import HOSTILE, edge, everything, hostile, tree, trees, uri

from mlflow_mother.export import edges_table, exporters, to_mermaid, to_text
from mlflow_mother.export.dot import to_dot
from mlflow_mother.export.graphml import to_graphml
from mlflow_mother.export.node_link import to_node_link
from mlflow_mother.export.terminal import columns_wide
from mlflow_mother.types import ModelTree, Relation


def test_formats_are_as_they_were(golden):
    golden("everything.mmd", to_mermaid(everything()))
    golden("everything.dot", to_dot(everything()))
    golden("everything.txt", to_text(everything()))
    golden("everything.ascii.txt", to_text(everything(), ascii_only=True))
    golden("everything.table.txt", edges_table(everything()))


@pytest.mark.parametrize("word", HOSTILE)
def test_a_name_stays_inside_its_mermaid_quotes(word: str):
    drawing = to_mermaid(hostile(word))
    assert drawing.count("\n") == to_mermaid(hostile("harmless")).count("\n")
    assert drawing.count('"') == to_mermaid(hostile("harmless")).count('"')
    assert not set("<>`\x1b") & set(drawing.replace("-->", ""))


@pytest.mark.parametrize("word", HOSTILE)
def test_no_name_reaches_a_terminal_with_control_characters(word: str):
    for drawing in (to_text(hostile(word)), edges_table(hostile(word))):
        assert all(character.isprintable() for character in drawing.replace("\n", ""))
        assert drawing.count("\n") == to_text(hostile("harmless")).count("\n") or "CHILD" in drawing


def test_the_ascii_drawing_is_ascii():
    assert to_text(hostile("识别模型"), ascii_only=True).isascii()


def test_each_node_has_exactly_one_line_of_its_own_in_the_terminal():
    lines = to_text(everything()).splitlines()
    own = [line for line in lines if "(listed elsewhere)" not in line]
    assert len(own) == len(everything().nodes)
    assert len(lines) - len(own) == 1


@settings(max_examples=80, deadline=None)
@given(trees())
def test_the_terminal_shows_every_node_and_every_edge(sample: ModelTree):
    lines = to_text(sample).splitlines()
    known = {node.id for node in sample.nodes}
    drawn = [e for e in sample.edges if {e.parent, e.child} <= known and e.parent != e.child]
    assert len([line for line in lines if "(listed elsewhere)" not in line]) == len(sample.nodes)
    assert len([line for line in lines if " → " in line or " ← " in line or " ┄ " in line]) == len(drawn)


def test_an_arrow_points_to_the_child_even_in_a_cycle():
    sample = tree(["a", "b"], [edge("a", "b"), edge("b", "a", Relation.CAST)])
    assert "finetune 0.97 → b" in to_text(sample)
    assert "cast 0.97 ← b" in to_text(sample)


def test_table_columns_are_aligned_for_wide_characters():
    sample = tree(["识别模型", "b"], [edge("识别模型", "b"), edge("b", "识别模型", Relation.CAST)])
    rows = edges_table(sample).splitlines()
    starts = {columns_wide(row[: row.index("0.97")]) for row in rows[1:]}
    assert len(starts) == 1


@pytest.mark.parametrize("word", ["harmless", *HOSTILE])
def test_graphml_is_read_back_by_networkx(word: str):
    graph = nx.parse_graphml(to_graphml(hostile(word)))
    assert len(graph.nodes) == 3
    assert sorted(attributes["relation"] for *_, attributes in graph.edges(data=True)) == ["finetune", "merge"]


def test_graphml_keeps_evidence_as_json():
    graph = nx.parse_graphml(to_graphml(everything()))
    evidence = json.loads(graph.edges[uri(1), uri(2)]["evidence"])
    assert evidence[0]["text"] == "The projection is 0.02 +- 0.01."


def test_node_link_json_is_read_back_by_networkx():
    data = json.loads(to_node_link(everything()))
    graph = nx.node_link_graph(data, edges="edges")
    assert graph.graph["roots"] == list(everything().roots)
    assert nx.utils.graphs_equal(nx.DiGraph(graph), _with_json_lists(everything()))


def _with_json_lists(sample: ModelTree) -> nx.DiGraph:
    graph = sample.to_networkx()
    graph.graph.update(schema_version=sample.schema_version, roots=list(sample.roots))
    return graph


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("word", ["harmless", *HOSTILE])
def test_graphviz_reads_dot(word: str):
    source = to_dot(hostile(word)).encode("utf-8")
    plain = subprocess.run(["dot", "-Tplain"], input=source, capture_output=True, check=True).stdout.decode()
    assert plain.count("\nnode ") == 3
    assert plain.count("\nedge ") == 2


def test_every_exporter_writes_any_tree():
    found = exporters()
    assert set(found) == {"json", "node-link", "graphml", "dot", "mermaid", "svg", "html", "text"}
    for exporter in found.values():
        assert exporter.suffix.startswith(".")
        for sample in (ModelTree(), everything(), hostile(HOSTILE[0])):
            assert exporter.export(sample).encode("utf-8")


def test_json_can_hold_a_file_name_that_is_not_utf8():
    sample = tree([b"caf\xe9.pt".decode("utf-8", "surrogateescape")], [])
    for name in ("json", "node-link"):
        assert json.loads(exporters()[name].export(sample).encode("utf-8"))["nodes"][0]["id"] == sample.nodes[0].id


def test_json_is_the_tree_itself():
    assert ModelTree.model_validate_json(exporters()["json"].export(everything())) == everything()


class Counts:
    name = "counts"
    suffix = ".txt"

    def export(self, tree: ModelTree, /) -> str:
        return f"{len(tree.nodes)} nodes"


def test_plugins_add_formats_and_may_replace_built_in_ones():
    class Replaced(Counts):
        name = "svg"

    found = exporters([Counts(), Replaced()])
    assert found["counts"].export(everything()) == "14 nodes"
    assert found["svg"].export(everything()) == "14 nodes"
