"""Short ways to say what the heritage tests are about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from hypothesis import Phase, settings

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import Comparison, compare, recover
from mlflow_mother.testing.trees import Weights, fingerprint, root
from mlflow_mother.types import Edge, ModelTree

law = settings(deadline=None, max_examples=50, derandomize=True)
"""How often a law is tried; the machine may be slow."""

few = settings(deadline=None, max_examples=8, derandomize=True, phases=[Phase.generate])
"""How often one is tried that recovers a whole family each time; too slow to shrink."""


@lru_cache(maxsize=64)
def base(seed: int = 1, width: int = 48, depth: int = 4) -> Weights:
    """A root, made once; do not change it."""
    return root(seed, width=width, depth=depth)


_known: dict[int, tuple[Weights, Fingerprint]] = {}


def printed(weights: Weights) -> Fingerprint:
    """The fingerprint of weights, made once for each object."""
    if id(weights) not in _known:
        _known[id(weights)] = weights, fingerprint(weights)
    return _known[id(weights)][1]


def compared(first: Weights, second: Weights) -> Comparison:
    return compare(printed(first), printed(second))


def recovered(models: Mapping[str, Weights], **options: object) -> ModelTree:
    return recover({name: printed(weights) for name, weights in models.items()}, **options)


def arrows(edges: Iterable[Edge]) -> set[tuple[str, str]]:
    """Decided edges as (parent, child)."""
    return {(edge.parent, edge.child) for edge in edges if edge.direction == "decided"}


def only_edge(models: Mapping[str, Weights], **options: object) -> Edge:
    """The single edge of a tree."""
    (edge,) = recovered(models, **options).edges
    return edge
