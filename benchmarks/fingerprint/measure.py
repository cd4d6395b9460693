"""Measures one file in a process of its own, so that the peak of memory is the pass's: prints one JSON object."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch  # noqa: F401 - loaded before the baseline of memory is taken

from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.fingerprint.format import to_bytes
from mlflow_mother.weights import LocalFiles


def cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def timed(action: Callable[[], object], who: int) -> tuple[float, float]:
    """Wall-clock and processor seconds of an action."""
    cpu, wall = cpu_seconds(who), time.perf_counter()
    action()
    return time.perf_counter() - wall, cpu_seconds(who) - cpu


def peak_megabytes() -> float:
    """Peak resident memory of this program; ``ru_maxrss`` would include that of the process it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(path: Path, runs: int, threads: int) -> dict[str, object]:
    """Alternates ``b2sum`` and the pass, after one of each that does not count."""
    before = peak_megabytes()
    sizes: list[int] = []

    def checksum() -> None:
        subprocess.run(["b2sum", str(path)], check=True, stdout=subprocess.DEVNULL)

    def fingerprint() -> None:
        sizes.append(len(to_bytes(fingerprint_model(LocalFiles(path), threads=threads))))

    checksum()
    fingerprint()
    pairs = [(timed(checksum, resource.RUSAGE_CHILDREN), timed(fingerprint, resource.RUSAGE_SELF)) for _ in range(runs)]
    return {
        "nbytes": path.stat().st_size,
        "checksum": [list(pair[0]) for pair in pairs],
        "fingerprint": [list(pair[1]) for pair in pairs],
        "extra_megabytes": peak_megabytes() - before,
        "fingerprint_bytes": sizes[-1],
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
