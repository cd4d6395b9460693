"""The page about the whole registry, in a real browser on a real server; each workspace holds another registry.

``MOTHER_SCREENSHOTS`` names a folder that keeps the pictures, ``-m ''`` takes all; two of them are in docs/images/ui.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from browser_pages import Watch
from forest_samples import Sample, many_families, register, three_families
from mlflow import MlflowClient
from mlflow_servers import API, Config, Server, client_of, running, wait_until
from playwright.sync_api import Browser, Page, Request, Route, expect

from mlflow_mother.registry.identity import OWN
from mlflow_mother.server.supervisor import lease_of
from mlflow_mother.store import Store
from mlflow_mother.types import Status

HOSTILE = '<img src=x onerror="document.title=1">'

Open = Callable[..., Page]

SCENES = {
    "families": "",
    "many": "#workspace=many",
    "audit": "#view=audit",
    "conflicts": "#workspace=many&view=audit&verdict=conflict",
    "family": "#family=models:/tiny-vit/1&node=models:/road-signs/1",
    "empty": "#workspace=empty",
    "nothing": "#q=nonesuch",
}


@pytest.fixture(scope="module")
def registries(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Below a prefix. Its worker stays away: the registries' versions have no weights."""
    folder = tmp_path_factory.mktemp("forest")
    database = f"sqlite:///{folder}/mlflow.db"
    (folder / "mlflow.db").write_bytes(template.read_bytes())
    register(three_families(), database)
    register(many_families(200), database, "many")
    register((), database, "empty")
    hostile = Sample(f"models:/{HOSTILE}/1", declared=(HOSTILE,), status=Status.FAILED, reason=HOSTILE)
    register([Sample("models:/newcomer/1", status=Status.PENDING)], database, "live")
    unread = Sample("models:/newcomer/1", status=Status.FAILED)
    register([hostile, Sample(f"models:/{HOSTILE}/2", (hostile.id,)), unread], database, "hostile")
    register([Sample("models:/newcomer/1")], database, "idle")
    with Store.open(database, local=True) as store:
        assert store.take_lease(lease_of("own"), "tests", 3600)
    environment = {"MLFLOW_MOTHER_SERVER_WORKER": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with running(Config(prefix="/ml", workspaces=True), folder, database, environment=environment) as served:
        yield served


@pytest.fixture
def visit(registries: Server, browser: Browser, watch: Watch) -> Iterator[Open]:
    """Opens the page."""
    contexts = []

    def open_page(
        address: str = "",
        *,
        scheme: str = "light",
        width: int = 1280,
        script: str = "",
        prepare: Callable[[Page], object] = lambda page: None,
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en-GB", timezone_id="UTC"
        )
        contexts.append(context)
        if script:
            context.add_init_script(script)
        context.set_default_timeout(20_000)
        page = context.new_page()
        watch.listen(page)
        prepare(page)
        page.goto(f"{registries.address}/mother/{address}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def rows(page: Page) -> list[str]:
    """The names in the list that is shown."""
    expect(page.locator(".forest-list:visible")).to_have_attribute("aria-busy", "false")
    return [
        " ".join(text.split()) for text in page.locator(".forest-list:visible tbody th .forest-name").all_inner_texts()
    ]


def test_families_are_listed_with_their_numbers(visit: Open) -> None:
    page = visit()
    assert rows(page) == ["tiny-vit v1", "sentiment v1", "churn v1"]
    first = page.locator("tbody tr").first
    expect(first).to_contain_text("4 models: road-signs, road-signs-int8, tiny-vit, tiny-vit-merged")
    expect(first).to_contain_text("1 conflict")
    expect(first).to_contain_text("3 finetune")
    expect(first).to_contain_text("0.88")
    expect(page.locator(".forest-progress")).to_have_text("15 of 16 versions analysed")
    expect(page.locator(".forest-sizes")).to_have_text(re.compile("versions.*16.*families.*3.*relatives.*3"))


def test_filters_live_in_the_address(visit: Open) -> None:
    page = visit()
    page.get_by_role("button", name="conflict").click()
    assert rows(page) == ["tiny-vit v1", "sentiment v1"]
    page.get_by_label("Relation").select_option("adapter")
    assert rows(page) == ["sentiment v1"]
    assert page.url.endswith("#relation=adapter&verdict=conflict")
    page.reload()
    assert rows(page) == ["sentiment v1"]
    page.go_back()
    assert rows(page) == ["tiny-vit v1", "sentiment v1"]
    page.go_back()
    assert len(rows(page)) == 3
    page.go_forward()
    expect(page.get_by_role("button", name="conflict")).to_have_attribute("aria-pressed", "true")


def test_a_search_waits_for_a_pause_and_finds_versions_without_relatives(visit: Open) -> None:
    page = visit()
    assert len(rows(page)) == 3
    page.keyboard.press("/")
    page.keyboard.type("anomaly")
    expect(page.locator(".forest-count:visible")).to_have_text("1 family found")
    assert rows(page) == ["anomaly-autoencoder v1"]
    page.keyboard.type("xx")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    page.get_by_role("link", name="Clear the filters").click()
    assert len(rows(page)) == 3
    expect(page.get_by_label("Search models")).to_have_value("")


def test_probabilities_filter_by_a_family_s_weakest_edge(visit: Open) -> None:
    page = visit("#confidence=below-0.8")
    assert rows(page) == ["sentiment v1", "churn v1"]
    page.get_by_label("Probability").select_option("from-0.8")
    assert rows(page) == ["tiny-vit v1"]


def test_the_audit_sorts_both_ways_and_links_into_mlflow(visit: Open, registries: Server) -> None:
    page = visit()
    page.get_by_role("link", name="Audit").click()
    assert rows(page)[:2] == ["road-signs v1", "toxicity v1"]
    page.get_by_role("button", name="Probability").click()
    assert rows(page)[:2] == ["toxicity v1", "tiny-vit-merged v1"]
    expect(page.get_by_role("columnheader", name="Probability")).to_have_attribute("aria-sort", "ascending")
    page.get_by_role("button", name="Probability").click()
    expect(page.get_by_role("columnheader", name="Probability")).to_have_attribute("aria-sort", "descending")
    tab = page.get_by_label("Open toxicity v1 in MLflow").first
    assert tab.evaluate("link => link.href") == f"{registries.address}/#/models/toxicity/versions/1?tab=lineage"


def test_one_goes_from_list_to_list_and_keeps_the_filters(visit: Open) -> None:
    page = visit("#view=audit")
    page.get_by_role("link", name="Families").click()
    assert rows(page) == ["tiny-vit v1", "sentiment v1", "churn v1"]
    page.get_by_role("button", name="undecided").click()
    assert rows(page) == ["churn v1", "forecast v1", "ocr v1"]
    page.get_by_role("link", name="Audit").click()
    assert rows(page) == ["churn v1", "churn v2", "forecast v1", "ocr v1"]


def test_the_audit_is_saved_as_filtered(visit: Open, tmp_path: Path) -> None:
    page = visit("#workspace=many&view=audit&verdict=undocumented")
    shown = page.locator(".forest-count:visible").inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "audit.csv")
    with (tmp_path / "audit.csv").open(newline="") as file:
        saved = list(csv.DictReader(file))
    assert {row["verdict"] for row in saved} == {"undocumented"}
    assert shown == f"{len(saved)} versions found"


def test_long_lists_are_walked_page_by_page(visit: Open) -> None:
    page = visit("#workspace=many&view=audit&sort=name")
    first = rows(page)
    assert len(first) == 50
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".forest-range:visible")).to_contain_text(re.compile("51.100 of"))
    second = rows(page)
    assert len(second) == 50 and not set(first) & set(second)
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".forest-range:visible")).to_contain_text(re.compile("101.150 of"))
    page.reload()
    expect(page.locator(".forest-range:visible")).to_contain_text(re.compile("101.150 of"))
    page.get_by_role("button", name="Previous").click()
    assert rows(page) == second
    page.get_by_role("button", name="Previous").click()
    assert rows(page) == first
    page.go_back()
    assert rows(page) == second


