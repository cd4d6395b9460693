"""``make demo``: trains a small real family, registers it with plain MLflow calls, and prints its recovered tree.

Everything it makes is in ``demo_output/`` (emptied first), but for ``lineage.html`` beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import shutil
import time
import warnings
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from benchmarks.demo.family import PARTS, SIZE
from benchmarks.demo.training import TRUTH, collect_truth, train_parts
from mlflow_mother.types import Edge, ModelTree, Node, Relation

OUTPUT = Path("demo_output")
PAGE = Path("lineage.html")


def progress_bar(console: Console) -> Progress:
    """A bar with the step's name, its count and the time it took."""
    return Progress(
        TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )


def train(folder: Path, seed: int, progress: Progress) -> None:
    """Trains both halves of the family at the same time."""
    task = progress.add_task("training 10 networks", total=SIZE)
    with ProcessPoolExecutor(len(PARTS)) as pool:
        halves = [pool.submit(train_parts, folder, seed, (part,)) for part in PARTS]
        while not all(half.done() for half in halves):
            progress.update(task, completed=len(list(folder.glob("*.json"))))
            time.sleep(0.2)
        for half in halves:
            half.result()
    collect_truth(folder)
    progress.update(task, completed=SIZE)


def register(folder: Path, names: list[str], progress: Progress) -> None:
    """Logs and registers every network, in the order given, with nothing but MLflow's own calls."""
    task = progress.add_task("mlflow.pytorch.log_model(...)", total=len(names))
    with (OUTPUT / "mlflow.log").open("w") as log, contextlib.redirect_stderr(log):
        for name in names:
            _log_model(folder / f"{name}.safetensors", name)
            progress.advance(task)


def _log_model(weights: Path, name: str) -> None:
    import mlflow
    import numpy as np
    import torch
    from safetensors.torch import load_file

    from benchmarks.demo.family import SmallViT

    tensors = load_file(weights)
    model = SmallViT().to(next(iter(tensors.values())).dtype).eval()
    model.load_state_dict(tensors)
    mlflow.pytorch.log_model(
        model,
        name=name,
        registered_model_name=name,
        input_example=np.zeros((2, 8, 8), np.float32),
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
    )


def true_tree(truth: Mapping[str, Mapping[str, Any]], rename: Mapping[str, str]) -> ModelTree:
    """The family as it really came about, in the registry's names."""
    edges = [
        Edge(parent=rename[p], child=rename[c], relation=Relation(fact["relation"]), probability=1.0, weight=share)
        for c, fact in truth.items()
        for p, share in fact["parents"].items()
    ]
    roots = tuple(sorted(rename[name] for name, fact in truth.items() if not fact["parents"]))
    return ModelTree(nodes=tuple(Node(id=i) for i in sorted(rename.values())), roots=roots, edges=tuple(edges))


def agreement(found: ModelTree, true: ModelTree) -> tuple[int, list[str]]:
    """How many true edges were found with direction and relation, and every difference in words."""
    claims = {(e.parent, e.child): e for e in found.edges}
    facts = {(e.parent, e.child): e for e in true.edges}
    right, differences = 0, []
    for pair, fact in facts.items():
        claim = claims.get(pair) or claims.get((pair[1], pair[0]))
        if claim is None:
            differences.append(f"missed: {pair[0]} -> {pair[1]} ({fact.relation.value})")
        elif claim.direction == "undecided":
            differences.append(f"undecided: {pair[0]} -> {pair[1]}, probability {claim.direction_probability:.2f}")
        elif (claim.parent, claim.relation) != (fact.parent, fact.relation):
            differences.append(f"wrong: {claim.parent} -> {claim.child} ({claim.relation.value})")
        else:
            right += 1
    extra = [e for pair, e in claims.items() if pair not in facts and pair[::-1] not in facts]
    differences += [f"not true: {e.parent} -> {e.child} ({e.relation.value} {e.probability:.2f})" for e in extra]
    return right, differences


def main() -> None:
    """Trains, registers, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--seed", type=int, default=7, help="seed of the family (default: %(default)s)")
    seed = parser.parse_args().seed
    started = time.monotonic()
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    database = f"sqlite:///{(OUTPUT / 'mlflow.db').resolve()}"
    os.environ.update(
        MLFLOW_TRACKING_URI=database, MLFLOW_REGISTRY_URI=database, MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false"
    )
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    console = Console()
    console.print("[bold]mlflow-mother demo[/]: a family of small vision transformers on scikit-learn's digit images\n")
    with progress_bar(console) as progress:
        train(OUTPUT / "weights", seed, progress)
        truth = json.loads((OUTPUT / "weights" / TRUTH).read_text())
        names = sorted(truth)
        random.Random(seed).shuffle(names)
        import mlflow

        mlflow.create_experiment("demo", artifact_location=(OUTPUT / "artifacts").resolve().as_uri())
        mlflow.set_experiment("demo")
        register(OUTPUT / "weights", names, progress)
    report(console, truth, seed)
    console.print(f"\n{time.monotonic() - started:.0f} s in all. Look at [bold]{PAGE}[/], and at the registry with:")
    console.print(f"  mlflow ui --backend-store-uri sqlite:///{OUTPUT}/mlflow.db", highlight=False)


def report(console: Console, truth: Mapping[str, Mapping[str, Any]], seed: int) -> None:
    """Prints the recovered tree beside the true one and writes the page."""
    import mlflow_mother
    from mlflow_mother.export.html import to_html
    from mlflow_mother.export.terminal import to_text

    plan = mlflow_mother.reconcile(dry_run=True)
    if plan.versions:
        console.print(f"{plan.versions} versions were registered faster than analysed; the rest is done now.")
        mlflow_mother.reconcile()
    found = mlflow_mother.tree("models:/")
    true = true_tree(truth, {name: f"models:/{name}/1" for name in truth})
    right, differences = agreement(found, true)
    panels = [
        Panel(Text(to_text(tree).replace("models:/", "").replace("/1", "").rstrip()), title=title, expand=False)
        for title, tree in (("what Mother found, from weights alone", found), ("what really happened", true))
    ]
    console.print()
    console.print(Columns(panels))
    console.print(f"{right} of {len(true.edges)} edges have the right parent, direction and relation.")
    for difference in differences:
        console.print(f"  {difference}", highlight=False)
    PAGE.write_text(to_html(found, title=f"mlflow-mother demo, seed {seed}"))


if __name__ == "__main__":
    main()
