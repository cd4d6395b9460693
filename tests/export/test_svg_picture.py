from __future__ import annotations

import re
import time
from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_samples import HOSTILE, chain, edge, everything, hostile, star, tree, trees, uri

from mlflow_mother.export import to_svg
from mlflow_mother.export.svg import RELATION_COLOURS, style_sheet
from mlflow_mother.types import ModelTree, Relation, Verdict

SVG = "{http://www.w3.org/2000/svg}"


def parts(picture: str, css_class: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(picture).iter() if css_class in e.get("class", "").split()]


def words(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def structure(picture: str) -> Counter[tuple[str, ...]]:
    return Counter((e.tag, *sorted(e.keys())) for e in ElementTree.fromstring(picture).iter())


def test_the_picture_is_as_it_was(golden):
    golden("everything.svg", to_svg(everything(), current=uri(6)))


def test_an_empty_tree_has_a_friendly_picture():
    assert words(to_svg(ModelTree())) == ["No models yet", "Register a model and its lineage appears here."]


def test_edges_carry_relation_and_probability():
    labels = [element.text for element in parts(to_svg(everything()), "label")]
    assert {"finetune 0.97", "lora-merged r8 0.99", "merge 60% 0.93", "cast 1.00", "finetune? 0.55"} <= set(labels)


def test_a_probability_below_one_is_never_shown_as_certain():
    assert "finetune 0.99" in words(to_svg(tree(["a", "b"], [edge("a", "b", probability=0.9999)])))


def test_unregistered_ancestors_undecided_edges_and_conflicts_have_their_own_looks():
    picture = to_svg(everything(), current=uri(6))
    marked = {
        name: len([e for e in parts(picture, name) if e.get("transform", "").startswith("translate")])
        for name in ("unregistered", "conflict", "trouble", "current")
    }
    assert marked == {"unregistered": 1, "conflict": 1, "trouble": 1, "current": 1}
    (dotted,) = [e for e in parts(picture, "undecided") if e.find(f"{SVG}title") is not None]
    assert not [e for e in dotted if e.get("class") == "head"]
    assert re.search(r"\.unregistered \.box\{[^}]*stroke-dasharray", picture)
    assert re.search(r"\.undecided \.wire\{[^}]*stroke-dasharray", picture)
    assert re.search(r"\.weak \.wire\{[^}]*stroke-dasharray", picture)


def test_tooltips_hold_the_full_name_and_all_evidence():
    titles = [element.text or "" for element in ElementTree.fromstring(to_svg(everything())).iter(f"{SVG}title")]
    (lora,) = [title for title in titles if "low-rank adapter" in title]
    assert lora.splitlines()[-2:] == ["• The projection is 0.02 +- 0.01.", "• 3 of 148 tensors are untouched."]
    (conflict,) = [title for title in titles if title.startswith(uri(1, "churn") + "\n")]
    assert "declared parent: models:/other/1" in conflict


def test_the_legend_explains_the_signs_in_use_and_no_others():
    assert {"finetune (4)", "direction undecided", "unregistered ancestor"} <= set(words(to_svg(everything())))
    assert words(to_svg(chain(2)))[-1:] == ["finetune (1)"]


def test_a_dense_picture_moves_labels_into_tooltips():
    picture = to_svg(star(100))
    assert not parts(picture, "label")
    assert len(parts(picture, "dense")) == 1
    assert len(list(ElementTree.fromstring(picture).iter(f"{SVG}title"))) == 201


def test_three_hundred_nodes_are_drawn_in_a_moment():
    start = time.perf_counter()
    picture = to_svg(star(299))
    assert time.perf_counter() - start < 3
    assert len(picture) < 1_000_000


def test_the_picture_stands_alone():
    picture = to_svg(everything())
    assert not re.search(r"(href|src|url\(|@import|@font-face|<script|<foreignObject|\sid=|\son\w+=)", picture)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", picture)


def test_colours_follow_the_reader_and_stay_inside_the_picture():
    css = style_sheet()
    assert "@media (prefers-color-scheme:dark)" in css
    rules = [rule.split("{")[0] for rule in css.replace("@media (prefers-color-scheme:dark){", "").split("}")]
    assert all(rule.strip().startswith(".mother-svg") for rule in rules if rule.strip())
    assert set(RELATION_COLOURS) == set(Relation)


def test_a_picture_without_style_sheet_for_pages_that_have_it_already():
    assert "<style>" not in to_svg(everything(), embed_css=False)


def contrast(colour: str, background: str) -> float:
    """Contrast ratio of WCAG 2."""

    def luminance(value: str) -> float:
        channels = [int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(colour), luminance(background)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("relation", Relation)
def test_labels_can_be_read_in_light_and_dark(relation: Relation):
    light, dark = RELATION_COLOURS[relation]
    assert contrast(light, "#ffffff") >= 4.5
    assert contrast(dark, "#11171c") >= 4.5


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_can_change_the_picture_structure(text: str):
    assert structure(to_svg(hostile(text))) == structure(to_svg(hostile("harmless")))


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1))
def test_nor_can_any_other_text(text: str):
    assert structure(to_svg(hostile(text))) == structure(to_svg(hostile("harmless")))


@settings(max_examples=50, deadline=None)
@given(trees())
def test_any_graph_has_a_well_formed_picture(sample: ModelTree):
    ElementTree.fromstring(to_svg(sample, current=sample.nodes[0].id))


def test_a_notebook_shows_the_picture():
    assert everything()._repr_html_() == to_svg(everything())


def test_a_conflict_is_said_in_words_as_well():
    assert any(word == "v1 · conflict · @champion" for word in words(to_svg(everything())))
    assert Verdict.CONFLICT.value == "conflict"
