"""Prints a table: the fingerprint pass beside ``b2sum`` of the same file, alternating, medians of the ratios."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.fingerprint.files import DTYPES, write_model

HEADINGS = (
    "type", "GB", "b2sum s", "pass s", "pass/b2sum", "spread", "pass GB/s", "b2sum cpu s", "pass cpu s",
    "cpu/2/b2sum", "extra MB", "fingerprint KB",
)  # fmt: skip


def row(dtype: str, result: dict[str, list[list[float]]]) -> list[str]:
    """One line of the table from one file's measurement."""
    nbytes = float(str(result["nbytes"]))
    walls = [(b[0], f[0]) for b, f in zip(result["checksum"], result["fingerprint"], strict=True)]
    cpus = [(b[1], f[1]) for b, f in zip(result["checksum"], result["fingerprint"], strict=True)]
    ratios = [f / b for b, f in walls]
    return [
        dtype,
        f"{nbytes / 1e9:.2f}",
        f"{median(b for b, _ in walls):.2f}",
        f"{median(f for _, f in walls):.2f}",
        f"{median(ratios):.2f}",
        f"{min(ratios):.2f}-{max(ratios):.2f}",
        f"{nbytes / 1e9 / median(f for _, f in walls):.2f}",
        f"{median(b for b, _ in cpus):.2f}",
        f"{median(f for _, f in cpus):.2f}",
        f"{median(f / 2 / b for b, f in cpus):.2f}",
        f"{float(str(result['extra_megabytes'])):.0f}",
        f"{float(str(result['fingerprint_bytes'])) / 1e3:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fingerprint", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of each file")
    parser.add_argument("--runs", type=int, default=5, help="pairs of runs a file")
    parser.add_argument("--threads", type=int, default=2, help="worker threads of the pass")
    parser.add_argument("--types", nargs="+", choices=list(DTYPES), default=list(DTYPES), help="element types")
    arguments = parser.parse_args()

    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f}, {arguments.runs} alternating runs, warm cache, pass only.")
    if load > 0.5:
        print("Other programs are running: ratios of wall-clock times suffer; `cpu/2/b2sum` suffers less.")
    table = [list(HEADINGS)]
    for dtype in arguments.types:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.safetensors")
            write_model(path, dtype, int(arguments.gigabytes * 1e9))
            command = [sys.executable, "-m", "benchmarks.fingerprint.measure", str(path)]
            command += [str(arguments.runs), str(arguments.threads)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            table.append(row(dtype, json.loads(done.stdout)))
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADINGS))]
    for line in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


if __name__ == "__main__":
    main()
