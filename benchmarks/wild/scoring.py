"""What :func:`mlflow_mother.tree` says of a family's files under meaningless names, against the truth."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlflow_mother
from benchmarks.wild.truth import Pair, Truth
from mlflow_mother.types import Edge

SURE = 0.9
"""Above this probability an edge of wrong direction is a failure, not a guess."""


@dataclass(frozen=True)
class Result:
    """One family's edges against the truth.

    Attributes:
        name: The family.
        models: How many models it has.
        truth: What is documented.
        edges: What was found, in true names.
    """

    name: str
    models: int
    truth: Truth
    edges: tuple[Edge, ...]

    def found(self, pair: Pair) -> Edge | None:
        """The edge between a pair, or from a copy of the parent, whichever way it points."""
        wanted = [{parent, pair[1]} for parent in self.truth.parents(pair)]
        return next((edge for edge in self.edges if {edge.parent, edge.child} in wanted), None)

    def verdict(self, pair: Pair) -> str:
        """``right``, ``undecided``, ``wrong`` or ``missing``."""
        edge = self.found(pair)
        if edge is None:
            return "missing"
        if edge.direction == "undecided":
            return "undecided"
        return "right" if edge.child == pair[1] else "wrong"

    def count(self, verdict: str) -> int:
        """How many true pairs have this verdict."""
        return sum(self.verdict(pair) == verdict for pair in self.truth.pairs)

    @property
    def surely_wrong(self) -> int:
        """True pairs that were turned around with a probability above :data:`SURE`."""
        edges = [self.found(pair) for pair in self.truth.pairs if self.verdict(pair) == "wrong"]
        return sum(edge is not None and edge.probability > SURE for edge in edges)

    @property
    def children(self) -> Mapping[str, set[str]]:
        """Names by their parent's."""
        children: dict[str, set[str]] = {}
        for edge in self.edges:
            children.setdefault(edge.parent, set()).add(edge.child)
        return children

    @property
    def false_edges(self) -> tuple[Edge, ...]:
        """Edges that the truth does not allow; those of an unregistered ancestor unless all its children are kin."""
        children = self.children

        def allowed(edge: Edge) -> bool:
            if _unregistered(edge.parent):
                return any(children[edge.parent] <= group for group in self.truth.kin)
            return self.truth.allows(edge.parent, edge.child)

        return tuple(edge for edge in self.edges if not allowed(edge))

    @property
    def ancestors(self) -> int:
        """How many groups of kin got an unregistered ancestor."""
        heirs = {edge.child for edge in self.edges if _unregistered(edge.parent)}
        return sum(bool(heirs & group) for group in self.truth.kin)

    @property
    def failures(self) -> tuple[str, ...]:
        """What must hold and does not."""
        found = [f"false edge {edge.parent} -> {edge.child} ({edge.probability:.3f})" for edge in self.false_edges]
        found += [f"{' -> '.join(pair)} is not linked" for pair in self.truth.pairs if self.verdict(pair) == "missing"]
        if self.surely_wrong:
            found.append(f"{self.surely_wrong} directions are wrong above probability {SURE}")
        return tuple(f"{self.name}: {failure}" for failure in found)


def recover(name: str, files: Mapping[str, Path], truth: Truth, seed: int) -> Result:
    """Runs :func:`mlflow_mother.tree` on the files, in an order and under names that the seed shuffles.

    Args:
        name: What to call the result.
        files: Weight files by true name.
        truth: What is documented, by true name.
        seed: Of the shuffling.
    """
    with tempfile.TemporaryDirectory(dir=_common_folder(files.values())) as folder:
        given = shuffled(files, Path(folder), seed)
        tree = mlflow_mother.tree(*given)
    edges = [
        edge.model_copy(
            update={"parent": given.get(edge.parent, edge.parent), "child": given.get(edge.child, edge.child)}
        )
        for edge in tree.edges
    ]
    return Result(name, len(files), truth, tuple(sorted(edges, key=lambda edge: (edge.child, edge.parent))))


def shuffled(files: Mapping[str, Path], folder: Path, seed: int) -> dict[str, str]:
    """Links the files into a folder as ``model-0``, ``model-1``, ... in random order.

    Returns:
        True names by path, in another random order.
    """
    chance = random.Random(seed)
    names = sorted(files)
    places = chance.sample(range(len(names)), len(names))
    given = []
    for place, name in zip(places, names, strict=True):
        path = folder / f"model-{place:02}{_extension(files[name])}"
        os.link(files[name], path)
        given.append((str(path), name))
    chance.shuffle(given)
    return dict(given)


def said(result: Result, family: str = "") -> set[tuple[object, ...]]:
    """What must not depend on names and order: each edge's ends, relation, direction and probability.

    An unregistered ancestor, whose number does depend on the order, is called by its children. Which of several copies
    an edge from another network ends at is arbitrary: it is called by all of them.

    Args:
        result: What was found.
        family: Put before the true names, as :meth:`Truth.named` does.
    """
    children = result.children
    prefix = f"{family}/" if family else ""

    def name(model: str, other: str) -> str:
        alike = next((group for group in result.truth.copies if model in group and other not in group), {model})
        return " + ".join(sorted(prefix + each for each in (children[model] if _unregistered(model) else alike)))

    answer: set[tuple[object, ...]] = set()
    for edge in result.edges:
        ends = [name(edge.parent, edge.child), name(edge.child, edge.parent)]
        if edge.direction == "undecided":
            ends.sort()
        answer.add((*ends, edge.relation.value, edge.direction, edge.rank, round(edge.probability, 6)))
    return answer


def _unregistered(model: str) -> bool:
    return model.startswith("unregistered:")


def _extension(file: Path) -> str:
    return ".pth.tar" if file.name.endswith(".pth.tar") else file.suffix


def _common_folder(files: Collection[Path]) -> Path:
    return Path(os.path.commonpath([file.parent for file in files]))
