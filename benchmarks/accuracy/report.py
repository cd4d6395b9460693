"""All numbers of a run, as one document that tables, pictures and the documentation are made from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.accuracy.calibration import Calibration, Judged, by_default, calibration, coverage_at, curve
from benchmarks.accuracy.engine import DECIDE, MOTHER, TIMED
from benchmarks.accuracy.methods import BASELINES, KNOW_ORDER, METHODS
from benchmarks.accuracy.relations import CERTAIN, MERGES, Child
from benchmarks.accuracy.running import Measured, Run
from benchmarks.accuracy.scores import RATES, Rate, Score, rates, share
from benchmarks.accuracy.slopes import TRAINED
from benchmarks.accuracy.strangers import KINDS, Pairs, false_edges

ALL = "all"
RANKS_OF_HALF = 32
"""Largest rank that is asked of bfloat16."""


def report(trees: Sequence[Measured], registries: Sequence[Pairs]) -> dict[str, Any]:
    """Everything that is printed, as numbers; a rate is a list of its value and the ends of its 95 % interval.

    Args:
        trees: What was measured on each tree.
        registries: Pairs across trees.
    """
    runs = [run for tree in trees for run in tree.runs]
    changes = [child for tree in trees for child in tree.children]
    pairs = [some for tree in trees for some in tree.pairs] + list(registries)
    return {
        "trees": len(trees),
        "networks": sum(run.scores[MOTHER].models + run.scores[MOTHER].apart for run in runs if not run.withheld),
        "apart": _apart(runs),
        "conditions": {name: _condition(chosen) for name, chosen in conditions(runs).items()},
        "relations": _relations(changes),
        "strangers": {kind: asdict(one) for kind in KINDS if (one := false_edges(pairs, kind)) is not None},
        "calibration": _calibrations([run.judged for run in runs]),
    }


def document(found: Any) -> Any:
    """A report as JSON has it: null for what was not measured."""
    if isinstance(found, Mapping):
        return {name: document(value) for name, value in found.items()}
    if isinstance(found, list | tuple):
        return [document(value) for value in found]
    return None if isinstance(found, float) and found != found else found


def conditions(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """All runs, those of each architecture, and those of each shape."""
    found: dict[str, list[Run]] = {ALL: list(runs)}
    for of in ("architecture", "shape"):
        for name in sorted({getattr(run, of) for run in runs}):
            found[f"{of}: {name}"] = [run for run in runs if getattr(run, of) == name]
    return found


def _condition(runs: Sequence[Run]) -> dict[str, Any]:
    """By share of withheld networks."""
    return {f"{withheld:g}": _methods([run for run in runs if run.withheld == withheld]) for withheld in _shares(runs)}


def _shares(runs: Iterable[Run | Judged]) -> list[float]:
    return sorted({run.withheld for run in runs})


def _methods(runs: Sequence[Run]) -> dict[str, Any]:
    scores = {name: [(run.tree, run.scores[name]) for run in runs] for name in METHODS}
    found: dict[str, Any] = {name: rates(of) for name, of in scores.items()}
    return {
        "trees": len({run.tree for run in runs}),
        "cases": len(runs),
        "methods": found,
        "ahead": {
            "weights": _ahead(scores, found, MOTHER, [name for name in BASELINES if name not in KNOW_ORDER]),
            "time": _ahead(scores, found, TIMED, list(BASELINES)),
        },
    }


def _ahead(
    scores: Mapping[str, list[tuple[str, Score]]],
    found: Mapping[str, Mapping[str, Rate]],
    method: str,
    rivals: Sequence[str],
) -> dict[str, Any]:
    """The best rival at everything, and by how much a method is better than it."""
    best = {what: max(rivals, key=lambda name: np.nan_to_num(found[name][what][0], nan=-1.0)) for what in RATES}
    margins = {rival: rates(scores[method], scores[rival]) for rival in set(best.values())}
    return {"best": best, "margin": {what: margins[rival][what] for what, rival in best.items()}}


def _apart(runs: Sequence[Run]) -> dict[str, int]:
    scores = [run.scores[MOTHER] for run in runs if not run.withheld]
    return {name: sum(getattr(one, name) for one in scores) for name in ("apart", "apart_exact", "apart_wrong")}


def _relations(changes: Sequence[Child]) -> dict[str, Any]:
    typed = [child for child in changes if child.relation]
    named = [child for child in typed if child.said]
    loras = [child for child in changes if child.rank]
    merged = [child for child in changes if child.kind in MERGES]
    trained = [child for child in changes if child.kind in TRAINED]
    linear = [child for child in merged if child.error is not None]
    return {
        "named": _share(typed, lambda child: child.said is not None),
        "right": _share(named, lambda child: child.said == child.relation),
        "by relation": {
            relation: {
                "children": sum(child.relation == relation for child in typed),
                "right": _share(_of(named, relation), lambda child: child.said == child.relation),
                "said": dict(Counter(child.said or "no parent found" for child in _of(typed, relation)).most_common()),
            }
            for relation in sorted({child.relation for child in typed if child.relation})
        },
        "ranks": {
            stored: _ranks([c for c in loras if c.stored == stored]) for stored in sorted({c.stored for c in loras})
        },
        "merges": {
            kind: _merges([child for child in merged if kind in (ALL, child.kind)])
            for kind in (ALL, *(kind for kind in MERGES if any(child.kind == kind for child in merged)))
        },
        "two parents found": _share([child for child in merged if child.parents == 2], lambda child: child.all_found),
        "coefficients": {
            "merges": len(linear),
            "within 0.03": _share(linear, lambda child: child.error is not None and child.error <= 0.03),
            "largest error": max((child.error for child in linear if child.error is not None), default=None),
            "largest error, all parents found": max(
                (child.error for child in linear if child.error is not None and child.all_found), default=None
            ),
        },
        "directions": {
            kind: _directions([child for child in changes if child.kind in kinds])
            for kind, kinds in ((ALL, CERTAIN), *((kind, (kind,)) for kind in CERTAIN))
        },
        "changes": {
            token: _directions([child for child in trained if token in child.change.split()])
            for token in sorted({token for child in trained for token in child.change.split()}, key=_natural)
        },
    }


def _natural(token: str) -> tuple[str, float]:
    """Sorts ``rate=3.0`` before ``rate=10.0``."""
    name, _, value = token.partition("=")
    return name, float(value) if value.replace(".", "", 1).isdigit() else 0.0


def _of(changes: Sequence[Child], relation: str) -> list[Child]:
    return [child for child in changes if child.relation == relation]


def _share(changes: Sequence[Child], what: Callable[[Child], bool]) -> Rate:
    return share([(child.tree, what(child)) for child in changes])


def _ranks(loras: Sequence[Child]) -> dict[str, Any]:
    linked = [child for child in loras if child.said]
    asked = [child for child in linked if child.stored != "BF16" or (child.rank or 0) <= RANKS_OF_HALF]
    return {
        "children": len(loras),
        "linked": len(linked),
        "exact": _share(asked, lambda child: child.rank == child.rank_said),
        "by rank": {
            str(rank): [
                sum(child.rank == rank == child.rank_said for child in linked),
                sum(child.rank == rank for child in linked),
            ]
            for rank in sorted({child.rank for child in loras if child.rank})
        },
    }


def _merges(merged: Sequence[Child]) -> dict[str, Any]:
    return {
        "children": len(merged),
        "all parents found": _share(merged, lambda child: child.all_found),
        "and no other": _share(merged, lambda child: child.exact),
        "largest error": max((child.error for child in merged if child.error is not None), default=None),
    }


def _directions(changes: Sequence[Child]) -> dict[str, Any]:
    linked = [child for child in changes if child.direction != "missing"]
    return {
        "children": len(changes),
        "linked": _share(changes, lambda child: child.direction != "missing"),
        "right": _share(linked, lambda child: child.direction == "right"),
        "undecided": sum(child.direction == "undecided" for child in linked),
        "reversed": sum(child.direction == "reversed" for child in linked),
    }


def _calibrations(cases: Sequence[Judged]) -> dict[str, Any]:
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in cases:
        groups[ALL].append(one)
        groups[f"{one.withheld:g}"].append(one)
    return {name: _calibrated(chosen) for name, chosen in groups.items()}


def _calibrated(cases: Sequence[Judged]) -> dict[str, Any]:
    precision, coverage = by_default(cases)
    thresholds, precise, covered = curve(cases)
    kept = [n for n in range(len(thresholds)) if n % max(1, len(thresholds) // 200) == 0 or n == len(thresholds) - 1]
    return {
        "edges": _calibration(calibration(cases, "probability")),
        "directions": _calibration(calibration(cases, "direction")),
        "threshold": DECIDE,
        "precision": precision,
        "coverage": coverage,
        "coverage at 95 % precision": coverage_at(cases),
        "curve": [[float(values[n]) for values in (thresholds, precise, covered)] for n in kept],
    }


def _calibration(found: Calibration) -> dict[str, Any]:
    return asdict(found)
