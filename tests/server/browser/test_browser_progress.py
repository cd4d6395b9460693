"""A version that is registered while somebody looks: waiting, then its lineage, in place."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import mlflow
from browser_pages import Visit, model
from mlflow_servers import API, Server, client_of, register, wait_until
from playwright.sync_api import expect
from registry_samples import finetuned, network

STEADY = (".mother-tabs", ".mother-actions", ".mother-tree-strip")
"""What must not move."""


def test_a_waiting_version_turns_into_its_lineage_without_a_jump(
    visit: Visit, site: Server, pictures: Path, tmp_path: Path
) -> None:
    wait_until(lambda: site.worker() is not None, 60, site)
    wait_until(lambda: site.get(f"{API}/status")[1]["queue"] == {"waiting": 0, "working": 0}, 60, site)
    worker = site.worker()
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)
    try:
        with client_of(site):
            base = network(7, layers=12)
            register("late", base, tmp_path)
            register("late", finetuned(base, 8, 0.2), tmp_path)
        page = visit(model("late", 2))
        # The worker may have been stopped in the middle of its turn to write: that is not waited for for long.
        waiting = "Waiting to be analysed: 1 version comes first."
        expect(page.locator(".mother-made")).to_contain_text(waiting, timeout=15_000)
        page.screenshot(path=pictures / "tab-pending-light.png", animations="disabled")
        dark = visit(model("late", 2), dark=True)
        dark.screenshot(path=pictures / "tab-pending-dark.png", animations="disabled")
        dark.close()
        before = [page.locator(part).bounding_box() for part in STEADY]
        page.locator(".node.current[data-node]").focus()
    finally:
        os.kill(worker, signal.SIGCONT)
    expect(page.locator(".mother-made")).to_contain_text("Inferred from the weights", timeout=60_000)
    expect(page.locator(".mother-lead")).to_contain_text("late v2 is a fine-tune of late v1")
    expect(page.locator(".node[data-node]")).to_have_count(2)
    assert [page.locator(part).bounding_box() for part in STEADY] == before
    expect(page.locator(".node.current[data-node]")).to_be_focused()


def test_a_version_is_analysed_again_on_demand(visit: Visit) -> None:
    page = visit(model("digits", 1))
    again = page.get_by_role("button", name="Analyse again")
    again.click()
    expect(page.locator(".mother-told")).to_have_text("Queued to be analysed again.")
    expect(again).to_be_focused()
    expect(page.locator(".mother-made.busy")).to_have_count(0, timeout=60_000)
    expect(page.locator(".mother-lead")).to_contain_text("digits v1 has no parent")


def test_a_half_written_remark_survives_what_changes_meanwhile(visit: Visit, site: Server) -> None:
    page = visit(model("digits", 3))
    page.get_by_role("button", name="Correct…").click()
    page.get_by_label("Remark").fill("I trained it my")
    with client_of(site):
        mlflow.MlflowClient().set_registered_model_alias("digits", "newest", "3")
    page.get_by_role("button", name="Analyse again").click()
    expect(page.locator(".node.current[data-node] .chip").nth(1)).to_be_attached(timeout=60_000)
    expect(page.get_by_label("Remark")).to_have_value("I trained it my")
