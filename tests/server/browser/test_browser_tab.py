"""The bar [Overview | Lineage] on MLflow's own pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from browser_pages import SETTLED, Visit, Watch, model
from mlflow_servers import ADMIN, PASSWORD, Config, Server, client_of, register, running
from playwright.sync_api import Page, expect
from registry_samples import network

OTHER_PAGES = {"#/models": "Registered Models", "#/experiments": "Experiment", "#/prompts": "Prompts"}
BAR = ".mother-tabs"


def bar_is_there_once(page: Page, chosen: str) -> None:
    """Exactly one bar, right behind the heading, and what it says is what is seen."""
    expect(page.locator(BAR)).to_have_count(1)
    expect(page.locator(f"{BAR} [aria-selected=true]")).to_have_text(chosen)
    expect(page.locator(".mother-tab")).to_have_count(1)
    expect(page.locator("[data-mother-header]")).to_have_count(1)
    assert page.locator(f"[data-mother-header] + {BAR} + .mother-tab").count() == 1
    expect(page.get_by_role("tabpanel", name="Lineage")).to_have_count(1 if chosen == "Lineage" else 0)
    own = page.locator("[data-mother-tab] > :not([data-mother-header], .mother-tabs, .mother-tab):visible")
    if chosen == "Lineage":
        expect(own).to_have_count(0)
    else:
        expect(own.first).to_be_visible()


def test_it_is_on_each_models_page_once_through_clicks_reload_back_and_forward(visit: Visit) -> None:
    page = visit("#/models")
    page.get_by_role("link", name="digits", exact=True).click()
    bar_is_there_once(page, "Overview")
    page.get_by_role("tab", name="Lineage").click()
    bar_is_there_once(page, "Lineage")
    page.wait_for_selector(SETTLED)
    page.get_by_role("tab", name="Overview").click()
    page.get_by_role("link", name="Version 2", exact=True).click()
    page.wait_for_url("**/versions/2*")
    bar_is_there_once(page, "Overview")
    page.get_by_role("tab", name="Lineage").click()
    bar_is_there_once(page, "Lineage")
    page.reload()
    bar_is_there_once(page, "Lineage")
    page.go_back()
    bar_is_there_once(page, "Overview")
    page.go_forward()
    bar_is_there_once(page, "Lineage")
    page.goto(f"{page.url.split('#')[0]}#/experiments")
    expect(page.locator(BAR)).to_have_count(0)
    page.go_back()
    bar_is_there_once(page, "Lineage")


def test_it_survives_twenty_rapid_changes_of_the_route(visit: Visit) -> None:
    page = visit(model("digits", 1))
    stops = [
        model("digits", 1),
        "#/models",
        model("digits", 2),
        model("speech"),
        "#/prompts",
        model("digits", lineage=False),
    ]
    for number in range(20):
        page.evaluate("hash => { location.hash = hash }", stops[number % len(stops)])
        page.wait_for_timeout(17 * (number % 5))
        assert page.locator(BAR).count() <= 1
    page.evaluate("hash => { location.hash = hash }", model("digits", 3))
    page.wait_for_url("**/versions/3*")
    expect(page.get_by_role("heading", name="Version 3")).to_be_visible()
    page.wait_for_selector(SETTLED)
    bar_is_there_once(page, "Lineage")
    expect(page.locator(".mother-panel h3")).to_have_text("digits v3")


def test_other_pages_have_no_trace_of_it(visit: Visit) -> None:
    page = visit("#/")
    for path, words in OTHER_PAGES.items():
        page.evaluate("hash => { location.hash = hash }", path)
        expect(page.get_by_text(words).first).to_be_visible()
        assert page.locator("[class^=mother], [data-mother-header]").count() == 0
    loaded = page.evaluate("performance.getEntriesByType('resource').map(one => one.name)")
    assert sorted(name.rsplit("/", 1)[-1] for name in loaded if "mother" in name) == [
        "tab.css",
        "tab.js",
        "workspace.js",
    ]


def test_watching_other_pages_costs_nothing_to_speak_of(visit: Visit) -> None:
    """A page that changes a thousand times, with and without the bar's script."""
    page = visit("#/experiments")
    expect(page.get_by_role("link", name="Experiments").first).to_be_visible()
    took = page.evaluate(
        """async () => {
            const began = performance.now();
            for (let i = 0; i < 1000; i += 1) {
                const one = document.createElement("i");
                document.body.append(one);
                await null;
                one.remove();
                await null;
            }
            return performance.now() - began;
        }"""
    )
    assert took < 400


