"""What was done to a parent to get its child, and why the engine believes so, in plain words."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.comparison import Comparison
from mlflow_mother.heritage.geometry import geometry
from mlflow_mother.heritage.projection import Projection, believed, interval, weigh
from mlflow_mother.heritage.roles import Role
from mlflow_mother.types import Evidence, Relation

RANK_GAP = 20.0
"""Least drop between neighbouring singular values of an update that ends its rank; full updates drop by less than 3."""

LOW_RANK_SHARE = 0.8
"""Least share of the changed matrices that must be of low rank in a merged LoRA."""

FROZEN_SHARE = 0.1
"""Least share of untouched tensors in a partial fine-tune; fewer are tables that no training touches."""

CLEAR_LOG_ODDS = math.log(3.0)
"""Least log-odds of parent against child at which a sentence says that a group of tensors tells which came first."""

_RANKED_TENSORS = 32
_RANKED_AT_ONCE = 8


@dataclass(frozen=True)
class Finding:
    """A relation with the rank of a low-rank update and the evidence."""

    relation: Relation
    rank: int | None
    evidence: tuple[Evidence, ...]


def classify(parent: Fingerprint, child: Fingerprint, comparison: Comparison) -> Finding:
    """Names the change from parent to child.

    Args:
        parent: The parent's fingerprint.
        child: The child's.
        comparison: The pair, read from the parent's side.
    """
    untouched, cosine = _digest_evidence(comparison), _cosine_evidence(comparison)
    if comparison.copies:
        return Finding(Relation.COPY, None, (untouched,))
    facts = [item for item in comparison.certificates if item.forward is not False]
    certificates = tuple(
        Evidence(kind="certificate", text=item.text, log_odds=item.log_odds if item.forward else None) for item in facts
    )
    proven = [item.relation for item in facts if item.relation]
    if proven:
        return Finding(proven[0], None, (*certificates, untouched, cosine))
    projections = (*certificates, *_projection_evidence(comparison))
    rank = update_rank(parent, child)
    if rank is not None:
        text = f"the change is of low rank, as a merged LoRA's is (rank {rank})"
        low = Evidence(kind="rank", text=text, value=float(rank))
        return Finding(Relation.LORA_MERGED, rank, (low, untouched, *projections, cosine))
    if comparison.identical >= max(1.0, FROZEN_SHARE * comparison.tensors):
        return Finding(Relation.PARTIAL_FINETUNE, None, (untouched, *projections, cosine))
    return Finding(Relation.FINETUNE, None, (*projections, cosine, untouched))


def update_rank(parent: Fingerprint, child: Fingerprint) -> int | None:
    """Rank that the changed matrices' updates share, or None when they are not of low rank.

    The sketch of an update of rank r has rank r while ``r < k``; its singular values fall to rounding noise behind the
    r-th. Looks at no more than the 32 largest changed matrices.
    """
    k = min(parent.k, child.k)
    parent, child = fold(parent, k), fold(child, k)
    pair = geometry(parent, child)
    changed = np.flatnonzero(pair.trained(Role.MATRIX))
    size = parent.stats["count"][pair.a[changed]]
    updates, ends = [], []
    for n in changed[np.argsort(-size, kind="stable")][:_RANKED_TENSORS]:
        i, j = int(pair.a[n]), int(pair.b[n])
        shape = parent.shapes[i]
        full = min(k, shape[0], int(parent.stats["count"][i]) // shape[0])
        if full >= 4:
            updates.append(child.sketch_of(j).astype(np.float64) - parent.sketch_of(i))
            ends.append(full)
    ranks: list[int | None] = []
    for some in range(0, len(updates), _RANKED_AT_ONCE):
        singular = np.linalg.svd(np.stack(updates[some : some + _RANKED_AT_ONCE]), compute_uv=False)
        ranks += [
            _gap(values[:full]) for values, full in zip(singular, ends[some : some + _RANKED_AT_ONCE], strict=True)
        ]
        if len(updates) - ranks.count(None) < LOW_RANK_SHARE * len(updates):
            return None
    low = Counter(rank for rank in ranks if rank is not None)
    return low.most_common(1)[0][0] if low else None


def _gap(singular: np.ndarray) -> int | None:
    """Position of the largest drop among the first half of the singular values, when it is a cliff."""
    half = len(singular) // 2
    drops = singular[:half] / np.maximum(singular[1 : half + 1], 1e-30)
    rank = int(np.argmax(drops)) + 1
    return rank if drops[rank - 1] >= RANK_GAP else None


def _digest_evidence(comparison: Comparison) -> Evidence:
    if comparison.copies:
        text = "all weights are identical"
    else:
        text = f"{comparison.identical} of {comparison.tensors} tensors untouched"
    return Evidence(kind="digest", text=text, value=float(comparison.identical))


def _cosine_evidence(comparison: Comparison) -> Evidence:
    alike = "more alike" if comparison.related > 0 else "not clearly more alike"
    numbers = f"cosine {comparison.cosine:.3f}, chance {comparison.chance:.3f}"
    text = f"the weights are {alike} than chance makes them ({numbers})"
    return Evidence(kind="cosine", text=text, value=comparison.cosine)


def _projection_evidence(comparison: Comparison) -> list[Evidence]:
    found = [
        Evidence(
            kind="projection",
            text=f"{_counted(group)} {_first(group)} (projection {round(group.slope, 2) + 0.0:.2f} +- "
            f"{interval(group):.2f}; 0: the parent first, 1: the child first, between: siblings)",
            value=group.slope,
        )
        for group in comparison.projections
    ]
    overshoot = max((group.overshoot for group in comparison.projections), default=0.0)
    if believed(overshoot) < 0.5:
        text = (
            "in a network like this, matrices hardly tell which came first "
            f"(their projections leave 0 to 1 by {overshoot:.2f} on average)"
        )
        found.append(Evidence(kind="overshoot", text=text, value=overshoot))
    return found


def _first(group: Projection) -> str:
    """What a group says by itself of which came first, by the likelihoods that the engine weighs."""
    weighed = weigh((group,))
    s = "s" if group.tensors == 1 else ""
    if weighed.ancestor - weighed.descendant > CLEAR_LOG_ODDS:
        return f"look{s} as if the parent came first"
    if weighed.descendant - weighed.ancestor > CLEAR_LOG_ODDS:
        return f"look{s} as if the child came first"
    return f"leave{s} open which came first"


def _counted(group: Projection) -> str:
    one, many = _WORDS[group.role]
    return f"{group.tensors} {one if group.tensors == 1 else many}"


_WORDS = {"matrix": ("matrix", "matrices"), "bias": ("bias", "biases"), "gain": ("norm gain", "norm gains")}
