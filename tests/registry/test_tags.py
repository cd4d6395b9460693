"""Tags sum a lineage up, know whom they are about, and leave other tags alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_mother.registry import tags
from mlflow_mother.registry.tags import TagSet
from mlflow_mother.types import Edge, Lineage, ModelVersionRef, Node, Relation, Status

REF = ModelVersionRef(registry="own", name="m", version="3")
PAGE = Path(__file__).parents[2] / "docs" / "tags.md"


def lineage(*edges: Edge, subject: str = REF.uri) -> Lineage:
    names = {subject} | {end for edge in edges for end in (edge.parent, edge.child)}
    return Lineage(
        nodes=tuple(
            Node(id=name, kind="unregistered" if name.startswith("unregistered") else "model") for name in sorted(names)
        ),
        edges=edges,
        subject=subject,
        subject_digest="d1",
        spec="s",
        mother_version="0",
    )


def edge(parent: str, child: str = REF.uri, **more: object) -> Edge:
    return Edge(**{"parent": parent, "child": child, "relation": Relation.FINETUNE, "probability": 0.9, **more})


def test_every_tag_is_documented_with_its_meaning() -> None:
    page = PAGE.read_text()
    for name, meaning in {**tags.WRITTEN, **tags.READ}.items():
        assert f"| `{name}` | {meaning} |" in page


def test_a_decided_registered_parent() -> None:
    values = TagSet.of_lineage(REF, lineage(edge("models:/m/2"), edge("models:/m/1", "models:/m/2"))).values
    assert values == {
        "mother.subject": "models:/m/3#d1",
        "mother.status": "done",
        "mother.parent": "models:/m/2",
        "mother.relation": "finetune",
        "mother.confidence": "0.900",
        "mother.root": "models:/m/1",
    }


def test_an_unregistered_parent_is_no_parent_tag_but_has_a_relation() -> None:
    values = TagSet.of_lineage(REF, lineage(edge("unregistered:1"), edge("unregistered:1", "models:/m/4"))).values
    assert "mother.parent" not in values
    assert values["mother.relation"] == "finetune"
    assert values["mother.root"] == REF.uri


def test_an_undecided_relative_is_no_parent() -> None:
    values = TagSet.of_lineage(REF, lineage(edge("models:/m/2", direction="undecided"))).values
    assert values["mother.status"] == "undecided"
    assert not {"mother.parent", "mother.root", "mother.relation"} & set(values)


def test_a_merge_names_all_parents_with_their_shares() -> None:
    merged = lineage(
        edge("models:/a/1", relation=Relation.MERGE, weight=0.3),
        edge("models:/b/1", relation=Relation.MERGE, weight=0.7, probability=0.95),
    )
    values = TagSet.of_lineage(REF, merged).values
    assert values["mother.parent"] == "models:/b/1"
    assert values["mother.confidence"] == "0.900", "no surer than its least sure parent"
    assert json.loads(values["mother.parents"]) == [
        {"parent": "models:/b/1", "weight": 0.7},
        {"parent": "models:/a/1", "weight": 0.3},
    ]


def test_a_huge_merge_is_cut_to_what_a_tag_holds() -> None:
    many = [edge(f"models:/{'x' * 100}{i}/1", relation=Relation.MERGE, weight=0.01) for i in range(200)]
    value = TagSet.of_lineage(REF, lineage(*many)).values["mother.parents"]
    assert len(value) <= tags.MAX_VALUE
    assert json.loads(value)


def test_inherited_tags_are_recognised_and_replaced() -> None:
    inherited = {"mother.subject": "models:/other/1#d1", "mother.parent": "models:/x/1", "mother.status": "done"}
    assert not tags.speak_of(inherited, REF)
    values, stale = TagSet.of_status(REF, Status.PENDING).changes({**inherited, "team": "vision"})
    assert stale == ["mother.parent"]
    assert values == {"mother.subject": "models:/m/3#", "mother.status": "pending"}
    assert list(values)[-1] == "mother.status", "written last"


def test_unity_catalog_gets_underscores() -> None:
    values, _ = TagSet.of_lineage(REF, lineage(edge("models:/m/2"))).changes({}, dotted=False)
    assert values["mother_parent"] == "models:/m/2"
    assert not any("." in name for name in values)


@given(st.text(max_size=30000))
def test_values_are_bounded(reason: str) -> None:
    values, _ = TagSet.of_status(REF, Status.FAILED, reason).changes({})
    assert all(len(value) <= tags.MAX_VALUE for value in values.values())


@given(st.dictionaries(st.sampled_from([*tags.WRITTEN, "mother.ignore", "team"]), st.text(max_size=5)))
def test_writing_twice_changes_nothing_and_people_s_tags_stay(current: dict[str, str]) -> None:
    wanted = TagSet.of_lineage(REF, lineage(edge("models:/m/2")))
    values, stale = wanted.changes(current)
    after = {name: value for name, value in {**current, **values}.items() if name not in stale}
    assert wanted.changes(after) == ({}, [])
    assert {n: v for n, v in after.items() if n in ("mother.ignore", "team")} == {
        n: v for n, v in current.items() if n in ("mother.ignore", "team")
    }


@pytest.mark.parametrize(("value", "ignored"), [("true", True), ("", True), ("False", False), ("no", False)])
def test_ignore_is_on_unless_taken_back(value: str, ignored: bool) -> None:
    assert tags.ignores({"mother.ignore": value}) is ignored
    assert tags.ignores({"mother_ignore": value}) is ignored


def test_other_registered_models_are_not_spoken_of_where_readers_may_not_see_them() -> None:
    def kept(*edges: Edge) -> set[str]:
        values = TagSet.of_lineage(REF, lineage(*edges)).without_others("m").values
        return {name.removeprefix("mother.") for name in values} - {"subject", "status"}

    own = edge("models:/m/2")
    assert kept(own) == {"parent", "relation", "confidence", "root"}
    assert kept(own, edge("models:/base/1", "models:/m/2")) == {"parent", "relation", "confidence"}
    assert kept(edge("models:/base/1")) == set()
    assert kept(edge("unregistered:x")) == {"root"}
    merge = edge("models:/m/2", weight=0.6), edge("models:/base/1", weight=0.4)
    assert kept(*merge) == set(), "a share tells that there is another parent, and how much it gave"
    assert kept(edge("models:/m/2", weight=0.4), edge("models:/base/1", weight=0.6)) == set()
    many = [edge(f"models:/m/{100 + n}", weight=0.009) for n in range(300)]
    assert kept(*many) >= {"parent", "parents"}
    assert kept(*many, edge("models:/base/1", weight=0.001)) == set(), "though the tag has no room for its name"
    assert kept(edge("models:/m/2", weight=0.6), edge("models:/m/1", weight=0.4)) >= {"parent", "parents"}
    assert kept() == {"root"}


def test_a_reason_that_names_another_model_is_kept_from_its_readers() -> None:
    def kept(reason: str) -> bool:
        return "mother.reason" in TagSet.of_status(REF, Status.FAILED, reason).without_others("m").values

    assert kept("models:/m/3 has no weights. Register them.") and kept("No address at all.")
    assert not kept("The files of models:/m/3 are gone from models:/secret/1.")
    assert not kept("models:/m@n/1 is another model, models:/m/3 is not.")


def test_a_model_whose_name_begins_with_anothers_is_another() -> None:
    assert "mother.parent" not in TagSet.of_lineage(REF, lineage(edge("models:/m2/2"))).without_others("m").values
