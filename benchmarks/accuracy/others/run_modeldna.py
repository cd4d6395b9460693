"""Runs in modeldna's environment: ``run_modeldna.py PAIRS ANSWERS``, both JSON.

It does what the package's ``compare_pair`` does, but reads every network once. Where the package knows the names of
none of a network's tensors it would say that nothing matches, without having looked: that is taken for a refusal.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

from modeldna.compare import compare_fingerprints
from modeldna.fingerprint import Fingerprint, extract_fingerprint
from modeldna.io.source import open_source
from modeldna.verdict import Thresholds, judge


@cache
def fingerprint(folder: str) -> Fingerprint:
    return extract_fingerprint(open_source(folder), model_id=folder)


def answer(one: str, other: str) -> dict[str, object]:
    try:
        first, second = fingerprint(one), fingerprint(other)
        if not (first.arch.canonical_coverage and second.arch.canonical_coverage):
            return {"refused": "no comparable signals, for it knows no tensor by its name"}
        verdict = judge([(compare_fingerprints(first, second), other)], first.arch.torch_dtype)
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    (candidate,) = verdict.candidates
    score = candidate.probability or 0.0  # of another shape, which it takes for unrelated
    return {"modeldna": [score, score >= Thresholds().positive]}


def main() -> None:
    pairs, answers = map(Path, sys.argv[1:])
    answers.write_text(json.dumps([answer(*pair) for pair in json.loads(pairs.read_text())]))


if __name__ == "__main__":
    main()
