"""Trained families on disk: one safetensors file a member, and the truth about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save_file

from benchmarks.demo.family import PARTS, build_family

TRUTH = "truth.json"
"""File that a finished family has."""


def train_family(folder: Path, seed: int) -> None:
    """Trains one family into a folder, unless it is there."""
    if (folder / TRUTH).exists():
        return
    train_parts(folder, seed, PARTS)
    collect_truth(folder)


def train_parts(folder: Path, seed: int, parts: Sequence[str]) -> None:
    """Trains some parts of a family; a member's files appear when it is done."""
    folder.mkdir(parents=True, exist_ok=True)
    for member in build_family(seed, parts):
        tensors = {name: value.contiguous() for name, value in member.model.state_dict().items()}
        save_file(tensors, folder / f"{member.name}.safetensors")
        fact = {"parents": member.parents, "relation": member.relation}
        (folder / f"{member.name}.json").write_text(json.dumps(fact))


def collect_truth(folder: Path) -> None:
    """Gathers the members' facts into one file, which marks the family as finished."""
    facts = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json")) if path.name != TRUTH}
    (folder / TRUTH).write_text(json.dumps(facts, indent=1))
