"""What the pages tell people to run can be run: commands, units, the compose file against the real programs."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from mlflow_mother.cli import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
UNITS = sorted(EXAMPLES.glob("*.service"))

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.usefixtures("at_home")]  # MLflow's commands warn


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that words of a shell mean, and its arguments."""
    from mlflow.cli import cli

    command: click.Command = {"mlflow": cli, "mlflow-mother": main}[Path(words[0]).name]
    rest = words[1:]
    while isinstance(command, click.Group):
        _, found, rest = command.resolve_command(click.Context(command), rest)
        assert found is not None
        command = found
    return command, rest


def lines_of(page: Path) -> Iterator[list[str]]:
    """The commands in a page's blocks, without variables in front and pipes behind."""
    for block in re.findall(r"^ *```(?:sh|console)?\n(.*?)^ *```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            match = re.match(r"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*((?:mlflow|mlflow-mother) [a-z-]+(?: .*)?)$", line)
            if match and "[" not in line:  # a line of usage
                yield [word for word in shlex.split(match[1], comments=True) if word != "..."]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_have_the_options_that_they_are_given(page: Path) -> None:
    for words in lines_of(page):
        command, arguments = command_of(words)
        context = click.Context(command, info_name=" ".join(words))
        left = command.make_parser(context).parse_args(list(arguments))[1]
        assert left == [] or any(isinstance(p, click.Argument) for p in command.params), words


def test_postgresql_is_never_named_without_its_driver() -> None:
    """SQLAlchemy 2.1 takes a plain ``postgresql://`` for a driver that the extra does not bring."""
    for page in [ROOT / "README.md", DOCS / "server.md", DOCS / "install.md", *EXAMPLES.iterdir()]:
        assert not re.search(r"postgresql://\w", page.read_text("utf-8")), page.name


def test_the_worker_s_options_are_those_of_the_page() -> None:
    page = (DOCS / "server.md").read_text("utf-8")
    listed = re.findall(r"^\| `(--[a-z-]+)` \| `([A-Z_]+)` \|", page, re.MULTILINE)
    worker, _ = command_of(["mlflow-mother", "worker"])
    server, _ = command_of(["mlflow", "server"])
    assert set(listed) == {(option.opts[0], option.envvar) for option in worker.params}
    assert {name for name, _ in listed} <= {option.opts[0] for option in server.params}


def test_what_the_page_watches_for_is_there() -> None:
    from mlflow_mother.server.api.records import Queue, StatusAnswer

    page = (DOCS / "server.md").read_text("utf-8").partition("## Watching it")[2].partition("\n## ")[0]
    assert "worker_seen_at" in page and "worker_seen_at" in StatusAnswer.model_fields
    assert "queue.waiting" in page and "waiting" in Queue.model_fields
    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "mlflow_mother" / "server").glob("*.py"))
    alerts = re.findall(r"`(Mother[^`]*)`", page)
    assert len(alerts) == 4
    assert [text for text in alerts if f'"{text}' not in code] == []


def composed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The compose file as Docker Compose would read it with only what it asks for."""

    def value(match: re.Match[str]) -> str:
        name, sort, default = match.groups()
        return "abc" if sort == ":?" else os.environ.get(name, default)

    text = (EXAMPLES / "compose.yaml").read_text("utf-8")
    return dict(yaml.safe_load(re.sub(r"\$\{(\w+)(:[?-])([^}]*)\}", value, text)))


def test_the_compose_file_starts_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    services = composed(monkeypatch)["services"]
    for name in ("server", "worker"):
        with monkeypatch.context() as patch:
            for variable, value in services[name]["environment"].items():
                patch.setenv(variable, value)
            command, arguments = command_of(services[name]["command"])
            given = command.make_context(name, arguments).params
        assert given["backend_store_uri"] == "postgresql+psycopg2://mlflow:abc@db/mlflow"
        folder = given["artifacts_destination"]
        assert f"artifacts:{folder}" in services[name]["volumes"], "both see the same folder"
    assert services["server"]["environment"]["MLFLOW_MOTHER_SERVER_WORKER"] == "false"


def test_the_compose_file_waits_restarts_and_answers_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    file = composed(monkeypatch)
    services = file["services"]
    for service in services.values():
        assert service["restart"] == "unless-stopped"
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(file["volumes"])
        for name, needed in service.get("depends_on", {}).items():
            assert needed == {"condition": "service_healthy"} and services[name]["healthcheck"]["test"]
    assert set(services["worker"]["depends_on"]) == {"server"}
    command, arguments = command_of(services["server"]["command"])
    hosts = command.make_context("server", arguments).params["allowed_hosts"].split(",")
    assert all(is_allowed_host_header(hosts, name) for name in ("localhost:5000", "127.0.0.1:5000"))
    assert not is_allowed_host_header(hosts, "elsewhere.example")
    compile(services["server"]["healthcheck"]["test"][-1], "healthcheck", "exec")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_start_what_there_is(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text("utf-8").replace("\\\n", " "))
    assert parser["Unit"]["Wants"] == "network-online.target"
    assert "network-online.target" in parser["Unit"]["After"].split()
    command, arguments = command_of(shlex.split(parser["Service"]["ExecStart"]))
    given = command.make_context(unit.stem, arguments).params
    assert given["backend_store_uri"].startswith("postgresql+psycopg2://")
    assert given["artifacts_destination"] == "/srv/mlflow/artifacts"


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs systemd-analyze")
    for unit in UNITS:
        text = unit.read_text("utf-8").replace("/opt/mlflow/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name).write_text(text, "utf-8")
    units = [str(tmp_path / unit.name) for unit in UNITS]
    done = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if any(unit.name in line for unit in UNITS)]
    assert complaints == []
