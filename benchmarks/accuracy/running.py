"""All that is measured on one tree: every method on every case, each answer judged in every way there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.accuracy import engine
from benchmarks.accuracy.calibration import Judged, judge
from benchmarks.accuracy.cases import Grown
from benchmarks.accuracy.methods import BASELINES
from benchmarks.accuracy.relations import Child, children
from benchmarks.accuracy.scores import Score, score
from benchmarks.accuracy.slopes import Slopes, slopes
from benchmarks.accuracy.strangers import Pairs, across, within


@dataclass(frozen=True)
class Run:
    """One case.

    Attributes:
        tree: Name in the zoo.
        architecture: Of its networks.
        shape: Its tree's.
        withheld: Share of the networks that were missing.
        scores: Of every method.
        judged: The claims of Mother, from weights alone.
    """

    tree: str
    architecture: str
    shape: str
    withheld: float
    scores: Mapping[str, Score]
    judged: Judged


@dataclass(frozen=True)
class Measured:
    """One tree.

    Attributes:
        runs: All its cases.
        children: What the engine says of the complete tree's changes.
        pairs: Relatives and strangers of the complete tree.
        slopes: Projection slopes of its edges and siblings.
    """

    runs: tuple[Run, ...]
    children: tuple[Child, ...]
    pairs: tuple[Pairs, ...]
    slopes: Slopes


def measure(folder: Path, withheld: Sequence[float], draws: int, seed: int) -> Measured:
    """Runs every method on a grown tree, complete and with each share of its networks withheld ``draws`` times."""
    tree = Grown(folder)
    runs: list[Run] = []
    for share in withheld:
        count = draws if share else 1
        for draw in range(count):
            posed = tree.case(share, seed, draw)
            found = {name: engine.claims(variant(posed)) for name, variant in engine.VARIANTS.items()}
            forced = engine.claims(engine.forced(posed))
            scores = {
                name: score(posed, engine.answer_of(said, list(posed.models)), engine.undecided(said))
                for name, said in found.items()
            }
            scores |= {name: score(posed, method(posed)) for name, method in BASELINES.items()}
            judged = judge(posed, found[engine.MOTHER], forced, count)
            runs.append(Run(tree.name, tree.architecture, tree.shape, share, scores, judged))
    complete = tree.case(0.0, seed)
    said = engine.claims(engine.recovered(complete))
    return Measured(
        runs=tuple(runs),
        children=tuple(children(complete, said)),
        pairs=tuple(within(complete, said)),
        slopes=slopes(tree),
    )


def measure_registry(folders: Sequence[Path], seed: int = 0) -> list[Pairs]:
    """Pairs across all trees of one architecture, in one registry."""
    return across([Grown(folder) for folder in folders], seed)
