"""MLflow's own Register button, and what people see of its doings."""

from __future__ import annotations

import time
from pathlib import Path

import mlflow
from browser_pages import Visit, model
from mlflow_servers import Server, client_of, is_done, register, wait_until
from playwright.sync_api import Page, expect
from registry_samples import finetuned, network, write_model

LONGEST_SECONDS = 10.0


def test_a_version_registered_with_the_button_shows_its_lineage_within_ten_seconds(
    visit: Visit, site: Server, tmp_path: Path
) -> None:
    with client_of(site):
        base = network(21, layers=12)
        first = register("clicked", base, tmp_path)
        wait_until(lambda: is_done(first), 60, site)
        with mlflow.start_run() as run:
            files = write_model(tmp_path / "tuned", finetuned(base, 22, 0.2))
            mlflow.MlflowClient().log_artifacts(run.info.run_id, str(files), "model")
    page = visit(f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/model")
    click_register(page, "clicked")
    began = time.monotonic()
    # In the same page, as a click on the new version's link goes.
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.evaluate("hash => { location.hash = hash }", model("clicked", 2))
    expect(page.locator(".mother-lead")).to_contain_text("clicked v2 is a fine-tune of clicked v1", timeout=30_000)
    assert time.monotonic() - began < LONGEST_SECONDS


def click_register(page: Page, name: str) -> None:
    """Registers the run's model that is shown as a version of a registered model."""
    page.get_by_role("button", name="Register model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").click()
    page.locator(".ant-select-item-option, .du-bois-light-select-item-option").filter(has_text=name).first.click()
    dialog.get_by_role("button", name="Register", exact=True).click()
