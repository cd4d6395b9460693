"""What speaks for a model being the parent of another one, in the light of all their relatives.

Whether *i* is *j*'s parent is not to be seen in the two of them alone: a sibling that was hardly trained looks like the
parent itself. So each candidate edge gets a handful of numbers, most of them read off the triangles with every third
relative, and its log-weight is their sum with fitted coefficients (:class:`Parentage`). The coefficients are those
under which the true trees of trained networks are most likely among all forests (``benchmarks/accuracy/fitting.py``).

The triangles are measured in the family's own metric (:mod:`.increments`), in which successive updates are orthogonal.
There, for a third model *k*:

* seen from *i*, the ways to its child *j* and to *k* are at right angles unless *k* descends from *j*; then the ways
  from *j* are. A sibling lies off the way instead, so that both angles are acute.
* *k* lies between *i* and *j* when the ways from *k* to both are at right angles.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from mlflow_mother.types import Record

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RIGHT_ANGLE = 0.06
"""Cosine up to which an angle counts as a right one."""

SAME_WAY = 0.8
"""Cosine from which on two models lie the same way: what training has in common moves siblings together, and the one
says nothing of the other's parent."""

FEW = 2.0
"""Relatives that are added in thought, from which nothing lies off the way: few real ones, which also estimate the
metric, say less than many."""

MOST_THIRDS = 128
"""Third models that are looked at for each child: its nearest ones, itself among them. What lies between it and its
parent, and its siblings, are near it; all triangles of a thousand relatives would take half a minute."""

_LEAST_LOG = -6.0
_FARTHEST = 6.0


class Parentage(Record):
    """Coefficients of a candidate edge's evidence; a sum of 0 is as good as having no parent, before ``alone``.

    Attributes:
        version: Of this set of numbers, for people; a change of them needs a new engine version, too.
        ancestor: Of the logarithm of the pair's probability that the parent is an ancestor of the child.
        projection: Of 1/2 minus the plain projection statistic's median over matrices, within -1 to 1.
        distance: Of minus the logarithm of the distance relative to the child's nearest older relative's.
        between: Of minus how clearly a third model lies between the two.
        pendant: Of minus how far the candidate lies off the way from the others to the child.
        untouched: Of minus the share of the untouched tensors that a better candidate has and this one lacks.
        younger: Of 1 for every candidate where some relative is older than the child by a clock.
        alone: Log-weight of having no parent among the models.
    """

    version: int
    ancestor: float
    projection: float
    distance: float
    between: float
    pendant: float
    untouched: float
    younger: float
    alone: float


EVIDENCE = tuple(name for name in Parentage.model_fields if name not in {"version", "alone"})
"""Names of the evidence, in the order of :func:`evidence`."""


@cache
def fitted() -> Parentage:
    """The coefficients that are shipped."""
    text = (files("mlflow_mother.heritage") / "parentage.json").read_text(encoding="utf-8")
    return Parentage.model_validate(json.loads(text))


def log_weights(evidence: Floats, parentage: Parentage) -> Floats:
    """Log-weight of every edge, shape ``(n, n)``, from :func:`evidence`."""
    return np.asarray(evidence @ np.array([getattr(parentage, name) for name in EVIDENCE]))


def evidence(
    ancestor: Floats, projection: Floats, distance: Floats, whitened: Floats, identical: Floats, older: Bools
) -> Floats:
    """All evidence on all ordered pairs of some relatives; ``[i, j]`` is about *i* as the parent of *j*.

    Args:
        ancestor: Probability that *i* is an ancestor of *j*, shape ``(n, n)`` like all of them.
        projection: Median projection of *i* on the way to *j*, 0 where *i* is an ancestor, 1/2 where nothing is known.
        distance: Relative squared distances in the plain metric.
        whitened: Squared distances in the family's metric.
        identical: Share of identical tensors.
        older: Whether a clock (a counter, decayed dormant weights) tells that *i* is older than *j*.

    Returns:
        Shape ``(n, n, len(EVIDENCE))``; 0 on the diagonal.
    """
    between, pendant = _triangles(whitened)
    measures = _measures(ancestor)
    found = np.stack(
        [
            np.maximum(np.log(np.maximum(ancestor, 1e-300)), _LEAST_LOG),
            0.5 - np.clip(projection, -0.5, 1.5),
            -_farther(distance, measures),
            -between,
            -pendant,
            -_fewer(identical, measures),
            np.broadcast_to(older.any(axis=0).astype(np.float64), ancestor.shape),
        ],
        axis=-1,
    )
    found[np.arange(len(found)), np.arange(len(found))] = 0.0
    return found


