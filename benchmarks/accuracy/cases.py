"""Trees as a registry would have them: some networks withheld, the others under meaningless names."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.zoo.growing import TRUTH
from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.fingerprint.format import from_bytes, to_bytes
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import Comparison
from mlflow_mother.weights.model import LocalFiles

STAND_INS = frozenset({"cast", "quantised", "packed"})
"""What stands for a network that is missing: all but the network itself."""

APART = frozenset({"adapter", "permuted"})
"""Whose parent no comparison of fingerprints can find: an unmerged adapter holds nothing of its base, and here does not
name it; hidden units in another order are what the deep comparison is for."""

DECLARING, DECLARED_WRONGLY = 0.5, 0.1
"""Share of the children that declare their parents, and share of these declarations that are wrong."""


@dataclass(frozen=True)
class Network:
    """What is true of one network.

    Attributes:
        name: In its tree.
        kind: What made it.
        change: The same with its parameters, e.g. ``finetune optimizer=sgd rate=1.0``.
        relation: To its parents, in the engine's words; None where the engine has none for it, or no parents exist.
        rank: Of a LoRA, else None.
        shares: Direct parents that are registered, by id, with their shares; None where a child is no linear mixture.
        complete: Whether all direct parents are registered.
        origin: The root it comes from.
        stored: Element type of most of its weights.
    """

    name: str
    kind: str
    change: str
    relation: str | None
    rank: int | None
    shares: Mapping[str, float | None]
    complete: bool
    origin: str
    stored: str


@dataclass(frozen=True)
class Known:
    """What was measured of pairs of networks, by their digests (smaller first): kept from case to case of a tree."""

    comparisons: MutableMapping[tuple[str, str], Comparison] = field(default_factory=dict)
    distances: MutableMapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)


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
        surrogates: By id, what is no ancestor but all that is left of a missing one.
        networks: The rest of the truth by id.
        declared: Parents that some of the models declare, by id; some of them wrong.
        known: What was measured before.
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
    networks: Mapping[str, Network] = field(default_factory=dict)
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    known: Known = field(default_factory=Known)

    @property
    def apart(self) -> frozenset[str]:
        """Ids of those whose parent cannot be found from fingerprints; they are reported by themselves."""
        return frozenset(i for i, network in self.networks.items() if network.kind in APART)

    @property
    def edges(self) -> frozenset[tuple[str, str]]:
        """True pairs of parent and child, but for children that are :attr:`apart`."""
        apart = self.apart
        return frozenset(
            (parent, child) for child, found in self.parents.items() if child not in apart for parent in found
        )


class Grown:
    """A tree of the zoo, read once for all its cases.

    Attributes:
        name: In the zoo.
        architecture: Of all its networks.
        shape: For people.
        facts: What ``truth.json`` says of every network, by name.
        models: Fingerprints by name.
        known: What was measured of pairs.
    """

    def __init__(self, folder: Path) -> None:
        truth = json.loads((folder / TRUTH).read_text())
        self.name = folder.name
        self.architecture: str = truth["architecture"]
        self.shape: str = truth["shape"]
        self.facts: dict[str, Any] = truth["networks"]
        self.models = {name: fingerprint(folder, name, fact["kind"]) for name, fact in self.facts.items()}
        self.known = Known()
        self._registered: list[str] = truth["registered"]

    def case(self, withheld: float, seed: int, draw: int = 0) -> Case:
        """Makes a case.

        Args:
            withheld: Share of the networks to withhold; the first root is among them unless it is 0.
            seed: Decides which, the names, and what is declared.
            draw: The same, for several cases of one seed.
        """
        rng = np.random.default_rng([seed, round(1000 * withheld), draw])
        names = list(self.facts)
        missing = _missing(names, withheld, rng)
        kept = [name for name in names if name not in missing]
        alias = {name: f"model-{place}" for name, place in zip(kept, rng.permutation(len(kept)), strict=True)}
        networks = {alias[name]: self._network(name, alias) for name in kept}
        return Case(
            tree=self.name,
            architecture=self.architecture,
            shape=self.shape,
            withheld=withheld,
            models={alias[name]: self.models[name] for name in kept},
            order=tuple(alias[name] for name in self._registered if name in alias),
            families=len({self.origin(name) for name in kept}),
            parents={alias[n]: frozenset(alias[a] for a in _nearest(n, self.facts, missing)) for n in kept},
            surrogates={alias[n]: frozenset(alias[s] for s in _surrogates(n, self.facts, missing)) for n in kept},
            networks=networks,
            declared=_declared(networks, rng),
            known=self.known,
        )

    def origin(self, name: str) -> str:
        """The root that a network comes from, by its first parents."""
        parents = list(self.facts[name]["parents"])
        return self.origin(parents[0]) if parents else name

    def _network(self, name: str, alias: Mapping[str, str]) -> Network:
        fact, model = self.facts[name], self.models[name]
        parents: dict[str, float | None] = fact["parents"]
        sizes: dict[str, int] = {}
        for dtype, count in zip(model.dtypes, model.stats["count"], strict=True):
            sizes[dtype] = sizes.get(dtype, 0) + int(count)
        return Network(
            name=name,
            kind=fact["kind"],
            change=fact["change"],
            relation=fact["relation"],
            rank=fact["rank"],
            shares={alias[parent]: share for parent, share in parents.items() if parent in alias},
            complete=all(parent in alias for parent in parents),
            origin=self.origin(name),
            stored=max(sizes, key=sizes.__getitem__, default=""),
        )


def case(folder: Path, withheld: float, seed: int, draw: int = 0) -> Case:
    """Makes one case of a grown tree (see :meth:`Grown.case`)."""
    return Grown(folder).case(withheld, seed, draw)


def fingerprint(folder: Path, name: str, kind: str) -> Fingerprint:
    """A network's fingerprint, which is kept beside its file and made anew when the file is newer."""
    file = folder / (name if kind == "adapter" else f"{name}.safetensors")
    kept = folder / f"{name}.fingerprint"
    if kept.exists() and kept.stat().st_mtime >= file.stat().st_mtime:
        return from_bytes(kept.read_bytes())
    found = fingerprint_model(LocalFiles(file))
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(to_bytes(found))
    unfinished.replace(kept)
    return found