def test_an_empty_registry_says_how_to_begin(visit: Open) -> None:
    page = visit("#workspace=empty")
    expect(page.get_by_role("heading", name="No model versions yet")).to_be_visible()
    expect(page.get_by_text("mlflow.register_model")).to_be_visible()
    expect(page.get_by_label("Search models")).to_be_hidden()


def test_the_workspace_in_use_in_mlflow_is_shown(visit: Open) -> None:
    page = visit(script="localStorage.setItem('mlflow.activeWorkspace', 'hostile')")
    assert rows(page) == [f"{HOSTILE} v1"]


def test_another_workspace_in_the_address_is_another_registry(visit: Open) -> None:
    page = visit()
    assert len(rows(page)) == 3
    page.evaluate("location.hash = '#workspace=empty'")
    expect(page.get_by_role("heading", name="No model versions yet")).to_be_visible()


def test_nothing_is_read_or_recorded_in_another_workspace_than_the_one_that_is_seen(visit: Open, watch: Watch) -> None:
    watch.expected.add(404)
    address = "#family=" + quote(f"models:/{HOSTILE}/2")
    remember = (
        "if (!localStorage.getItem('mlflow.activeWorkspace')) localStorage.setItem('mlflow.activeWorkspace', '{}')"
    )
    page = visit(address, script=remember.format("hostile"))
    confirm = page.get_by_role("button", name="Confirm")
    expect(confirm).to_be_visible()
    page.evaluate("localStorage.setItem('mlflow.activeWorkspace', 'idle')")
    held: list[Route] = []
    page.route("**/mlflow-mother/lineage?*", lambda route: held.append(route))
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
    with page.expect_response("**/decisions"):
        confirm.focus()
        page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # While the answer is on its way, a second one is no second decision.
    wait_for(page, lambda: bool(held))
    held[0].continue_()
    page.unroute_all()
    expect(page.locator(".mother-word")).to_have_count(1)
    expect(confirm).to_be_focused()
    assert [request.header_value("x-mlflow-workspace") for request in asked] == ["hostile"]
    with page.expect_navigation():
        other = page.context.new_page()
        other.goto(page.url.split("/mother/")[0] + "/static-files/mother/words.js")
        other.evaluate("localStorage.setItem('mlflow.activeWorkspace', 'empty')")
    expect(page.get_by_text("Not in the registry")).to_be_visible()