def _measures(ancestor: Floats) -> Bools:
    """Which relatives of *j* are a measure for its candidate parents: those not rather its descendants.

    However near a model's own children are, and however much of it they left untouched, they say nothing of its parent.
    """
    return np.asarray((ancestor >= ancestor.T) & ~np.eye(len(ancestor), dtype=bool))


def _farther(distance: Floats, measures: Bools) -> Floats:
    """Logarithm of each distance over the nearest older relative's, or over the nearest one's where none is older."""
    others = np.where(np.eye(len(distance), dtype=bool), np.inf, distance)
    nearest = np.where(measures, others, np.inf).min(axis=0)
    nearest = np.where(np.isfinite(nearest), nearest, np.minimum(others.min(axis=0), np.finfo(np.float64).max))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.clip(np.nan_to_num(np.log(distance / nearest), posinf=_FARTHEST), 0.0, _FARTHEST))


def _fewer(identical: Floats, measures: Bools) -> Floats:
    """Share of the identical tensors that a candidate lacks and the best older one has."""
    most = np.where(measures, identical, 0.0).max(axis=0)
    return np.where(most > 0, np.clip(1.0 - identical / np.where(most > 0, most, 1.0), 0.0, 1.0), 0.0)


def _triangles(squared: Floats) -> tuple[Floats, Floats]:
    """How clearly another model lies between each two, and how far each lies off the others' ways to the second.

    Args:
        squared: Squared distances, shape ``(n, n)``.

    Returns:
        Two arrays of shape ``(n, n)``, from 0 to 1; zeros when there are no three models.
    """
    count = len(squared)
    between, pendant = np.zeros((count, count)), np.zeros((count, count))
    if count < 3:
        return between, pendant
    floor = 1e-12 * max(squared.max(), 1e-300)
    sides = np.sqrt(np.maximum(squared, floor))
    i = np.arange(count)[:, None]
    for j in range(count):
        k = np.sort(np.argsort(squared[j], kind="stable")[:MOST_THIRDS])
        third = (k != i) & (k != j)
        ij, ik, jk = squared[:, j, None], squared[:, k], squared[j, k]
        to_j, to_k, from_j = sides[:, j, None], sides[:, k], sides[j, k]
        at_i, at_j, at_k = (
            np.clip(cosine, -1.0, 1.0)
            for cosine in (
                (ij + ik - jk) / (2 * to_j * to_k),
                (ij + jk - ik) / (2 * to_j * from_j),
                (ik + jk - ij) / (2 * to_k * from_j),
            )
        )
        # A quarter of the squared way is what a model half-way has on both sides.
        lengths = np.maximum(ij, floor)
        halves = np.minimum(4 * np.minimum(ik / lengths, 1.0) * np.minimum(jk / lengths, 1.0), 1.0)
        lies = halves * np.exp(-0.5 * (at_k / RIGHT_ANGLE) ** 2)
        off = np.where(at_i < SAME_WAY, np.maximum(np.minimum(at_i, at_j), 0.0), 0.0)
        between[:, j] = np.where(third, lies, 0.0).max(axis=1)
        pendant[:, j] = np.where(third, off, 0.0).sum(axis=1) / (third.sum(axis=1) + FEW)
    between[np.diag_indices(count)] = pendant[np.diag_indices(count)] = 0.0
    return between, pendant