def _missing(names: list[str], withheld: float, rng: np.random.Generator) -> set[str]:
    count = round(withheld * len(names))
    if not count:
        return set()
    others = rng.choice(names[1:], size=min(count - 1, len(names) - 1), replace=False)
    return {names[0], *others.tolist()}


def _nearest(name: str, facts: Mapping[str, Any], missing: Collection[str]) -> set[str]:
    """Nearest registered ancestors: whoever is reached through missing ones counts unless another lies between."""
    parents = set(facts[name]["parents"])
    present = {parent for parent in parents if parent not in missing}
    behind = {found for parent in parents - present for found in _nearest(parent, facts, missing)} - present
    return present | {one for one in behind if not any(one in _ancestors(a, facts) for a in (present | behind) - {one})}


def _ancestors(name: str, facts: Mapping[str, Any]) -> set[str]:
    return {found for parent in facts[name]["parents"] for found in ({parent} | _ancestors(parent, facts))}


def _surrogates(name: str, facts: Mapping[str, Any], missing: Collection[str]) -> set[str]:
    gone = _gone(name, facts, missing)
    return {
        other
        for other, fact in facts.items()
        if other not in missing and other != name and fact["kind"] in STAND_INS and gone & set(fact["parents"])
    }


def _gone(name: str, facts: Mapping[str, Any], missing: Collection[str]) -> set[str]:
    """Missing ancestors with nothing registered between."""
    gone = {parent for parent in facts[name]["parents"] if parent in missing}
    return gone | {found for parent in gone for found in _gone(parent, facts, missing)}


def _declared(networks: Mapping[str, Network], rng: np.random.Generator) -> dict[str, tuple[str, ...]]:
    """What the metadata of some of the children says, whose parents are all registered."""
    children = sorted(i for i, network in networks.items() if network.shares and network.complete)
    declaring = rng.permutation(children)[: round(DECLARING * len(children))].tolist()
    found: dict[str, tuple[str, ...]] = {}
    for child in declaring:
        others = sorted(set(networks) - {child, *networks[child].shares})
        wrong = others and rng.random() < DECLARED_WRONGLY
        found[child] = (str(rng.choice(others)),) if wrong else tuple(networks[child].shares)
    return found
