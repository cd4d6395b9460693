"""Following a registry on a server that has no Mother: real servers, real processes, real signals."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from foreign_server import SECRET, ForeignServer, Team, command, eventually
from registry_samples import THIRD_PARTY_WARNINGS, finetuned, network

pytestmark = [pytest.mark.filterwarnings(warning) for warning in THIRD_PARTY_WARNINGS]

ROOT = network(1)


@pytest.mark.full
def test_a_watcher_finds_what_others_register_and_outlives_the_server(
    foreign: ForeignServer,
    team: Team,
    watching: dict[str, str],
    tmp_path: Path,
    run: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [before] = team.register("watched", ROOT)
    with command(tmp_path, watching, "watch", "--interval", "0.2") as watcher:
        watcher.waits_for(rf"{before} done: no parent is decided")
        [child] = team.register("watched", finetuned(ROOT, 2))
        watcher.waits_for(rf"{child} is new")
        watcher.waits_for(rf"{child} done: finetune of {before} \(0\.\d+\)")
        assert team.mother(child)["parent"] == before
        _looks_are_cheap(foreign)

        foreign.stop()
        watcher.waits_for("trying again in 1 s: .*could not be listed")
        foreign.start()
        watcher.waits_for("answers again")
        more = team.register("watched", finetuned(ROOT, 3), count=4)
        watcher.waits_for(rf"{more[0]} is new")
        assert watcher.ends(signal.SIGTERM) == 0
        lines = watcher.said.splitlines()
    assert lines[-1].endswith("stopped")
    timed = [line for line in lines if not line.startswith("Stopping")]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 ", line) for line in timed), lines

    for name, value in watching.items():
        monkeypatch.setenv(name, value)
    finished = run("watch", "--once")
    assert finished.exit_code == 0, finished.stderr
    assert re.search(r"reconciled: \d analysed now; the registry has 6 done$", finished.stderr.strip())
    assert {team.mother(uri)["status"] for uri in more} == {"done"}


def _looks_are_cheap(foreign: ForeignServer) -> None:
    """While nothing is new, a look is one request and no more."""

    def requests(path: str = "") -> int:
        return len(re.findall(rf"GET /api/2.0/mlflow/{path}", (foreign.folder / "server.log").read_text()))

    began, searched = requests(), requests("model-versions/search")
    eventually(lambda: requests("model-versions/search") > searched + 3)
    assert requests() - began == requests("model-versions/search") - searched


@pytest.mark.parametrize("args", [("watch",), ("watch", "--once"), ("webhook", "serve")])
def test_a_server_with_a_mother_of_its_own_needs_nobody_to_watch(
    run: Callable, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"worker": true}')

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{listening.server_port}")
        monkeypatch.setenv("MLFLOW_MOTHER_WEBHOOK_SECRET", SECRET)
        done = run(*args)
        listening.shutdown()
    assert done.exit_code == 2, done.stderr
    assert "has a Mother of its own" in done.stderr
    assert "Traceback" not in done.stderr


def test_once_says_so_when_the_server_is_away(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = run("watch", "--once")
    assert done.exit_code == 3
    assert "could not be listed" in done.stderr
