"""Trees as a registry would have them: some networks withheld, the others under meaningless names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo.growing import TRUTH
from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.fingerprint.format import from_bytes, to_bytes
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.weights.model import LocalFiles

STAND_INS = frozenset({"cast", "quantised", "packed"})
"""What stands for a network that is missing: all but the network itself."""


@dataclass(frozen=True)
class Case:
    """A task for a method, and its solution.

    Attributes:
        tree: Name in the zoo.
        architecture: Of all its networks.
        shape: Of the tree.
        withheld: Share of the networks that are missing.
        models: Fingerprints by id.
        order: Ids as they were registered.
        families: How many true families there are among the models; some methods have to be told.
        parents: Nearest registered true ancestors by id; several of a merge, none of roots and strangers.
        surrogates: By id, what is no ancestor but all that is left of a missing parent.
    """

    tree: str
    architecture: str
    shape: str
    withheld: float
    models: Mapping[str, Fingerprint]
    order: tuple[str, ...]
    families: int
    parents: Mapping[str, frozenset[str]]
    surrogates: Mapping[str, frozenset[str]]

    @property
    def edges(self) -> frozenset[tuple[str, str]]:
        """True pairs of parent and child."""
        return frozenset((parent, child) for child, found in self.parents.items() for parent in found)


def case(folder: Path, withheld: float, seed: int) -> Case:
    """Makes a case of a grown tree.

    Args:
        folder: The tree's.
        withheld: Share of its networks to withhold; the first root is among them unless it is 0.
        seed: Decides which, and the names.
    """
    truth = json.loads((folder / TRUTH).read_text())
    facts: dict[str, Any] = truth["networks"]
    rng = np.random.default_rng([seed, round(1000 * withheld)])
    names = list(facts)
    missing = _missing(names, withheld, rng)
    kept = [name for name in names if name not in missing]
    shuffled = rng.permutation(len(kept))
    alias = {name: f"model-{place}" for name, place in zip(kept, shuffled, strict=True)}
    parents = {alias[name]: frozenset(alias[a] for a in _ancestors(name, facts, missing)) for name in kept}
    return Case(
        tree=folder.name,
        architecture=truth["architecture"],
        shape=truth["shape"],
        withheld=withheld,
        models={alias[name]: fingerprint(folder, name, facts[name]["kind"]) for name in kept},
        order=tuple(alias[name] for name in truth["registered"] if name in alias),
        families=len({_origin(name, facts) for name in kept}),
        parents=parents,
        surrogates={alias[name]: frozenset(alias[s] for s in _surrogates(name, facts, missing)) for name in kept},
    )


def fingerprint(folder: Path, name: str, kind: str) -> Fingerprint:
    """A network's fingerprint, which is kept beside its file."""
    kept = folder / f"{name}.fingerprint"
    if kept.exists():
        return from_bytes(kept.read_bytes())
    found = fingerprint_model(LocalFiles(folder / (name if kind == "adapter" else f"{name}.safetensors")))
    kept.write_bytes(to_bytes(found))
    return found


def _missing(names: list[str], withheld: float, rng: np.random.Generator) -> set[str]:
    count = round(withheld * len(names))
    if not count:
        return set()
    others = rng.choice(names[1:], size=min(count - 1, len(names) - 1), replace=False)
    return {names[0], *others.tolist()}


def _ancestors(name: str, facts: Mapping[str, Any], missing: set[str]) -> set[str]:
    found: set[str] = set()
    for parent in facts[name]["parents"]:
        found |= _ancestors(parent, facts, missing) if parent in missing else {parent}
    return found


def _surrogates(name: str, facts: Mapping[str, Any], missing: set[str]) -> set[str]:
    gone = {parent for parent in facts[name]["parents"] if parent in missing}
    return {
        other
        for other, fact in facts.items()
        if other not in missing and other != name and fact["kind"] in STAND_INS and gone & set(fact["parents"])
    }


def _origin(name: str, facts: Mapping[str, Any]) -> str:
    """The root that a network comes from, by its first parents."""
    parents = list(facts[name]["parents"])
    return _origin(parents[0], facts) if parents else name
