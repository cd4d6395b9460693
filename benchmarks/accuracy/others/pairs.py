"""Pairs of the zoo's networks, with what is true of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy.cases import fingerprint
from benchmarks.zoo.growing import TRUTH
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import compare

RELATED = "related"
SAME_START = "same-start"
ELSEWHERE = "another tree"
STRANGERS = ("other-seed", "same-table", "student", SAME_START)
UNRELATED = (ELSEWHERE, *STRANGERS)


@dataclass(frozen=True)
class Network:
    """A network of the zoo.

    Attributes:
        tree: Its tree's folder.
        name: In its tree.
        architecture: Of the tree.
        kind: What made it.
        origin: The root that it comes from.
    """

    tree: Path
    name: str
    architecture: str
    kind: str
    origin: str


@dataclass(frozen=True)
class Pair:
    """Two networks, and how they are related: :data:`RELATED` or one of :data:`UNRELATED`."""

    one: Network
    other: Network
    kind: str


def networks(cache: Path) -> list[Network]:
    """All networks of the trees that were grown, but for unmerged adapters, which are none by themselves."""
    found = []
    for truth in sorted(cache.glob(f"*/{TRUTH}")):
        tree = json.loads(truth.read_text())
        facts: dict[str, Any] = tree["networks"]
        found += [
            Network(truth.parent, name, tree["architecture"], fact["kind"], _origin(name, facts))
            for name, fact in facts.items()
            if fact["kind"] != "adapter"
        ]
    return found


def _origin(name: str, facts: Mapping[str, Any]) -> str:
    parents = list(facts[name]["parents"])
    return _origin(parents[0], facts) if parents else name


def kind_of(one: Network, other: Network) -> str | None:
    """How two networks are related; None for two kinds of strangers, of whom each is a stranger in its own way."""
    if one.tree == other.tree and one.origin == other.origin:
        return RELATED
    strange = {network.kind for network in (one, other)} & set(STRANGERS)
    if one.tree != other.tree or not strange:
        return ELSEWHERE
    return strange.pop() if len(strange) == 1 else None


def sample(among: Iterable[Network], most: int, seed: int = 0) -> list[Pair]:
    """Draws pairs of one architecture: of each architecture and kind all, or ``most`` of them."""
    rng = np.random.default_rng(seed)
    pairs: dict[tuple[str, str], list[Pair]] = defaultdict(list)
    for one, other in combinations(among, 2):
        kind = kind_of(one, other) if one.architecture == other.architecture else None
        if kind:
            pairs[one.architecture, kind].append(Pair(one, other, kind))
    compared = {architecture for architecture, kind in pairs if kind != RELATED}
    return [
        chosen[place]
        for (architecture, _), chosen in sorted(pairs.items())
        if architecture in compared
        for place in rng.permutation(len(chosen))[:most]
    ]


def mother(one: Network, other: Network) -> tuple[float, bool]:
    """Mother's probability that two networks are related, and whether that is more likely than not."""
    related = compare(fingerprint_of(one), fingerprint_of(other)).related
    return related, related > 0.5


@cache
def fingerprint_of(network: Network) -> Fingerprint:
    """What Mother knows of a network."""
    return fingerprint(network.tree, network.name, network.kind)
