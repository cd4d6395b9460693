"""What was done to a parent to get its child, and why the engine believes so, in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.comparison import Comparison
from mlflow_mother.heritage.geometry import geometry
from mlflow_mother.heritage.projection import Projection, believed, interval, weigh
from mlflow_mother.heritage.roles import Role
from mlflow_mother.types import Evidence, Relation

Floats = npt.NDArray[np.float64]

RANK_DROP = 1.5
"""Least mean logarithm of the drop between neighbouring singular values that ends the updates' common rank. Merged
LoRAs show 1.7 and more, even rounded to bf16 at rank 32, full updates of several matrices at most 1.2."""

LONE_RANK_DROP = 3.0
"""The same of a single matrix: of ``n`` matrices, this over the root of ``n`` if that is more."""

RANK_CLEARNESS = 3.0
"""How many times larger than at any other rank the drop must be."""

LOW_RANK_SHARE = 0.8
"""Least share of the changed matrices whose singular values must halve behind the rank."""

RANK_SHARE = 0.75
"""Part of the singular values that is looked at: the last ones fall steeply in updates of full rank, too."""

FROZEN_SHARE = 0.1
"""Least share of untouched tensors in a partial fine-tune; fewer are tables that no training touches."""

CLEAR_LOG_ODDS = math.log(3.0)
"""Least log-odds of parent against child at which a sentence says that a group of tensors tells which came first."""

_RANKED_TENSORS = 32
_LEAST_ADAPTED = 2


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
    if only_weights(parent, child):
        text = (
            "only matrices changed, and no bias beside them, as by a merged LoRA; its rank is beyond what can be seen"
        )
        return Finding(
            Relation.LORA_MERGED, None, (Evidence(kind="weights-only", text=text), untouched, *projections, cosine)
        )
    if comparison.identical >= max(1.0, FROZEN_SHARE * comparison.tensors):
        return Finding(Relation.PARTIAL_FINETUNE, None, (untouched, *projections, cosine))
    return Finding(Relation.FINETUNE, None, (*projections, cosine, untouched))


def update_rank(parent: Fingerprint, child: Fingerprint) -> int | None:
    """Rank that the changed matrices' updates share, or None when they are not of low rank.

    The sketch of an update of rank r has rank r while ``r < k``; its singular values fall to rounding noise behind the
    r-th. In half precision this noise is high and single drops are small, so all matrices decide together: the rank is
    where the mean drop, on a logarithmic scale, stands out. Looks at no more than the 32 largest changed matrices.
    """
    k = min(parent.k, child.k)
    parent, child = fold(parent, k), fold(child, k)
    pair = geometry(parent, child)
    changed = np.flatnonzero(pair.trained(Role.MATRIX))
    size = parent.stats["count"][pair.a[changed]]
    ranked, seen = [], []
    for n in changed[np.argsort(-size, kind="stable")][:_RANKED_TENSORS]:
        i, j = int(pair.a[n]), int(pair.b[n])
        shape = parent.shapes[i]
        full = min(k, shape[0], int(parent.stats["count"][i]) // shape[0])
        if full >= 4:
            ranked.append((i, j))
            seen.append(int(RANK_SHARE * full))
    if not ranked:
        return None
    drops = np.full((len(ranked), max(seen)), np.nan)
    # As many at once as are enough to rule ranks out: full updates need no more.
    at_once = 1 + int((1 - LOW_RANK_SHARE) * len(ranked))
    for some in range(0, len(ranked), at_once):
        pairs = ranked[some : some + at_once]
        updates = [child.sketch_of(j).astype(np.float64) - parent.sketch_of(i) for i, j in pairs]
        singular = np.linalg.svd(np.stack(updates), compute_uv=False)
        logs = np.log(np.maximum(singular, 1e-30))
        for n, values in enumerate(logs, some):
            drops[n, : seen[n]] = values[: seen[n]] - values[1 : seen[n] + 1]
        if not _may_halve(drops, np.array(seen)):
            return None
    return _common_rank(drops)


def _may_halve(drops: Floats, seen: npt.NDArray[np.int64]) -> bool:
    """Whether at some rank the singular values of enough matrices halve, if all that were not looked at do.

    Args:
        drops: As for :func:`_common_rank`; NaN in all of a matrix that was not looked at.
        seen: How many ranks each matrix has.
    """
    matrices = np.count_nonzero(seen[:, None] > np.arange(drops.shape[1]), axis=0)
    failed = np.count_nonzero(drops < math.log(2), axis=0)
    return bool(np.any((matrices - failed) / matrices >= LOW_RANK_SHARE))


def _common_rank(drops: Floats) -> int | None:
    """The rank at which the mean drop stands out.

    Args:
        drops: Logarithms of neighbouring singular values' ratios, shape ``(matrices, ranks)``; NaN beyond a matrix's
            last one.
    """
    mean = np.nanmean(drops, axis=0)
    best = int(mean.argmax())
    own = drops[:, best][~np.isnan(drops[:, best])]
    needed = max(RANK_DROP, LONE_RANK_DROP / math.sqrt(len(own)))
    clear = mean[best] >= RANK_CLEARNESS * np.delete(mean, best).max(initial=0.0)
    halved = float((own >= math.log(2)).mean()) >= LOW_RANK_SHARE
    return best + 1 if mean[best] >= needed and clear and halved else None


def only_weights(parent: Fingerprint, child: Fingerprint) -> bool:
    """Whether layers' weights changed and their biases did not, nor anything but matrices: LoRA leaves biases alone."""
    pair = geometry(parent, child)
    changed = (pair.role != Role.STATE) & ~pair.identical
    if not changed.any() or np.any(pair.role[changed] != Role.MATRIX):
        return False
    names = {child.names[j] for j in pair.b[pair.identical & (pair.energy_b > 0)]}
    beside = {child.names[j] for j in pair.b[changed]}
    layers = {name.removesuffix("weight") + "bias" for name in beside if name.endswith("weight")}
    return len(layers & names) >= max(_LEAST_ADAPTED, LOW_RANK_SHARE * len(beside))


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
