"""A real server whose registry shows everything, and a real browser that watches itself for errors."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import mlflow
import pytest
from browser_pages import SETTLED, Visit, Watch
from browser_samples import HOSTILE, WORST, everything, giant, states
from forest_samples import register as write
from mlflow_servers import Config, Server, client_of, is_done, register, running, wait_until
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from registry_samples import finetuned, network

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def fill(server: Server, folder: Path) -> None:
    """Registers a small family as vanilla clients do; the base last."""
    with client_of(server):
        client = mlflow.MlflowClient()
        base = network(0, layers=12)
        digits = finetuned(base, 1, 0.2)
        for weights in (base, digits, finetuned(digits, 2, 0.1)):
            newest = register("digits", weights, folder)
        client.create_registered_model("empty")
        client.set_registered_model_alias("digits", "champion", "3")
        client.transition_model_version_stage("digits", "2", "Production")
        client.update_registered_model("digits", description=WORST)
        client.set_model_version_tag("digits", "3", "team", WORST)
        aliases = (("speech", "champion", "6"), ("foundation", "base", "1"), ("captions", "live", "4"))
        for name, alias, version in aliases:
            client.set_registered_model_alias(name, alias, version)
        client.update_registered_model(HOSTILE, description=WORST)
        client.set_registered_model_tag(HOSTILE, "team", WORST)
        wait_until(lambda: is_done(newest), 240, server)  # A worker is last in line where others work, too.


@pytest.fixture(scope="session")
def site(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a really registered family, and with trees of 30 and 300 nodes."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "mlflow.db").write_bytes(template.read_bytes())
    database = f"sqlite:///{folder}/mlflow.db"
    write([*everything(), *giant(), *states()], database)
    with ExitStack() as stack:
        # Only while it is filled: other packages' tests run in this process before the session ends.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_MOTHER_ENABLED", "false")
            patch.setenv("MLFLOW_MOTHER_HOME", str(folder / "client"))
            patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
            server = stack.enter_context(running(Config(), folder, database))
            fill(server, folder)
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: make system")
    with sync_playwright() as playwright:
        # One process for all pages of a context compiles MLflow's scripts once.
        options = ["--no-sandbox", "--disable-gpu", "--process-per-site"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def contexts(browser: Browser, site: Server) -> Callable[..., BrowserContext]:
    """Makes contexts, one for each choice of options: it keeps the six megabytes of MLflow's scripts, compiled."""

    @cache
    def make(dark: bool, options: str) -> BrowserContext:
        context = browser.new_context(**json.loads(options))
        context.add_init_script(
            "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');"
            "localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');"
            "localStorage.setItem('_mlflow_model_registry_promo_modal_dismissed_v1', 'true');"
            "localStorage.setItem('_mlflow_model_registry_promo_modal_dismissed', 'true');"
            f"localStorage.setItem('_mlflow_dark_mode_toggle_enabled', '{str(dark).lower()}');"
            f"localStorage.setItem('databricks-dark-mode-pref', '{'dark' if dark else 'light'}');"
        )
        context.set_default_timeout(20_000)
        context.new_page().goto(f"{site.address}/health")  # as long as a page is open, their process lives
        return context

    return make


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Fails the test at its end if anything went wrong in its pages."""
    watch = Watch([], set())
    yield watch
    assert watch.errors == []


@pytest.fixture
def visit(site: Server, contexts: Callable[..., BrowserContext], watch: Watch) -> Iterator[Visit]:
    """Opens a page of MLflow's; what it keeps in the browser ends with the test."""
    pages: list[Page] = []

    def open_page(
        path: str,
        *,
        dark: bool = False,
        width: int = 1400,
        height: int = 900,
        server: Server = site,
        settled: bool = True,
        **options: object,
    ) -> Page:
        context = contexts(dark, json.dumps({"viewport": {"width": width, "height": height}, **options}))
        page = context.new_page()
        pages.append(page)
        watch.listen(page)
        page.goto(f"{server.address}/{path}")
        if settled and "tab=lineage" in path:
            page.wait_for_selector(SETTLED)
        return page

    yield open_page
    for page in pages:
        if not page.is_closed():
            page.evaluate("localStorage.clear()")
            page.context.clear_cookies()
            page.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: a temporary folder, or ``MOTHER_SCREENSHOTS``."""
    folder = Path(os.environ.get("MOTHER_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