def wait_for(page: Page, true: Callable[[], bool]) -> None:
    """Waits while the page goes on."""
    for _ in range(200):
        if true():
            return
        page.wait_for_timeout(25)
    pytest.fail("it did not come true")


def test_the_tab_follows_the_workspace_of_the_address(visit: Open, registries: Server) -> None:
    page = visit()
    address = f"{registries.address}/#/models/newcomer/versions/1?tab=lineage&workspace="
    page.goto(address + "idle")
    expect(page.locator(".mother-lead")).to_contain_text("no relatives among the known models yet")
    page.evaluate("location.hash = location.hash.replace('idle', 'hostile')")
    expect(page.locator(".mother-lead")).to_contain_text("newcomer v1 was not compared with other models yet.")


def test_workspaces_are_asked_for_until_the_server_says_whether_it_has_them(visit: Open, watch: Watch) -> None:
    """Nothing is shown of the default one meanwhile. The headers that a gate wants are sent with that question, too."""
    asked: list[Request] = []

    def fail(route: Route) -> None:
        asked.append(route.request)
        route.fulfill(status=502, content_type="text/html", body="<html>Bad gateway</html>")

    def prepare(page: Page) -> None:
        page.context.add_cookies([{"name": "mlflow-request-header-X-Gate", "value": "100%", "url": page_root}])
        page.route("**/server-info", fail)

    page_root = visit().url
    page = visit("#workspace=hostile", prepare=prepare)
    expect(page.get_by_text("The server, or a proxy before it, answered 502 Bad Gateway.")).to_be_visible()
    assert asked[0].header_value("x-gate") == "100%"
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    assert rows(page) == [f"{HOSTILE} v1"]


def test_text_from_the_registry_stays_text(visit: Open) -> None:
    for view in ("view=families&alone=1", "view=audit"):
        page = visit(f"#workspace=hostile&{view}")
        assert f"{HOSTILE} v1" in rows(page)
        assert page.locator("#forest img").count() == 0
        assert page.title() != "1"


def test_errors_say_what_to_do(visit: Open, watch: Watch) -> None:
    watch.expected.add(400)
    page = visit("#sort=nonsense")
    expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
    page.context.set_offline(True)
    page.evaluate("location.hash = '#view=audit'")
    expect(page.get_by_role("heading", name="The server cannot be reached")).to_be_visible()
    assert [error for error in watch.errors if "ERR_INTERNET_DISCONNECTED" not in error] == []
    watch.errors.clear()
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    assert len(rows(page)) == 16


def test_refusals_are_told_apart(visit: Open, watch: Watch) -> None:
    own = json.dumps({"error_code": "SOME_CODE", "message": "The server's own words."})
    refusals = [
        (401, own, "You are signed out", "The server's own words."),
        (403, own, "No permission", "The server's own words."),
        (503, own, "Lineage is not available now", "The server's own words."),
        (502, "<html>", "Lineage could not be loaded", "The server, or a proxy before it, answered 502 Bad Gateway."),
        (200, "<html>", "Lineage could not be loaded", "A page came instead of data"),
    ]
    page = visit()
    for status, body, heading, words in refusals:
        watch.expected.add(status)
        page.route("**/mlflow-mother/audit?*", answering(status, body))
        page.get_by_role("link", name="Audit").click()
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.get_by_text(words)).to_be_visible()
        page.unroute_all()
        page.get_by_role("button", name="Try again").click()
        assert len(rows(page)) == 16
        page.get_by_role("link", name="Families").click()
        rows(page)
        page.reload()  # What is shown already is not asked for again.


def answering(status: int, body: str) -> Callable[[Route], None]:
    """Answers in place of the server."""
    return lambda route: route.fulfill(status=status, body=body)


