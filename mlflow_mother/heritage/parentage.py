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
from collections.abc import Iterator
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
    least = 1e-12 * max(squared.max(), 1e-300)
    for i, j, k, at_i, at_j, at_k in _angles(squared):
        # A quarter of the squared way is what a model half-way has on both sides.
        lengths = np.maximum(squared[i, j], least)
        halves = 4 * np.minimum(squared[i, k] / lengths, 1.0) * np.minimum(squared[k, j] / lengths, 1.0)
        lies = np.minimum(halves, 1.0) * np.exp(-0.5 * (at_k / RIGHT_ANGLE) ** 2)
        off = np.where(at_i < SAME_WAY, np.maximum(np.minimum(at_i, at_j), 0.0), 0.0)
        third = (k != i) & (k != j)
        between[i] = np.where(third, lies, 0.0).max(axis=1)
        pendant[i] = np.where(third, off, 0.0).sum(axis=1) / (count - 2 + FEW)
    return between, pendant


def _angles(
    squared: Floats,
) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64], Floats, Floats, Floats]]:
    """For each model *i* the cosines at all corners of its triangles, shape ``(n, n)`` over *j* and *k*."""
    count = len(squared)
    sides = np.sqrt(np.maximum(squared, 1e-12 * max(squared.max(), 1e-300)))
    j, k = np.arange(count)[:, None], np.arange(count)[None, :]
    for i in range(count):
        ij, ik, jk = squared[i][:, None], squared[i][None, :], squared
        at_i = (ij + ik - jk) / (2 * sides[i][:, None] * sides[i][None, :])
        at_j = (ij + jk - ik) / (2 * sides[i][:, None] * sides)
        at_k = (ik + jk - ij) / (2 * sides[i][None, :] * sides)
        yield i, j, k, *(np.clip(cosine, -1.0, 1.0) for cosine in (at_i, at_j, at_k))
