"""From pairs to a tree: the probability of every edge over all possible trees, and the most probable tree.

Each ordered pair gets a log-weight for "is the parent of", each model one for "has no parent here". The product of
weights defines a distribution over all spanning forests; the directed matrix-tree theorem (Tutte 1948) gives the exact
probability of each edge under it from one matrix inverse, so that probabilities of parents and of directions agree with
each other and with every other edge of the tree.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_CANDIDATES = 4
_FLOOR = -60.0


def edge_probabilities(weights: Floats, roots: Floats) -> tuple[Floats, Floats]:
    """Marginal probabilities of all edges and roots over all spanning forests.

    Args:
        weights: Log-weight of ``i`` being the parent of ``j`` at ``[i, j]``, shape ``(n, n)``; ``-inf`` forbids it.
        roots: Log-weight of each model having no parent, shape ``(n,)``.

    Returns:
        Probabilities of edges, shape ``(n, n)``, and of roots, shape ``(n,)``. Each column's sum with its root is 1.
    """
    scaled, rootness, _ = _scaled(weights, roots)
    inverse = np.linalg.inv(_laplacian(scaled, rootness))
    diagonal = np.diag(inverse)
    edges = np.clip(scaled * (diagonal[None, :] - inverse.T), 0.0, 1.0)
    alone = np.clip(rootness * diagonal, 0.0, 1.0)
    total = edges.sum(axis=0) + alone
    return edges / total, alone / total


def log_total(weights: Floats, roots: Floats) -> float:
    """Logarithm of the sum of all spanning forests' weights (see :func:`edge_probabilities`)."""
    scaled, rootness, shift = _scaled(weights, roots)
    return float(np.linalg.slogdet(_laplacian(scaled, rootness))[1]) + shift


def _scaled(weights: Floats, roots: Floats) -> tuple[Floats, Floats, float]:
    """Weights of edges and roots relative to each child's largest one, and the logarithm of what divides them."""
    best = np.maximum(weights.max(axis=0, initial=-np.inf, where=~np.eye(len(weights), dtype=bool)), roots)
    scaled = np.exp(np.clip(weights - best, _FLOOR, 0.0)) * np.isfinite(weights)
    np.fill_diagonal(scaled, 0.0)
    return scaled, np.exp(np.clip(roots - best, _FLOOR, 0.0)), float(best.sum())


def _laplacian(scaled: Floats, rootness: Floats) -> Floats:
    return np.asarray(np.diag(rootness + scaled.sum(axis=0)) - scaled)


def best_forest(edges: Floats, roots: Floats) -> list[int | None]:
    """The forest that maximises the product of its edges' probabilities.

    The most probable parent of every model is the answer unless that closes a circle; only then is a maximum
    arborescence sought, over the four most probable parents of each.

    Args:
        edges: Probabilities of edges, shape ``(n, n)``.
        roots: Probabilities of having no parent, shape ``(n,)``.

    Returns:
        Each model's parent, or None.
    """
    choice: list[int | None] = []
    for child in range(len(roots)):
        parent = int(np.argmax(edges[:, child]))
        choice.append(parent if edges[parent, child] > roots[child] else None)
    return choice if _acyclic(choice) else _arborescence(edges, roots)


def _acyclic(parents: Sequence[int | None]) -> bool:
    done: set[int] = set()
    for start in range(len(parents)):
        path: set[int] = set()
        node: int | None = start
        while node is not None and node not in done:
            if node in path:
                return False
            path.add(node)
            node = parents[node]
        done |= path
    return True


def _arborescence(edges: Floats, roots: Floats) -> list[int | None]:
    count = len(roots)
    graph: nx.DiGraph[int] = nx.DiGraph()
    tiny = np.exp(_FLOOR)
    for child in range(count):
        graph.add_edge(count, child, weight=float(np.log(max(roots[child], tiny))))
        for parent in np.argsort(-edges[:, child], kind="stable")[:_CANDIDATES]:
            if edges[parent, child] > tiny:
                graph.add_edge(int(parent), child, weight=float(np.log(edges[parent, child])))
    tree = nx.maximum_spanning_arborescence(graph)
    found: list[int | None] = [None] * count
    for parent, child in tree.edges:
        found[child] = None if parent == count else parent
    return found