def test_an_idle_page_shows_what_was_registered_meanwhile(visit: Open, registries: Server) -> None:
    page = visit("#workspace=idle&alone=1", prepare=lambda page: page.clock.install())
    expect(page.locator(".forest-progress")).to_have_text("All versions are analysed")
    assert rows(page) == ["newcomer v1"]
    looks = (
        lambda: page.clock.fast_forward(61_000),
        lambda: page.evaluate("document.dispatchEvent(new Event('visibilitychange'))"),
    )
    with client_of(registries, workspace="idle"):
        MlflowClient().create_registered_model("second")
        for known, look in enumerate(looks, 2):
            MlflowClient().create_model_version("second", "s3://nowhere/model")
            wait_until(lambda known=known: versions(registries, "idle") == known, 30, registries)
            look()
            expect(page.locator(".forest-list:visible tbody tr")).to_have_count(known, timeout=3000)


def versions(server: Server, workspace: str) -> int:
    """How many Mother knows."""
    return int(server.get(f"{API}/forest?limit=1", workspace=workspace)[1]["totals"]["versions"])


def test_the_page_follows_the_worker(visit: Open, registries: Server) -> None:
    page = visit("#workspace=live&alone=1")
    expect(page.locator(".forest-progress")).to_have_text("0 of 1 version analysed")
    expect(page.locator("tbody tr")).to_contain_text("1 pending")
    with Store.open(registries.database, local=True) as store:
        (claim,) = store.claim("tests", 60, registry=f"{OWN}#live")
        assert store.finish(claim, Status.DONE)
    expect(page.locator(".forest-progress")).to_have_text("All versions are analysed", timeout=15_000)
    expect(page.locator("tbody tr")).not_to_contain_text("pending")


def test_a_family_opens_its_tree_and_gives_the_list_back(visit: Open) -> None:
    page = visit("#verdict=conflict")
    rows(page)
    page.locator("tbody tr").nth(1).get_by_role("link", name="sentiment v1", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("sentiment v1")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.locator(".mother-tree-frame .node")).to_have_count(4)
    page.locator(".mother-tree-frame .node.conflict").click()
    expect(page.locator(".mother-panel h3")).to_have_text("toxicity v1")
    assert page.url.endswith("#family=models%3A%2Fsentiment%2F1&node=models%3A%2Ftoxicity%2F1&verdict=conflict")
    page.reload()
    expect(page.locator(".mother-panel h3")).to_have_text("toxicity v1")
    page.evaluate("location.hash = location.hash.replace('toxicity', 'sentiment')")
    expect(page.locator(".mother-panel h3")).to_have_text("sentiment v1")
    page.get_by_role("link", name="Model lineage").click()
    assert rows(page) == ["tiny-vit v1", "sentiment v1"]
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("sentiment v1")


def test_a_click_anywhere_on_a_family_opens_it_and_back_leads_the_keyboard_to_it(visit: Open) -> None:
    page = visit()
    rows(page)
    page.get_by_text("2 models: sentiment, toxicity").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("sentiment v1")
    page.go_back()
    expect(page.get_by_role("link", name="sentiment v1", exact=True)).to_be_focused()


def test_a_family_that_is_not_there_says_so(visit: Open, watch: Watch) -> None:
    watch.expected.add(404)
    page = visit("#family=models:/nobody/7")
    expect(page.get_by_text("Not in the registry")).to_be_visible()
    page.evaluate("location.hash = '#family=nonsense'")
    expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()


@pytest.mark.parametrize(
    ("chosen", "system", "dark"), [("true", "light", True), ("false", "dark", False), ("", "dark", True)]
)
def test_colours_follow_mlflow_and_then_the_system(visit: Open, chosen: str, system: str, dark: bool) -> None:
    script = f"localStorage.setItem('_mlflow_dark_mode_toggle_enabled', '{chosen}')" if chosen else ""
    page = visit(scheme=system, script=script)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(17, 23, 28)" if dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("address", ["", "#view=audit", "#family=models:/tiny-vit/1"])
def test_a_narrow_window_never_scrolls_sideways(visit: Open, address: str) -> None:
    page = visit(address, width=380)
    expect(page.locator(".forest-list tbody tr, .mother-tree-frame .node").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.full)])
def test_every_scene_is_drawn(visit: Open, pictures: Path, scheme: str) -> None:
    page = visit(scheme=scheme)
    start = page.url
    for name, address in SCENES.items():
        page.goto("about:blank")
        page.goto(start + address)
        page.wait_for_load_state("networkidle")
        file = pictures / f"forest-{name}-{scheme}.png"
        page.screenshot(path=file, animations="disabled")
        assert file.stat().st_size > 10_000
