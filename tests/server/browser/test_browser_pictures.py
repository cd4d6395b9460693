"""Pictures of the tab for the UI guide: ``MOTHER_SCREENSHOTS=docs/images/ui`` keeps them, ``-m ''`` takes all."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser_pages import Visit, model
from playwright.sync_api import Page, expect

SCENES = {
    "version": model("digits", 2),
    "model": model("digits"),
    "alone": model("alone", 1),
    "empty": model("empty"),
    "failed": model("broken", 1),
    "unsupported": model("plain-text", 1),
    "30": model("speech", 7),
    "30-model": model("speech"),
    "300": model("foundation", 12),
}


DRAWN = [
    pytest.param(scene, dark, id=f"{scene}-{'dark' if dark else 'light'}", marks=[pytest.mark.full] * late)
    for scene in SCENES
    for dark, late in ((False, False), (True, scene != "30"))
]


@pytest.mark.parametrize(("scene", "dark"), DRAWN)
def test_the_tab_is_drawn(scene: str, dark: bool, visit: Visit, pictures: Path) -> None:
    page = visit(SCENES[scene], dark=dark)
    assert page.locator("body").evaluate("body => body.classList.contains('dark-mode')") is dark
    save(page, pictures / f"tab-{scene}-{'dark' if dark else 'light'}.png")


def test_a_line_is_explained(visit: Visit, pictures: Path) -> None:
    page = visit(model("digits", 2))
    page.locator(".mother-kin").first.click()
    page.get_by_role("button", name="Compare the two").click()
    expect(page.locator(".mother-panel")).to_contain_text("Comparison of the fingerprints")
    page.locator(".mother-panel").evaluate("one => one.scrollTo(0, 0)")
    save(page, pictures / "tab-edge-light.png")


def test_hundreds_of_nodes_are_drawn_small(visit: Visit, pictures: Path) -> None:
    page = visit(model("foundation", 12))
    page.get_by_role("button", name="Show up to 300").click()
    expect(page.locator(".node[data-node]")).to_have_count(300)
    save(page, pictures / "tab-300-all-light.png")


def save(page: Page, file: Path) -> None:
    page.screenshot(path=file, animations="disabled")
    assert file.stat().st_size > 20_000
