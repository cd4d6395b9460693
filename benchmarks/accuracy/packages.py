"""What others' packages know of kinship: ``python -m benchmarks.accuracy.packages [--pairs 300]``.

Pairs of the zoo's networks that are related or are not, always of one architecture, are shown to the packages that can
be had from PyPI, and to Mother. Each package gets the networks as Hugging Face would have them, and Mother is measured
on exactly the pairs that the package did not refuse.

Networks of one start were trained apart from the same random numbers. They are unrelated to the registry, yet share
an ancestor of a kind: they are counted by themselves, and not in the area and the accuracy.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from benchmarks.accuracy.others.environments import PACKAGES, Answer, NotInstalledError, Package, ask, python_of
from benchmarks.accuracy.others.folders import publish
from benchmarks.accuracy.others.pairs import RELATED, SAME_START, UNRELATED, Network, Pair, mother, networks, sample
from benchmarks.zoo.networks import ARCHITECTURES

MOTHER = "mother"

Floats = npt.NDArray[np.float64]
Verdicts = list[tuple[str, float, bool]]
"""Kind of pair, score, and whether it was called related."""


def area(related: Floats, unrelated: Floats) -> float:
    """Area under the ROC curve: how often a related pair's score is the higher one, draws counting half."""
    ranks = rankdata(np.concatenate([related, unrelated]))
    n, m = len(related), len(unrelated)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def accuracy(verdicts: Verdicts) -> float:
    """Mean of the shares of related and of unrelated pairs that were recognised."""
    right = [
        [yes == (kind == RELATED) for kind, _, yes in verdicts if (kind == RELATED) == wanted] for wanted in (0, 1)
    ]
    return float(np.mean([np.mean(one) for one in right])) if all(right) else float("nan")


def table(lines: Mapping[str, Verdicts]) -> str:
    """A line an answerer: area, accuracy, wrongly related pairs, and how many of each kind were called related."""
    kinds = Counter(kind for kind, _, _ in next(iter(lines.values())))
    shown = [kind for kind in (RELATED, *UNRELATED) if kinds[kind]]
    columns = ("area", "accuracy", "wrong/1000", *(f"{kind} ({kinds[kind]})" for kind in shown))
    rows = [" " * 32 + "".join(f"  {column}" for column in columns)]
    for name, verdicts in lines.items():
        pooled = [verdict for verdict in verdicts if verdict[0] != SAME_START]
        scores = [np.array([s for kind, s, _ in pooled if (kind == RELATED) == wanted]) for wanted in (True, False)]
        said = Counter(kind for kind, _, yes in verdicts if yes)
        wrong = float(np.mean([yes for kind, _, yes in pooled if kind != RELATED] or [np.nan]))
        cells = (
            f"{area(*scores):.3f}",
            f"{accuracy(pooled):.3f}",
            f"{1000 * wrong:.1f}",
            *(f"{said[k]}" for k in shown),
        )
        rows.append(
            f"  {name:30}" + "".join(f"  {cell:>{len(column)}}" for cell, column in zip(cells, columns, strict=True))
        )
    return "\n".join(rows)


def refusals(pairs: Sequence[Pair], answers: Sequence[Answer], published: Path) -> str:
    """Which architectures a package takes, and why it refuses the others."""
    lines = []
    for architecture in sorted({pair.one.architecture for pair in pairs}):
        mine = [a for pair, a in zip(pairs, answers, strict=True) if pair.one.architecture == architecture]
        taken = sum(not answer.refused for answer in mine)
        reasons = Counter(reason(answer.refused, published) for answer in mine if answer.refused)
        why = f"; refused: {reasons.most_common(1)[0][0]}" if reasons else ""
        lines.append(f"  {architecture}: {taken} of {len(mine)} pairs{why}")
    return "\n".join(lines)


def reason(refused: str, published: Path) -> str:
    """A refusal in one line that names no network."""
    return re.sub(rf"'?{re.escape(str(published))}/[\w-]+/[\w-]+'?", "it", refused).partition("\n")[0].rstrip(": ")


def judge(package: Package, environments: Path, pairs: Sequence[Pair], published: Path) -> str:
    """A package's report beside Mother's on the pairs that it takes."""
    try:
        python = python_of(package, environments)
    except NotInstalledError as error:
        return f"  could not be installed:\n{error}"
    folders = [(_folder(pair.one, published), _folder(pair.other, published)) for pair in pairs]
    answers = ask(package, python, folders)
    taken = [(pair, answer) for pair, answer in zip(pairs, answers, strict=True) if not answer.refused]
    report = refusals(pairs, answers, published)
    if not taken:
        return report
    lines = {name: [(pair.kind, *answer.said[name]) for pair, answer in taken] for name in package.answers}
    lines[f"{MOTHER}, on the same pairs"] = [(pair.kind, *mother(pair.one, pair.other)) for pair, _ in taken]
    return f"{report}\n\n{table(lines)}"


def _folder(network: Network, published: Path) -> Path:
    file = network.tree / f"{network.name}.safetensors"
    return publish(file, ARCHITECTURES[network.architecture], published / network.tree.name / network.name)


def main() -> None:
    """Draws pairs, asks, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where the zoo is kept")
    parser.add_argument("--environments", type=Path, default=Path(".cache/baselines"), help="where packages are kept")
    parser.add_argument("--pairs", type=int, default=300, help="most pairs of one architecture and kind")
    options = parser.parse_args()
    pairs = sample(networks(options.cache), options.pairs)
    for package in PACKAGES:
        print(f"\n{package.name}{f' ({package.note})' if package.note else ''}", flush=True)
        with TemporaryDirectory() as published:
            print(judge(package, options.environments, pairs, Path(published)), flush=True)


if __name__ == "__main__":
    main()
