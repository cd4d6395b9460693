"""The demo's accuracy over many seeds: ``python -m benchmarks.demo.seeds [--seeds 100-119] [--cache FOLDER]``.

Trains the family once per seed (about two minutes of one core each; kept in the cache), recovers its tree from
shuffled, meaningless names, and prints one row a seed and the rates. Seeds 0 to 7 were used while developing the
engine; 100 to 119 were not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from benchmarks.demo.training import train_family
from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.heritage import recover
from mlflow_mother.types import Edge, ModelTree
from mlflow_mother.weights.model import LocalFiles

WEIGHT_TOLERANCE = 0.03
"""Largest error of a merge coefficient that counts as right."""


@dataclass(frozen=True)
class Truth:
    """What is true of one network: its parents with their shares, and the relation to them."""

    parents: Mapping[str, float]
    relation: str


@dataclass
class Score:
    """Counts over one or more families."""

    edges: int = 0
    right: int = 0
    wrong: int = 0
    false: int = 0
    undecided: int = 0
    sure_and_wrong: int = 0
    stranger_alone: int = 0
    orphan_alone: int = 0
    families: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def recover_family(folder: Path, seed: int) -> tuple[ModelTree, dict[str, Truth], dict[str, str]]:
    """Recovers a trained family from shuffled ids.

    Returns:
        The tree, the truth in the same ids, and the ids of the stranger and the orphan.
    """
    stored = json.loads((folder / "truth.json").read_text())
    names = sorted(stored)
    order = np.random.default_rng(seed).permutation(len(names))
    alias = {name: f"model-{place}" for name, place in zip(names, order, strict=True)}
    models = {alias[name]: fingerprint_model(LocalFiles(folder / f"{name}.safetensors")) for name in names}
    truth = {
        alias[name]: Truth({alias[p]: share for p, share in fact["parents"].items()}, fact["relation"])
        for name, fact in stored.items()
    }
    return recover(models), truth, {kind: alias[f"digits-{kind}"] for kind in ("stranger", "orphan")}


def score(tree: ModelTree, truth: Mapping[str, Truth], special: Mapping[str, str]) -> Score:
    """Counts right, undecided and wrong edges; right means parent, direction, relation and share."""
    result = Score(families=1)
    claims: dict[tuple[str, str], Edge] = {(edge.parent, edge.child): edge for edge in tree.edges}
    facts = {(p, c): fact for c, fact in truth.items() for p in fact.parents}
    for (parent, child), fact in facts.items():
        result.edges += 1
        edge = claims.get((parent, child))
        either = edge or claims.get((child, parent))
        if edge and edge.direction == "decided" and _agrees(edge, fact):
            result.right += 1
        elif either and either.direction == "undecided":
            result.undecided += 1
        else:
            result.wrong += 1
    for (parent, child), edge in claims.items():
        fact = facts.get((parent, child))
        result.false += fact is None and (child, parent) not in facts
        mistaken = fact is None or not _agrees(edge, fact)
        result.sure_and_wrong += mistaken and edge.direction == "decided" and edge.probability > 0.9
    touched = {end for pair in claims for end in pair}
    result.stranger_alone = int(special["stranger"] not in touched)
    result.orphan_alone = int(special["orphan"] not in touched)
    return result


def _agrees(edge: Edge, fact: Truth) -> bool:
    share = fact.parents[edge.parent]
    return edge.relation.value == fact.relation and abs(edge.weight - share) <= WEIGHT_TOLERANCE


def _yes(count: int) -> str:
    return "yes" if count else "NO"


def _rate(count: int, total: int) -> str:
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return f"{count}/{total} = {count / total:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def main() -> None:
    """Trains, recovers, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="100-119", help="first-last, both included (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=Path(".cache/demo"), help="where trained families are kept")
    parser.add_argument("--jobs", type=int, default=2, help="families trained at once (default: %(default)s)")
    options = parser.parse_args()
    first, _, last = options.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    folders = {seed: options.cache / str(seed) for seed in seeds}
    with ProcessPoolExecutor(options.jobs) as pool:
        list(pool.map(train_family, folders.values(), seeds))
    total = Score()
    print("seed  edges  right  undecided  wrong  false  sure and wrong  stranger alone  orphan alone")
    for seed, folder in folders.items():
        one = score(*recover_family(folder, seed))
        total += one
        print(
            f"{seed:4}  {one.edges:5}  {one.right:5}  {one.undecided:9}  {one.wrong:5}  {one.false:5}  "
            f"{one.sure_and_wrong:14}  {_yes(one.stranger_alone):>14}  {_yes(one.orphan_alone):>12}",
            flush=True,
        )
    print(f"\nparent, direction and relation right: {_rate(total.right, total.edges)} (Wilson 95 %)")
    print(f"undecided: {total.undecided}, wrong: {total.wrong}, edges between others: {total.false}")
    print(f"wrong or false above probability 0.9: {total.sure_and_wrong}")
    print(f"stranger alone: {_rate(total.stranger_alone, total.families)}")
    print(f"orphan without a false parent: {_rate(total.orphan_alone, total.families)}")


if __name__ == "__main__":
    main()
