"""What was done to a parent: relation, rank, merges and their coefficients, and the direction of certain changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.engine import Claim

CERTAIN = ("cast", "quantised", "packed", "pruned")
"""Kinds of change that are no matter of statistics: which came first can be read off the values."""

MERGES = ("soup", "slerp", "task-arithmetic", "ties", "frankenmerge")


@dataclass(frozen=True)
class Child:
    """What the engine says of one network whose direct parents are all registered.

    Attributes:
        tree: Its tree.
        architecture: Its tree's.
        kind: What made it.
        change: The same with its parameters.
        stored: Element type of its weights.
        relation: The true relation; None where the engine has no word for it.
        said: The claimed one, of the most probable claim in the true direction; None without one.
        rank: The true rank of a LoRA, else None.
        rank_said: The claimed one.
        parents: How many parents it has.
        direction: ``right``, ``undecided``, ``reversed`` or ``missing``: of its parents, the best.
        all_found: Whether all its parents are claimed.
        exact: Whether nothing else is.
        error: Largest error of a parent's share, parents not claimed at 0; None for no linear mixture.
    """

    tree: str
    architecture: str
    kind: str
    change: str
    stored: str
    relation: str | None
    said: str | None
    rank: int | None
    rank_said: int | None
    parents: int
    direction: str
    all_found: bool
    exact: bool
    error: float | None


def children(case: Case, claims: Sequence[Claim]) -> list[Child]:
    """All children whose direct parents are registered, but for those that are apart."""
    found = []
    for i, network in case.networks.items():
        if not network.shares or not network.complete or i in case.apart:
            continue
        decided = {claim.parent: claim for claim in claims if claim.child == i and claim.decided}
        right = [claim for parent, claim in decided.items() if parent in network.shares]
        best = max(right, key=lambda claim: claim.probability, default=None)
        shares = [share for share in network.shares.values() if share is not None]
        linear = len(network.shares) > 1 and len(shares) == len(network.shares)
        found.append(
            Child(
                tree=case.tree,
                architecture=case.architecture,
                kind=network.kind,
                change=network.change,
                stored=network.stored,
                relation=network.relation,
                said=best.relation if best else None,
                rank=network.rank,
                rank_said=best.rank if best else None,
                parents=len(network.shares),
                direction=_direction(i, frozenset(network.shares), claims),
                all_found=set(network.shares) <= set(decided),
                exact=set(network.shares) == set(decided),
                error=_error(network.shares, decided) if linear else None,
            )
        )
    return found


def _direction(child: str, parents: frozenset[str], claims: Sequence[Claim]) -> str:
    if any(claim.decided and claim.child == child and claim.parent in parents for claim in claims):
        return "right"
    between = [c for c in claims if child in {c.parent, c.child} and parents & {c.parent, c.child}]
    if not between:
        return "missing"
    return "reversed" if any(claim.decided for claim in between) else "undecided"


def _error(shares: Mapping[str, float | None], decided: Mapping[str, Claim]) -> float:
    said = {parent: claim.weight for parent, claim in decided.items()}
    return max(abs((shares.get(parent) or 0.0) - said.get(parent, 0.0)) for parent in {*shares, *said})
