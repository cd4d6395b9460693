"""The tab on older builds of MLflow's pages, out of their wheels, and in workspaces."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from browser_pages import SETTLED, Visit, model
from mlflow_servers import Config, Server, client_of, register, running
from playwright.sync_api import expect
from registry_samples import finetuned, network

pytestmark = pytest.mark.full

BUILDS = ("3.5.0", "3.10.0")

APP = """
import os
from mlflow.server import app as mlflow_app
from mlflow_mother.server.app import create_app as create

def create_app(app=None):
    mlflow_app.static_folder = os.environ["OLD_BUILD"]
    return create(mlflow_app)
"""

WHEELS = Path(__file__).parents[3] / ".cache" / "mlflow-wheels"


def build(version: str, folder: Path) -> Path:
    """A released MLflow's pages."""
    wheel = WHEELS / f"mlflow-{version}-py3-none-any.whl"
    if not wheel.exists():
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(WHEELS), f"mlflow=={version}"]
        if subprocess.run(command).returncode:
            pytest.skip("needs a package index")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.startswith("mlflow/server/js/build/")]
        archive.extractall(folder, names)
    return folder / "mlflow" / "server" / "js" / "build"


def installed(folder: Path) -> Path:
    """A package with an app that serves an older build, as ``--app-name`` finds it."""
    (folder / "oldpages.py").write_text(APP)
    facts = folder / "oldpages-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: oldpages\nVersion: 1\n")
    (facts / "entry_points.txt").write_text("[mlflow.app]\noldpages = oldpages:create_app\n")
    return folder


@pytest.fixture(scope="module", params=BUILDS)
def old(request: pytest.FixtureRequest, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp(f"mlflow-{request.param}", numbered=False)
    (folder / "mlflow.db").write_bytes(template.read_bytes())
    environment = {
        "OLD_BUILD": str(build(request.param, folder)),
        "PYTHONPATH": os.pathsep.join([str(installed(folder)), os.environ.get("PYTHONPATH", "")]),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_MOTHER_ENABLED", "false")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        database = f"sqlite:///{folder}/mlflow.db"
        with running(Config(), folder, database, environment=environment, app="oldpages") as server:
            with client_of(server):
                base = network(0)
                register("digits", base, folder)
                register("digits", finetuned(base, 1), folder)
            yield server


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_tab_is_there_once_on_older_pages(old: Server, dark: bool, visit: Visit, pictures: Path) -> None:
    page = visit(model("digits", 2), server=old, dark=dark)
    bar = page.locator(".mother-tabs")
    expect(bar).to_have_count(1)
    expect(page.locator(".node[data-node]")).to_have_count(2, timeout=60_000)
    page.screenshot(path=pictures / f"{old.folder.name}-{'dark' if dark else 'light'}.png", animations="disabled")
    page.get_by_role("tab", name="Overview").click()
    expect(page.get_by_text("Description").first).to_be_visible()
    stops = [model("digits"), "#/models", model("digits", 1, lineage=False), "#/experiments", model("digits", 1)]
    for number in range(20):
        page.evaluate("hash => { location.hash = hash }", stops[number % len(stops)])
        page.wait_for_timeout(17 * (number % 5))
        assert bar.count() <= 1
    page.wait_for_selector(SETTLED)
    expect(bar).to_have_count(1)
    expect(page.locator(".mother-panel h3")).to_have_text("digits v1")
    page.reload()
    page.wait_for_selector(SETTLED)
    expect(bar).to_have_count(1)


def test_each_workspace_shows_its_own_models(visit: Visit, template: Path, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(template.read_bytes())
    with running(Config(workspaces=True), tmp_path, f"sqlite:///{tmp_path}/mlflow.db") as server:
        with client_of(server):
            mlflow.create_workspace("team-a")
        with client_of(server, workspace="team-a"):
            register("digits", network(0), tmp_path)
        page = visit(f"{model('digits', 1)}&workspace=team-a", server=server)
        expect(page.locator(".mother-panel h3")).to_have_text("digits v1")
        page.locator(".mother-panel").get_by_role("link", name="All its versions").click()
        page.wait_for_selector(SETTLED)
        assert "workspace=team-a" in page.url
        expect(page.locator(".node[data-node]")).to_have_count(1)
