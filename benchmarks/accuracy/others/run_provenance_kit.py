"""Runs in cisco-ai-provenance-kit's environment: ``run_provenance_kit.py PAIRS ANSWERS``, both JSON.

The package answers from configuration files first, and asks the weights only where these differ. Its score of the
weights is computed all the same, and reported as a second answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from provenancekit.config.constants import SIMILARITY_THRESHOLD
from provenancekit.core.scanner import ModelProvenanceScanner
from provenancekit.utils.logging import configure_logging


def answer(scanner: ModelProvenanceScanner, one: str, other: str) -> dict[str, object]:
    try:
        scores = scanner.compare(one, other).scores
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    said = {"provenance-kit": scores.pipeline_score, "provenance-kit, weights alone": scores.identity_score}
    return {name: [score or 0.0, (score or 0.0) > SIMILARITY_THRESHOLD] for name, score in said.items()}


def main() -> None:
    pairs, answers = map(Path, sys.argv[1:])
    configure_logging(verbose=False)
    scanner = ModelProvenanceScanner()
    answers.write_text(json.dumps([answer(scanner, *pair) for pair in json.loads(pairs.read_text())]))


if __name__ == "__main__":
    main()
