from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tree_samples import HOSTILE, edge, everything, hostile, star, tree, uri

from mlflow_mother.export import AuditRow, audit_html, to_html
from mlflow_mother.types import ModelTree, Node, Verdict


class Reader(HTMLParser):
    """Counts elements with the names of their attributes, and collects the text outside style sheets."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: Counter[tuple[str, ...]] = Counter()
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[(tag, *sorted(name for name, _ in attrs))] += 1

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def text(page: str) -> str:
    return " ".join(" ".join(Reader(page).words).split())


def page_of(word: str) -> str:
    return to_html(hostile(word), title=word, subject=f"b{word}")


def report_of(word: str) -> str:
    row = AuditRow(uri=word, declared=(word,), inferred=(word, word), verdict=Verdict.CONFLICT, note=word)
    return audit_html(hostile(word), [row], title=word)


@pytest.mark.parametrize("build", [page_of, report_of])
@pytest.mark.parametrize("word", HOSTILE)
def test_no_text_can_change_the_page_structure(build, word: str):
    assert Reader(build(word)).elements == Reader(build("harmless")).elements


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1))
def test_nor_can_any_other_text(word: str):
    assert Reader(page_of(word)).elements == Reader(page_of("harmless")).elements
    assert Reader(report_of(word)).elements == Reader(report_of("harmless")).elements


@pytest.mark.parametrize("page", [to_html(star(80), title="Star"), report_of("x")])
def test_pages_load_nothing_and_run_nothing(page: str):
    tags = {tag for tag, *_ in Reader(page).elements}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "form", "a", "base"})
    names = {name for _, *names in Reader(page).elements for name in names}
    assert names.isdisjoint({"href", "src", "srcset", "style", "action"})
    assert not any(name.startswith("on") for name in names)
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_sums_up_its_subject():
    page = text(to_html(everything(), title="Lineage", subject=uri(2)))
    assert "fraud-detector v2 is a fine-tune of fraud-detector v1 (probability 0.97)." in page
    assert "1 known model descends from it directly." in page


def test_a_merge_is_summed_up_with_the_shares_of_its_parents():
    page = text(to_html(everything(), title="Lineage", subject=uri(6)))
    assert "is a merge of fraud-detector v3 (60%) and fraud-detector v5 (40%) (probability at least 0.91)." in page


def test_an_undecided_direction_is_said():
    page = text(to_html(everything(), title="Lineage", subject=uri(1, "ocr")))
    assert "ocr v1 and ocr v2 are related (finetune); which came first is undecided" in page


def test_a_model_without_relatives_is_told_so():
    page = text(to_html(everything(), title="Lineage", subject=uri(1, "unrelated")))
    assert "unrelated v1 has no relatives among the known models yet." in page
    page = text(to_html(everything(), title="Lineage", subject=uri(1, "broken")))
    assert "broken v1 was not compared with other models yet." in page


def test_all_evidence_is_on_the_page():
    page = to_html(everything(), title="Lineage")
    assert page.count("<li>3 of 148 tensors are untouched.</li>") == len(everything().edges)
    assert page.count("<summary>The projection is 0.02 +- 0.01.</summary>") == len(everything().edges)


def test_declared_and_inferred_parents_stand_side_by_side():
    page = text(to_html(everything(), title="Lineage"))
    assert (
        "churn v1 models:/other/1 unregistered ancestor 1 conflict the declared parent and the weights disagree" in page
    )


def test_an_edge_to_a_node_outside_the_tree_is_listed():
    sample = ModelTree(nodes=(Node(id="b"),), roots=(), edges=(edge("elsewhere", "b"),))
    assert "elsewhere" in text(to_html(sample, title="Lineage", subject="b"))


def test_only_a_wide_picture_can_be_fitted():
    wide = tree([uri(i) for i in range(8)], [edge(uri(i), uri(i + 1)) for i in range(7)])
    assert 'id="fit"' in to_html(wide, title="Wide")
    assert 'id="fit"' not in to_html(star(3), title="Narrow")


def test_an_empty_tree_has_a_page():
    assert "No models yet" in text(to_html(ModelTree(), title="Nothing"))


def test_the_report_counts_verdicts_and_lists_the_worrying_ones_first():
    rows = [
        AuditRow(uri=uri(9), declared=(uri(1),), inferred=(uri(1),), verdict=Verdict.CONFIRMED, probability=0.97),
        AuditRow(uri=uri(12), inferred=(uri(1),), verdict=Verdict.UNDOCUMENTED, probability=0.9),
        AuditRow(uri=uri(2), inferred=(uri(1),), verdict=Verdict.UNDOCUMENTED, probability=0.9),
        AuditRow(uri=uri(3), declared=("models:/x/1",), inferred=(uri(1),), verdict=Verdict.CONFLICT),
    ]
    page = text(audit_html(everything(), rows))
    assert "4 model versions" in page
    assert "2 undocumented the weights show a parent that nobody declared" in page
    table = page[page.index("Versions") : page.index("Model tree")]
    assert sorted((uri(9), uri(12) + " ", uri(2) + " ", uri(3)), key=table.index) == [
        uri(3),
        uri(2) + " ",
        uri(12) + " ",
        uri(9),
    ]
