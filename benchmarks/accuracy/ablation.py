"""What each kind of evidence is worth: ``python -m benchmarks.accuracy.ablation``.

For each variant the coefficients are fitted as in :mod:`.fitting`, on all architectures but one, and then judged on
that one: the share of originals whose most probable parent is the true one, and the logarithm of the true forests'
likelihood.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.accuracy.fitting import COMPLETE_WEIGHT, Example, coefficients, examples, log_likelihood, most_probable
from benchmarks.zoo.plans import zoo
from mlflow_mother.heritage.parentage import EVIDENCE


@dataclass(frozen=True)
class Judged:
    """One variant on the architectures that its coefficients had not seen.

    Attributes:
        complete: Share of originals with the right parent, or rightly none, in complete registries.
        incomplete: The same where networks are withheld.
        log_likelihood: Of the true forests, weighted as in the fit.
    """

    complete: float
    incomplete: float
    log_likelihood: float


def variants(data: Sequence[Example]) -> Iterator[tuple[str, list[Example]]]:
    """The examples as they are, without each kind of evidence, and with complete registries counting differently."""
    yield "all evidence", list(data)
    for n, name in enumerate(EVIDENCE):
        yield f"without {name}", [replace(e, evidence=np.delete(e.evidence, n, axis=-1)) for e in data]
    for weight in (1.0, 2.0, 4.0):
        changed = [replace(e, weight=weight if e.complete else e.weight) for e in data]
        yield f"complete counting {weight:g} times, not {COMPLETE_WEIGHT:g}", changed


def judge(variant: tuple[str, list[Example]]) -> tuple[str, Judged]:
    """Fits and judges a variant, leaving out one architecture at a time."""
    name, data = variant
    right: dict[bool, list[bool]] = {True: [], False: []}
    total = 0.0
    for architecture in sorted({example.architecture for example in data}):
        fitted = coefficients([example for example in data if example.architecture != architecture])
        for example in data:
            if example.architecture == architecture:
                right[example.complete] += (most_probable(example, fitted) == example.parents).tolist()
                total += example.weight * log_likelihood(example, fitted)
    return name, Judged(float(np.mean(right[True])), float(np.mean(right[False])), total)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where the zoo is kept")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    threadpool_limits(1)  # Matrices are small, and processes as many as processors.
    folders = [options.cache / plan.name for plan in zoo()]
    with ProcessPoolExecutor(options.jobs) as pool:
        data = [example for found in pool.map(partial(examples), folders) for example in found]
        print(f"{'':40} {'complete':>9} {'withheld':>9} {'log-likelihood':>15}")
        for name, judged in pool.map(judge, variants(data)):
            print(
                f"{name:40} {judged.complete:9.3f} {judged.incomplete:9.3f} {judged.log_likelihood:15.1f}", flush=True
            )


if __name__ == "__main__":
    main()
