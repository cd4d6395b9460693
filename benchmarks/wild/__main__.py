"""Prints how the engine does on real networks; exits with 1 when something that must hold does not.

Must hold, for each family, for all families in one call, and for every shuffling: no false edge; every true pair
linked; no direction wrong with a probability above 0.9; the same answer whatever the names and the order. "kin" counts
groups whose common ancestor is not among them, "ancestors" those of them that got an unregistered one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.wild.families import FAMILIES, Family
from benchmarks.wild.scoring import Result, recover, said
from benchmarks.wild.truth import Truth

COLUMNS = (
    *("family", "models", "pairs", "linked", "right", "undecided", "wrong"),
    *("wrong > 0.9", "false edges", "kin", "ancestors"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Downloads, recovers, prints; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wild", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/wild"), help="downloads (default: %(default)s)")
    parser.add_argument("--shufflings", type=int, default=20, help="of all families together (default: %(default)s)")
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES), help="only these; may be repeated")
    options = parser.parse_args(arguments)

    families = [FAMILIES[name] for name in options.family or FAMILIES]
    files = {family.name: family.files(options.cache) for family in families}
    results = [recover(family.name, files[family.name], family.truth, seed=0) for family in families]
    everything = {f"{family.name}/{name}": file for family in families for name, file in files[family.name].items()}
    truth = Truth.union(family.truth.named(family.name) for family in families)
    together = recover("all together", everything, truth, seed=0)
    print_sources(families)
    print_table([*results, together])
    for result in results:
        print_pairs(result)

    failures = [failure for result in (*results, together) for failure in result.failures]
    if set().union(*(said(result, result.name) for result in results)) != said(together):
        failures.append("all together: not the same edges as each family alone")
    answers, started = [], time.perf_counter()
    for seed in range(1, options.shufflings + 1):
        again = recover(f"shuffling {seed}", everything, truth, seed)
        answers.append(said(again))
        failures += again.failures
    same = sum(answer == said(together) for answer in answers)
    seconds = time.perf_counter() - started
    print(f"\nthe same answer in {same} of {len(answers)} shufflings of names and order ({seconds:.0f} s)")
    if same < len(answers):
        failures.append(f"{len(answers) - same} shufflings gave another answer")
    for failure in failures:
        print(f"MUST HOLD: {failure}")
    print("all that must hold holds" if not failures else f"{len(failures)} failures")
    return 1 if failures else 0


def print_sources(families: Sequence[Family]) -> None:
    """Where each family comes from, under which licence, and what is documented of it."""
    for family in families:
        packages = ", ".join(package.requirement for package in family.packages)
        print(f"{family.name}: {packages}; {family.licence}\n    {family.documented}")
    print()


def print_table(results: Sequence[Result]) -> None:
    """One row a family."""
    rows = [
        (
            result.name,
            result.models,
            len(result.truth.pairs),
            len(result.truth.pairs) - result.count("missing"),
            *(result.count(verdict) for verdict in ("right", "undecided", "wrong")),
            result.surely_wrong,
            len(result.false_edges),
            len(result.truth.kin),
            result.ancestors,
        )
        for result in results
    ]
    print("  ".join((f"{COLUMNS[0]:<14}", *COLUMNS[1:])))
    for name, *counts in rows:
        cells = (f"{count:>{len(column)}}" for count, column in zip(counts, COLUMNS[1:], strict=True))
        print("  ".join((f"{name:<14}", *cells)))


def print_pairs(result: Result) -> None:
    """One line a true pair, with the engine's reasons; then every false edge."""
    for pair in result.truth.pairs:
        edge = result.found(pair)
        print(f"\n{result.name}: {pair[0]} -> {pair[1]}: {result.verdict(pair)}", end="")
        if edge:
            way = f"direction {edge.direction_probability:.3f}"
            print(f", {edge.relation.value}, probability {edge.probability:.3f}, {way}")
            print("    " + "; ".join(evidence.text for evidence in edge.evidence), end="")
    if result.truth.pairs:
        print()
    for edge in result.false_edges:
        print(f"{result.name}: FALSE {edge.parent} -> {edge.child}, probability {edge.probability:.3f}")


if __name__ == "__main__":
    sys.exit(main())
