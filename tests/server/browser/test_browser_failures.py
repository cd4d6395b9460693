"""What the tab does when requests, style sheets or relatives fail to come, and what a refresh leaves alone."""

from __future__ import annotations

import json
from typing import Any

import mlflow
from browser_pages import SETTLED, Visit, Watch, model
from mlflow_servers import Server, client_of
from playwright.sync_api import Page, Route, expect

NODES = ".mother-drawing .node[data-node]"
LINEAGE = "**/mlflow-mother/lineage?*"


def look_again(page: Page) -> None:
    """As when one comes back to the browser's tab."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_what_is_shown_stays_until_more_of_it_is_there(visit: Visit, watch: Watch) -> None:
    watch.expected.add(502)
    page = visit(model("foundation", 12))
    strip = page.locator(".mother-tree-strip")
    before = strip.bounding_box()
    page.route(LINEAGE, lambda route: route.fulfill(status=502, body="<html>Bad gateway</html>"))
    page.get_by_role("button", name="Show up to 300").click()
    told = page.locator(".mother-told")
    expect(told).to_have_text("The server, or a proxy before it, answered 502 Bad Gateway.")
    expect(told).to_be_in_viewport()
    assert strip.bounding_box() == before
    expect(page.locator(NODES)).to_have_count(60)
    page.locator(".mother-kin").first.click()
    expect(page.locator(".mother-sentence")).to_be_visible()
    page.unroute_all()
    page.get_by_role("button", name="Show up to 300").click()
    expect(page.locator(NODES)).to_have_count(300)


def test_a_page_instead_of_data_is_told_and_asked_again(visit: Visit, watch: Watch) -> None:
    page = visit("#/models")
    page.route(LINEAGE, lambda route: route.fulfill(content_type="text/html", body="<html>Sign in</html>"))
    page.evaluate("hash => { location.hash = hash }", model("digits", 1))
    expect(page.locator(".mother-notice")).to_contain_text("A page came instead of data")
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(NODES)).to_have_count(3)


def test_a_style_sheet_that_fails_hides_nothing_and_is_asked_for_again(visit: Visit, watch: Watch) -> None:
    watch.expected.add(404)
    page = visit("#/models")
    page.route("**/tree.css", lambda route: route.fulfill(status=404))
    page.evaluate("hash => { location.hash = hash }", model("digits", 1))
    page.wait_for_selector(SETTLED)
    expect(page.locator(NODES)).to_have_count(3)
    page.unroute_all()
    page.evaluate("hash => { location.hash = hash }", model("digits", 2))
    expect(page.locator(".mother-panel h3")).to_have_text("digits v2")
    assert page.evaluate("[...document.styleSheets].filter((one) => one.href?.endsWith('/tree.css')).length") == 1
    fonts = "selector => getComputedStyle(document.querySelector(selector)).fontFamily"
    assert page.evaluate(fonts, ".mother-tree-tools > button") == page.evaluate(fonts, ".mother-view")


def test_views_that_open_at_once_share_one_style_sheet(visit: Visit) -> None:
    page = visit(model("digits", 1))
    count = page.evaluate(
        """async (module) => {
          const { styles } = await import(module);
          for (const link of document.querySelectorAll("link[href$='/tree.css']")) link.remove();
          await Promise.all([styles("tree.css"), styles("tree.css"), styles("tree.css")]);
          return document.querySelectorAll("link[href$='/tree.css']").length;
        }""",
        page.evaluate("performance.getEntriesByType('resource').find((one) => one.name.endsWith('/dom.js')).name"),
    )
    assert count == 1


def test_relatives_that_vanish_and_return_are_drawn(visit: Visit) -> None:
    page = visit(model("digits", 1))
    page.route(LINEAGE, without_nodes)
    look_again(page)
    expect(page.locator(NODES)).to_have_count(0)
    page.unroute_all()
    look_again(page)
    expect(page.locator(NODES)).to_have_count(3)


def without_nodes(route: Route) -> None:
    answer: dict[str, Any] = route.fetch().json()
    answer["tree"].update(nodes=[], edges=[], roots=[])
    answer["layout"].update(nodes=[], edges=[], captions=[])
    route.fulfill(body=json.dumps(answer))


def test_a_refresh_leaves_the_panel_alone_unless_it_is_about_what_changed(visit: Visit, site: Server) -> None:
    page = visit(model("digits", 2))
    page.locator(".mother-kin").first.click()
    compare = page.locator(".mother-compare")
    compare.get_by_role("button").click()
    expect(compare).to_contain_text("Comparison of the fingerprints")
    link = page.locator(".mother-panel").get_by_role("link", name="version page").first
    link.focus()
    with client_of(site):
        client = mlflow.MlflowClient()
        client.set_registered_model_alias("digits", "changed", "3")
        look_again(page)
        chip = page.locator('.node[data-node="models:/digits/3"] .chip', has_text="@changed")
        expect(chip).to_have_count(1)
        expect(compare).to_contain_text("Comparison of the fingerprints")
        expect(link).to_be_focused()
        page.locator(".mother-panel").get_by_role("button", name="digits v1").click()
        client.set_registered_model_alias("digits", "changed", "1")
        look_again(page)
        expect(page.locator(".mother-panel .mother-chip.alias")).to_have_text("@changed")
        client.delete_registered_model_alias("digits", "changed")
