"""The drawing in the tab, the panel beside it, and what they do with hostile text."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from browser_pages import SETTLED, Visit, Watch, model
from browser_samples import HOSTILE, WORST
from mlflow_servers import API, Server
from playwright.sync_api import Locator, Page, expect

from mlflow_mother.export import layout
from mlflow_mother.export.svg import RELATION_COLOURS, WEAK_BELOW, style_sheet
from mlflow_mother.export.text import RELATION_WORDS, VERDICT_WORDS
from mlflow_mother.server.pages import STATIC
from mlflow_mother.types import Edge, Evidence, ModelTree, Node, Relation, Status, Verdict

NODES = ".mother-drawing .node[data-node]"


def node(page: Page, uri: str) -> Locator:
    return page.locator(f'.node[data-node="{uri}"]')


def test_the_current_version_its_chips_and_its_way_from_the_root_are_pointed_out(visit: Visit) -> None:
    page = visit(model("digits", 3))
    expect(page.locator(NODES)).to_have_count(3)
    expect(page.locator(".node.current[data-node]")).to_have_attribute("data-node", "models:/digits/3")
    expect(page.locator(".node.current[data-node] .chip.alias", has_text="@champion")).to_have_count(1)
    expect(node(page, "models:/digits/2").locator(".chip.stage")).to_have_text("Production")
    expect(page.locator(".edge.way")).to_have_count(2)


def test_signs_of_conflict_weakness_and_missing_ancestors_are_drawn_and_explained(visit: Visit) -> None:
    page = visit(model("speech"))
    assert page.locator(".node.conflict .sign").count() == 1
    assert page.locator(".node.unregistered").count() == 2  # one of them is in the legend
    assert page.locator(".edge.weak[data-edge]").count() > 0
    assert page.locator(".edge.undecided[data-edge] .head").count() == 0
    legend = page.locator(".mother-legend").inner_text()
    for words in ("merge (4)", "direction undecided", "probability below 0.8", "unregistered ancestor", "disagrees"):
        assert words in legend


def test_a_click_on_a_line_explains_it(visit: Visit) -> None:
    page = visit(model("digits", 2))
    page.locator(".edge[data-edge] .touch").first.click(force=True)
    panel = page.locator(".mother-panel")
    expect(panel).to_contain_text("digits v2 is a fine-tune of digits v1.")
    expect(panel.locator(".mother-evidence").first).to_be_visible()
    panel.get_by_role("button", name="Compare the two").click()
    expect(panel).to_contain_text("As if digits v2 were the parent")
    expect(panel.get_by_role("link", name="version page").first).to_have_attribute(
        "href", page.url.split("#")[0] + "#/models/digits/versions/1"
    )


def test_the_keyboard_walks_the_tree_and_opens_nodes(visit: Visit) -> None:
    page = visit(model("digits", 2))
    node(page, "models:/digits/2").focus()
    page.keyboard.press("ArrowLeft")
    expect(node(page, "models:/digits/1")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".mother-panel h3")).to_have_text("digits v1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(node(page, "models:/digits/3")).to_be_focused()
    before = page.locator(".mother-tree-tools").inner_text()
    page.keyboard.press("+")
    assert page.locator(".mother-tree-tools").inner_text() != before
    page.keyboard.press("0")
    assert "100%" in page.locator(".mother-tree-tools").inner_text()
    assert page.locator(f"{NODES}[tabindex='0']").count() == 1


def test_hundreds_of_nodes_begin_with_the_nearest_and_a_map(visit: Visit) -> None:
    page = visit(model("foundation", 12))
    expect(page.locator(NODES)).to_have_count(60)
    expect(page.locator(".mother-tree-map")).to_be_visible()
    expect(page.locator(".node.current[data-node]")).to_be_in_viewport()
    page.get_by_role("button", name="Show up to 300").click()
    expect(page.locator(NODES)).to_have_count(300)
    expect(page.locator(".node.current[data-node]")).to_be_in_viewport()
    box = page.locator(".mother-tree-map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 8, box["y"] + 8)
    frame = page.locator(".mother-tree-frame")
    assert frame.evaluate("one => one.scrollTop") < 200
    page.get_by_role("button", name="Fit").click()
    fits = frame.evaluate("one => one.scrollWidth <= one.clientWidth + 1 && one.scrollHeight <= one.clientHeight + 1")
    assert fits
    page.get_by_role("button", name="Zoom in").click(click_count=15)
    at_the_end = "(one, rest) => one.scrollTo(one.scrollWidth - one.clientWidth - rest, 1e6)"
    for rest, aside in ((300, False), (40, True)):  # The map moves aside where it would cover the end, at any scale.
        frame.evaluate(at_the_end, rest)
        expect(page.locator(".mother-tree-map.left")).to_have_count(int(aside))


def test_the_wheel_zooms_around_the_pointer_and_the_mouse_drags(visit: Visit) -> None:
    page = visit(model("speech", 7))
    target = page.locator(".node.current[data-node]")
    before = target.bounding_box()
    assert before is not None
    page.mouse.move(before["x"], before["y"])
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    grown = "width => document.querySelector('.node.current').getBoundingClientRect().width > 1.2 * width"
    page.wait_for_function(grown, arg=before["width"])
    after = target.bounding_box()
    assert after is not None
    assert abs(after["x"] - before["x"]) < 8
    page.mouse.down()
    page.mouse.move(before["x"] - 60, before["y"] - 30, steps=4)
    page.mouse.up()
    moved = target.bounding_box()
    assert moved is not None
    assert after["x"] - moved["x"] == pytest.approx(60, abs=3)


def test_people_confirm_and_correct_and_their_word_stands_beside_the_inference(
    visit: Visit, site: Server, watch: Watch
) -> None:
    watch.expected.add(400)
    page = visit(model("digits", 2))
    panel = page.locator(".mother-panel")
    panel.get_by_role("button", name="Confirm").click()
    expect(panel.locator(".mother-word")).to_contain_text("digits v1 is its parent")
    panel.get_by_role("button", name="Correct…").click()
    panel.get_by_label("Its parent").fill("nonsense")
    panel.get_by_role("button", name="Save").click()
    expect(panel.get_by_role("alert")).to_be_visible()
    panel.get_by_label("Its parent").fill("models:/digits/1")
    panel.get_by_label("Remark").fill(WORST)
    panel.get_by_role("button", name="Save").click()
    expect(panel.locator(".mother-word")).to_have_count(2)
    expect(panel.locator(".mother-word").first).to_contain_text(WORST)
    expect(panel).to_contain_text("digits v1")
    _, said = site.get(f"{API}/decisions?name=digits&version=2")
    assert [one["kind"] for one in said["decisions"]] == ["confirmed", "corrected"]


def test_the_tree_is_saved_and_copied(visit: Visit, tmp_path: Path) -> None:
    page = visit(model("digits", 3), permissions=["clipboard-read", "clipboard-write"])
    for label, beginning in (("SVG", "<svg"), ("JSON", "{"), ("GraphML", "<graphml")):
        page.locator(".mother-menu summary").click()
        with page.expect_download() as started:
            page.get_by_role("button", name=f"Download {label}").click()
        assert started.value.suggested_filename == f"lineage-digits-v3.{label.lower()}"  # the server's
        file = tmp_path / started.value.suggested_filename
        started.value.save_as(file)
        assert file.read_text().startswith(beginning)
        assert "digits" in file.read_text()
    page.locator(".mother-menu summary").click()
    page.get_by_role("button", name="Copy as Mermaid").click()
    expect(page.locator(".mother-told")).to_have_text("Copied as Mermaid.")
    assert page.evaluate("navigator.clipboard.readText()").startswith("flowchart")


def test_hostile_names_tags_and_descriptions_are_text(visit: Visit) -> None:
    page = visit(model(HOSTILE, 2))
    expect(page.locator(".mother-panel h3")).to_have_text(f"{HOSTILE} v2")
    page.locator(".mother-kin").first.click()
    expect(page.locator(".mother-sentence")).to_contain_text(f"a fine-tune of {HOSTILE} v1")
    inert(page)
    page = visit(model(HOSTILE, 1))
    expect(page.locator(".mother-notice")).to_contain_text(WORST)
    inert(page)
    page = visit(model("digits"))
    inert(page)


def inert(page: Page) -> None:
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None
    assert (
        page.locator(":is(.mother-tab, .drawn) :is(script, img, iframe, [onerror], [onload], [onclick])").count() == 0
    )


def test_hostile_text_in_every_field_is_text(visit: Visit) -> None:
    """As an API of a broken server might give it: aliases, tensor names in evidence, notes, digests."""
    reasons = (Evidence(kind=WORST, text=WORST, log_odds=1.0),) * 9
    ids = [f"models:/{WORST}/{number}" for number in (1, 2)]
    tree = ModelTree(
        nodes=(
            Node(id=ids[0], label=WORST, note=WORST, format=WORST, aliases=(WORST, HOSTILE), declared_parents=(WORST,)),
            Node(id=ids[1], verdict=Verdict.CONFLICT, declared_parents=(WORST,), status=Status.FAILED),
            Node(id=f"unregistered:{WORST}", kind="unregistered", note=WORST),
        ),
        edges=(
            Edge(parent=ids[0], child=ids[1], relation=Relation.MERGE, probability=0.5, evidence=reasons),
            Edge(parent=f"unregistered:{WORST}", child=ids[0], relation=Relation.FINETUNE, probability=0.4),
        ),
        roots=(f"unregistered:{WORST}",),
    )
    info = {
        "name": WORST, "version": "1", "status": "failed", "ignored": False, "reason": WORST, "aliases": [WORST],
        "stage": WORST, "registered_at": 1.0, "declared": [{"parent": WORST, "source": WORST}], "verdict": "conflict",
        "decisions": [{"kind": "corrected", "parent": WORST, "by": WORST, "at": 1.0, "note": WORST}],
        "fingerprint": {"digest": WORST, "parameters": 1, "tensors": 1, "format": WORST, "spec": WORST},
    }  # fmt: skip
    answer = {
        "subject": ids[0], "state": "failed", "reason": WORST, "remedy": WORST, "progress": None, "truncated": False,
        "tree": json.loads(tree.model_dump_json()), "layout": json.loads(layout(tree).model_dump_json()),
        "versions": {one: {**info, "id": one} for one in ids}, "can": {"reanalyse": True, "decide": True},
        "engine": WORST, "inferred_at": 1.0, "model": None,
    }  # fmt: skip
    page = visit(model("digits", 1))
    texts = page.evaluate(DRAW, [answer, WORST])
    assert len(texts) == 8
    assert all("<svg onload" in text for text in texts)
    inert(page)


DRAW = """async ([answer, worst]) => {
    const at = new URL("static-files/mother/", document.baseURI).href;
    const { drawTree } = await import(`${at}tree.js`);
    const { panel } = await import(`${at}panel.js`);
    const { stateNotice, refusal } = await import(`${at}states.js`);
    const place = document.createElement("div");
    place.className = "drawn";
    document.body.append(place);
    const boxes = Array.from({ length: 8 }, () => place.appendChild(document.createElement("div")));
    drawTree(boxes[0], answer, {});
    const edge = (one) => ({ kind: "edge", parent: one.parent, child: one.child });
    const { Api } = await import(`${at}api.js`);
    const actions = { api: new Api(""), choose() {}, async changed() {}, name: worst };
    const items = [...answer.tree.nodes.map((one) => ({ kind: "node", id: one.id })), ...answer.tree.edges.map(edge)];
    items.forEach((item, index) => boxes[index + 1].append(...panel(item, answer, actions).filter(Boolean)));
    boxes[6].append(stateNotice(answer));
    boxes[7].append(refusal({ status: 503, message: worst }, () => {}));
    return boxes.map((box) => box.textContent);
}"""


def test_words_and_colours_are_those_of_the_pictures(visit: Visit) -> None:
    page = visit(model("digits", 1))
    said = page.evaluate(
        """async (relations) => {
            const words = new URL("static-files/mother/words.js", document.baseURI).href;
            const { sentence, VERDICTS, WEAK_BELOW } = await import(words);
            const edge = (relation) => ({ parent: "P", child: "C", relation, direction: "decided" });
            const style = getComputedStyle(document.querySelector(".mother-colours"));
            return [relations.map((relation) => sentence(edge(relation))), VERDICTS,
                    relations.map((relation) => style.getPropertyValue(`--${relation}`)), WEAK_BELOW];
        }""",
        [relation.value for relation in Relation],
    )
    assert said[0] == [RELATION_WORDS[relation].format(child="C", parent="P") + "." for relation in Relation]
    assert said[1] == {verdict.value: words for verdict, words in VERDICT_WORDS.items()}
    assert said[2] == [RELATION_COLOURS[relation][0] for relation in Relation]
    assert said[3] == WEAK_BELOW
    assert dashes((STATIC / "tree.css").read_text(), "mother-drawing") == dashes(style_sheet(), "mother-svg")


def dashes(css: str, scope: str) -> dict[str, str]:
    """How the lines of each kind are drawn."""
    rules = re.findall(rf"\.{scope} (\.weak|\.undecided|\.edge\.undecided)[^{{]*\.wire ?{{([^}}]*)}}", css)
    assert len(rules) == 2
    return {kind.removeprefix(".edge"): "".join(sorted(body.replace(" ", "").split(";"))) for kind, body in rules}


def test_a_server_that_fails_is_explained_and_asked_again(visit: Visit, site: Server, watch: Watch) -> None:
    watch.expected.add(404)
    page = visit(model("digits", 1), settled=True)
    page.evaluate("() => { location.hash = '#/models' }")
    page.evaluate(
        """async () => {
            const { Lineage } = await import(new URL("static-files/mother/lineage.js", document.baseURI).href);
            const place = document.createElement("div");
            place.className = "drawn";
            document.body.append(place);
            new Lineage(place, "nowhere", "1").resume();
        }"""
    )
    expect(page.locator(".drawn .mother-notice strong")).to_have_text("Not in the registry")
    expect(page.locator(".drawn").get_by_role("button", name="Try again")).to_be_visible()
    assert page.locator(f".drawn {SETTLED}").count() == 1
