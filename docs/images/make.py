"""Makes the pictures of docs/pictures.md with a headless Chromium: ``python docs/images/make.py``."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow_mother.export.svg import to_svg
from mlflow_mother.types import Edge, ModelTree, Node, Relation, Status, Verdict

HERE = Path(__file__).parent
SCHEMES = {"dark": 0, "light": 1}


def _uri(version: int, name: str = "fraud-detector") -> str:
    return f"models:/{name}/{version}"


def _edge(parent: str, child: str, relation: str, probability: float, **more) -> Edge:
    return Edge(parent=parent, child=child, relation=Relation(relation), probability=probability, **more)


def sample() -> ModelTree:
    """A small registry with every sign of a picture."""
    plain = [*(_uri(i) for i in range(1, 8)), _uri(2, "churn"), _uri(1, "ocr"), _uri(2, "ocr"), _uri(1, "unrelated")]
    return ModelTree(
        nodes=(
            *(Node(id=i, status=Status.DONE, parameters=11_700_000) for i in plain),
            Node(id=_uri(1, "churn"), aliases=("champion",), verdict=Verdict.CONFLICT, parameters=420_000),
            Node(id="unregistered:1", kind="unregistered"),
        ),
        edges=(
            _edge(_uri(1), _uri(2), "finetune", 0.97),
            _edge(_uri(1), _uri(3), "partial-finetune", 0.88),
            _edge(_uri(1), _uri(4), "cast", 1.0),
            _edge(_uri(2), _uri(5), "lora-merged", 0.99, rank=8),
            _edge(_uri(3), _uri(6), "merge", 0.93, weight=0.6),
            _edge(_uri(5), _uri(6), "merge", 0.91, weight=0.4),
            _edge(_uri(4), _uri(7), "pruned", 0.74),
            _edge("unregistered:1", _uri(1, "churn"), "finetune", 0.86),
            _edge("unregistered:1", _uri(2, "churn"), "finetune", 0.9),
            _edge(_uri(1, "ocr"), _uri(2, "ocr"), "finetune", 0.55, direction="undecided"),
        ),
    )


def photograph(picture: Path, target: Path, size: tuple[int, int], scheme: str) -> None:
    """Takes a screenshot of a file."""
    browser = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not browser:
        sys.exit("No Chromium found. Install it (Debian: apt-get install chromium) and run this again.")
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        command += [f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"]
        command += [f"--window-size={size[0]},{size[1]}", f"--screenshot={target}", picture.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    tree = sample()
    drawing = to_svg(tree, current=_uri(6))
    width, height = (int(drawing.split(f'{name}="')[1].split('"')[0]) for name in ("width", "height"))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tree.svg"
        file.write_text(drawing, encoding="utf-8")
        for scheme in SCHEMES:
            photograph(file, HERE / f"tree-{scheme}.png", (width, height), scheme)
