"""Every method on the zoo's trees, from weights alone: ``python -m benchmarks.accuracy [--small] [--withheld 0 0.4]``.

Prints a table for each share of withheld networks, and one for each architecture or shape with ``--by``. A rate's
interval comes from drawing whole trees. Trees that were not grown yet are left out, and named.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks.accuracy.cases import case
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.scores import RATES, Score, rate, score
from benchmarks.zoo.growing import TRUTH
from benchmarks.zoo.plans import Plan, zoo

Row = tuple[Plan, float, dict[str, Score]]


def measure(plan: Plan, withheld: float, cache: Path) -> Row:
    """All methods on one tree."""
    posed = case(cache / plan.name, withheld, plan.seed)
    return plan, withheld, {name: score(posed, method(posed)) for name, method in METHODS.items()}


def table(rows: list[Row]) -> str:
    """A line a method, a column a rate."""
    lines = [f"  {'':44}" + "".join(f"{what:>22}" for what in RATES)]
    for name in METHODS:
        cells = []
        for what in RATES:
            value, low, high = rate([scores[name] for _, _, scores in rows], what)
            cells.append(f"{value:8.3f} [{low:.2f}, {high:.2f}]")
        lines.append(f"  {name:44}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the small zoo")
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where the zoo is kept")
    parser.add_argument("--withheld", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6])
    parser.add_argument("--by", choices=("architecture", "shape"), help="one table for each as well")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    plans = zoo(small=options.small)
    grown = [plan for plan in plans if (options.cache / plan.name / TRUTH).exists()]
    if len(grown) < len(plans):
        print("not grown:", ", ".join(sorted({plan.name for plan in plans} - {plan.name for plan in grown})))
    for withheld in options.withheld:
        with ProcessPoolExecutor(options.jobs) as pool:
            rows = list(pool.map(partial(measure, withheld=withheld, cache=options.cache), grown))
        print(f"\n{withheld:.0%} withheld, {len(rows)} trees\n{table(rows)}", flush=True)
        groups: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if options.by:
                groups[getattr(row[0], options.by)].append(row)
        for name, chosen in sorted(groups.items()):
            print(f"\n{withheld:.0%} withheld, {name}, {len(chosen)} trees\n{table(chosen)}", flush=True)


if __name__ == "__main__":
    main()