def test_the_bar_shifts_nothing_after_it_was_painted(visit: Visit) -> None:
    page = visit(model("digits", 2, lineage=False), settled=False)
    page.evaluate(
        """() => {
            window.shifts = [];
            new PerformanceObserver((list) => window.shifts.push(...list.getEntries().filter((one) =>
                one.sources.some((source) => source.node?.closest?.(".mother-tabs, .mother-tab, [data-mother-header]"))
            ).map((one) => one.value))).observe({ type: "layout-shift", buffered: true });
        }"""
    )
    expect(page.locator(BAR)).to_have_count(1)
    page.get_by_role("tab", name="Lineage").click()
    page.wait_for_selector(SETTLED)
    page.wait_for_timeout(300)
    assert page.evaluate("window.shifts") == []


def test_the_keyboard_walks_the_tabs(visit: Visit) -> None:
    page = visit(model("digits", 2, lineage=False))
    tab = page.get_by_role("tab", name="Overview")
    tab.focus()
    page.keyboard.press("ArrowRight")
    bar_is_there_once(page, "Lineage")
    expect(page.get_by_role("tab", name="Lineage")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Lineage")).to_be_visible()
    page.keyboard.press("Home")
    bar_is_there_once(page, "Overview")


def test_a_name_that_needs_escaping_has_its_own_page(visit: Visit, site: Server) -> None:
    page = visit(model("<img src=x onerror=window.hacked=1>", 2))
    bar_is_there_once(page, "Lineage")
    expect(page.locator(".mother-panel h3")).to_have_text("<img src=x onerror=window.hacked=1> v2")


@pytest.fixture(scope="module")
def guarded(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server below a prefix where people sign in."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "mlflow.db").write_bytes(template.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_MOTHER_ENABLED", "false")
        patch.setenv("MLFLOW_MOTHER_HOME", str(folder / "client"))
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        with running(Config(prefix="/ml", auth=True), folder, f"sqlite:///{folder}/mlflow.db") as server:
            with client_of(server):
                register("private", network(0), folder)
            _add_user(server, "eve")
            yield server


def _add_user(server: Server, name: str) -> None:
    from mlflow.server import get_app_client

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN)
        patch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        get_app_client("basic-auth", server.address).create_user(name, PASSWORD)


def test_it_works_below_a_prefix_for_those_who_may(visit: Visit, guarded: Server) -> None:
    page = visit(model("private", 1), server=guarded, http_credentials={"username": ADMIN, "password": PASSWORD})
    bar_is_there_once(page, "Lineage")
    expect(page.locator(".mother-panel h3")).to_have_text("private v1")


def test_whoever_may_not_see_a_model_is_told_so_and_nothing_else(visit: Visit, guarded: Server, watch: Watch) -> None:
    watch.expected.add(403)
    eve = {"username": "eve", "password": PASSWORD}
    page = visit("#/experiments", server=guarded, http_credentials=eve)
    expect(page.get_by_role("link", name="Experiments").first).to_be_visible()
    said = page.evaluate(REFUSED, {"name": "private", "version": "1", "root": guarded.address})
    assert said["title"] == "No permission"
    unknown = page.evaluate(REFUSED, {"name": "nothing", "version": "1", "root": guarded.address})
    assert said == unknown


def test_a_server_without_mothers_tables_is_explained(visit: Visit, guarded: Server, watch: Watch) -> None:
    watch.expected.add(503)
    with closing(sqlite3.connect(guarded.folder / "mlflow.db", timeout=30)) as connection:
        connection.execute("ALTER TABLE mother_versions RENAME TO away")
        page = visit(model("private", 1), server=guarded, http_credentials={"username": ADMIN, "password": PASSWORD})
        expect(page.locator(".mother-notice strong")).to_have_text("Lineage is not available now")
        bar_is_there_once(page, "Lineage")
        connection.execute("ALTER TABLE away RENAME TO mother_versions")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".mother-panel h3")).to_have_text("private v1")


REFUSED = """async ({ name, version, root }) => {
    const { Lineage } = await import(`${root}/static-files/mother/lineage.js`);
    const place = document.createElement("div");
    document.body.append(place);
    const lineage = new Lineage(place, name, version);
    lineage.resume();
    while (!place.querySelector(".mother-notice")) await new Promise((done) => setTimeout(done, 20));
    lineage.leave();
    return { title: place.querySelector("strong").textContent, text: place.innerText };
}"""
