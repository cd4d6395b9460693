"""Every method on the zoo's trees: ``python -m benchmarks.accuracy [--small] [--json FILE] [--plots FOLDER]``.

Prints a table for each share of withheld networks, one for each architecture and shape, and what Mother makes of
changes, strangers and its own probabilities. Intervals come from drawing whole trees. Trees that were not grown yet
are left out, and named.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.accuracy.report import document, report
from benchmarks.accuracy.running import measure, measure_registry
from benchmarks.accuracy.tables import tables
from benchmarks.zoo.growing import TRUTH
from benchmarks.zoo.plans import zoo


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the small zoo")
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where the zoo is kept")
    parser.add_argument("--withheld", type=float, nargs="+", default=[0.0, 0.2, 0.4, 0.6])
    parser.add_argument("--draws", type=int, default=5, help="cases of each tree for each share above 0")
    parser.add_argument("--seed", type=int, default=0, help="which networks are withheld")
    parser.add_argument("--json", type=Path, help="where to write all numbers")
    parser.add_argument("--plots", type=Path, help="a folder for pictures")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    threadpool_limits(1)  # Matrices are small, and processes as many as processors.
    plans = zoo(small=options.small)
    grown = [plan for plan in plans if (options.cache / plan.name / TRUTH).exists()]
    if len(grown) < len(plans):
        missing = ", ".join(sorted({plan.name for plan in plans} - {plan.name for plan in grown}))
        print(textwrap.fill(f"not grown: {missing}", 120))
    if not grown:
        parser.error("no tree was grown: run python -m benchmarks.zoo first")
    folders = [options.cache / plan.name for plan in grown]
    registries: dict[str, list[Path]] = defaultdict(list)
    for plan, folder in zip(grown, folders, strict=True):
        registries[plan.architecture].append(folder)
    one = partial(measure, withheld=sorted(set(options.withheld)), draws=options.draws, seed=options.seed)
    with ProcessPoolExecutor(options.jobs) as pool:
        trees = list(pool.map(one, folders))
        across = [pairs for found in pool.map(measure_registry, registries.values()) for pairs in found]
    found = report(trees, across)
    for table in tables(found):
        print(table, flush=True)
    if options.json:
        options.json.write_text(json.dumps(document(found), indent=1, allow_nan=False))
    if options.plots:
        from benchmarks.accuracy.plots import plots

        plots(found, [tree.slopes for tree in trees], options.plots)


if __name__ == "__main__":
    main()
