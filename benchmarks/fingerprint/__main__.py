"""Prints a table: the fingerprint pass beside ``b2sum`` of the same file, alternating, medians of the ratios."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.fingerprint.files import DTYPES, write_many, write_model
from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.fingerprint.format import to_bytes
from mlflow_mother.weights import LocalFiles

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


def many(counts: list[int], runs: int, threads: int) -> None:
    """Prints what a tensor costs that has next to no elements."""
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, medians of {runs} runs.")
    print(f"{'tensors':>9}  {'wall s':>7}  {'cpu s':>7}  {'cpu us/tensor':>13}  {'kept':>6}  {'fingerprint KB':>14}")
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            path = Path(folder, f"{count}.safetensors")
            write_many(path, count)
            times = []
            for _ in range(runs):
                wall, cpu = time.perf_counter(), time.process_time()
                found = fingerprint_model(LocalFiles(path), threads=threads)
                times.append((time.perf_counter() - wall, time.process_time() - cpu))
            wall, cpu = (median(column) for column in zip(*times, strict=True))
            size = len(to_bytes(found)) / 1e3
            print(f"{count:9}  {wall:7.2f}  {cpu:7.2f}  {cpu / count * 1e6:13.0f}  {len(found.names):6}  {size:14.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fingerprint", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of each file")
    parser.add_argument("--runs", type=int, default=5, help="pairs of runs a file")
    parser.add_argument("--threads", type=int, default=2, help="worker threads of the pass")
    parser.add_argument("--many", nargs="+", type=int, metavar="N", help="instead: files of N tiny tensors each")
    parser.add_argument("--types", nargs="+", choices=list(DTYPES), default=list(DTYPES), help="element types")
    arguments = parser.parse_args()

    if arguments.many:
        many(arguments.many, arguments.runs, arguments.threads)
        return
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
