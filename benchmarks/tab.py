"""Times the Lineage tab's first paint: from the API's JSON as text to the frame in which its tree was painted.

Run::

    python -m benchmarks.tab --nodes 300 --runs 15

A family of that many versions is laid out as the API lays it out. Chromium opens a page with the tab's own scripts and
style sheets, and each run parses the JSON, draws the tree into an empty place and waits until the frame is painted.
Prints one JSON object, times in milliseconds.
"""

from __future__ import annotations

import argparse
import http.server
import json
import random
import shutil
import statistics
import threading
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

import mlflow_mother.server
from mlflow_mother.export import layout
from mlflow_mother.types import Edge, Evidence, ModelTree, Node, Relation, Status

STATIC = Path(mlflow_mother.server.__file__).parent / "static"

PAINT = """async (text) => {
    const { drawTree } = await import("./tree.js");
    const { panel } = await import("./panel.js");
    const { styles } = await import("./dom.js");
    const { Api } = await import("./api.js");
    await styles("style.css", "tree.css");
    const place = document.createElement("div");
    place.className = "mother-colours";
    document.body.replaceChildren(place);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    const began = performance.now();
    const answer = JSON.parse(text);
    drawTree(place, answer, {});
    const side = document.createElement("aside");
    const actions = { api: new Api(""), choose() {}, changed() {}, name: "" };
    side.append(...panel({ kind: "node", id: answer.subject }, answer, actions).filter(Boolean));
    place.append(side);
    const drawn = performance.now();
    // The task after a frame's callbacks begins when the frame was painted.
    const channel = new MessageChannel();
    await new Promise((done) => {
        channel.port1.onmessage = done;
        requestAnimationFrame(() => channel.port2.postMessage(0));
    });
    return [drawn - began, performance.now() - began, document.querySelectorAll(".node[data-node]").length];
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the scripts without a word."""

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def family(size: int) -> ModelTree:
    """One base and its descendants, with evidence on every edge."""
    chance = random.Random(1)
    ids = ["models:/foundation/1"]
    reasons = tuple(
        Evidence(kind=kind, text=f"A sentence about the {kind} of these two models' weights.", value=0.1, log_odds=1.5)
        for kind in ("projection", "slope", "digest", "rank", "norms")
    )
    edges = []
    for number in range(2, size + 1):
        parent = ids[0] if chance.random() < 0.35 else chance.choice(ids)
        ids.append(f"models:/foundation-{number % 17}/{number}")
        relation = chance.choice(list(Relation)[:9])
        edges.append(Edge(parent=parent, child=ids[-1], relation=relation, probability=0.9, evidence=reasons))
    nodes = [
        Node(id=one, status=Status.DONE, parameters=11_700_000, aliases=() if number % 9 else ("live",))
        for number, one in enumerate(ids)
    ]
    return ModelTree(nodes=tuple(nodes), edges=tuple(edges), roots=(ids[0],))


def answer(tree: ModelTree) -> str:
    """What the API answers about it."""
    return json.dumps(
        {
            "subject": tree.nodes[len(tree.nodes) // 2].id,
            "state": "done",
            "tree": tree.model_dump(mode="json"),
            "layout": layout(tree).model_dump(mode="json"),
            "versions": {},
            "can": {"decide": True, "reanalyse": True},
        }
    )


def measure(nodes: int, runs: int) -> dict[str, Any]:
    """The times of some runs, the first one with cold scripts left out."""
    text = answer(family(nodes))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(STATIC)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}/mother.html")
        page.set_content(f'<base href="http://127.0.0.1:{server.server_port}/"><body></body>')
        times = [page.evaluate(PAINT, text) for _ in range(runs + 1)]
        browser.close()
    server.shutdown()
    server.server_close()
    first, rest = times[0], times[1:]
    return {
        "nodes": first[2],
        "bytes of JSON": len(text),
        "runs": runs,
        "drawn, median ms": round(statistics.median(one[0] for one in rest)),
        "painted, first run ms": round(first[1]),
        "painted, median ms": round(statistics.median(one[1] for one in rest)),
        "painted, slowest ms": round(max(one[1] for one in rest)),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    print(json.dumps(measure(options.nodes, options.runs), indent=1))


if __name__ == "__main__":
    main()
