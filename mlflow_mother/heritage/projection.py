"""The projection statistic: which of two related models came first, from energies and distances alone.

For a parent ``a`` and a child ``b = (1 - s) a + u`` whose update ``u`` is nearly orthogonal to ``a``, each tensor has
``<a, a - b> / (|a| |b|) = s + t |a - b|^2 / (|a| |b|)`` with ``t = 0``; read from the child's side ``t = 1``; and two
children of one ancestor give a ``t`` between (about 1/2 for updates of one size). ``s`` is the shrink that weight decay
and calmer logits cause. So a regression over the tensors of a network separates the two: the slope says who came
first, the intercept how much was decayed.

Without normalisation layers nothing keeps an update from running along the weights, as it does when a fine-tune first
calms over-confident logits. Then single tensors' ``t`` lie far outside the 0 to 1 that heritage can give, whichever of
the two came first; the farther they do, the less the slopes count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mlflow_mother.heritage.geometry import Geometry
from mlflow_mother.heritage.roles import Role
from mlflow_mother.types import Record

Floats = npt.NDArray[np.float64]

SHRINK_SCALE = 0.01
"""Prior scale of the shrink ``s``: AdamW at a learning rate of 1e-4 and a decay of 0.1 shrinks 1 % in 1,000 steps."""

SLOPE_MISFIT = {"matrix": 0.1, "bias": 0.5, "gain": 0.5}
"""How far a true slope strays from 0 or 1 because updates are not exactly orthogonal to weights, which holds the less
the fewer elements a tensor has."""

RADIAL_OVERSHOOT = 0.3
"""Mean overshoot from which on slopes say nothing. Un-normalised networks that behave stay below 0.2, confident
perceptrons on a shifted task lie at 0.2 to 1.6."""

SIBLING_SLOPES = tuple(np.linspace(0.25, 0.75, 11).tolist())
"""Slopes that two children of one ancestor give, equally likely."""

_SETTLED = 1e-9
"""Change of slope and intercept at which the regression has converged: far below any slope's error."""

_SINGULAR = 1e-13
_SLOPES = (0.0, 1.0, *SIBLING_SLOPES)

EVIDENCE_SHARE = 0.7
"""Share of the groups' joint log-likelihood that counts: their errors are correlated."""


class Projection(Record):
    """The regression over one group of tensors, read from the first model's side.

    Attributes:
        role: ``matrix``, ``bias`` or ``gain``.
        tensors: How many differing tensors it is over.
        median: Median over tensors of the plain statistic ``t``; half-way is 1/2.
        slope: ``t`` freed from the shrink: near 0 if the first model is the ancestor, near 1 if the second is.
        error: Standard error of the slope.
        shrink: The intercept ``s``; positive when the second model is smaller.
        overshoot: How far the matrices' ``t``, freed from the shrink, lie outside 0 to 1 on average; 0 for networks
            with norm gains, whose updates cannot run along the weights for long.
    """

    role: str
    tensors: int
    median: float
    slope: float
    error: float
    shrink: float
    overshoot: float = 0.0

    def swapped(self) -> Projection:
        """The same regression read from the other model's side; slopes and medians of both sides add up to 1."""
        return self.model_copy(update={"median": 1 - self.median, "slope": 1 - self.slope, "shrink": -self.shrink})


class Hypotheses(Record):
    """Log-likelihoods, up to a common constant, of what two related models are to each other.

    Attributes:
        ancestor: The first is an ancestor of the second.
        descendant: The first is a descendant of the second.
        siblings: Neither; both have an ancestor of their own.
    """

    ancestor: float
    descendant: float
    siblings: float

    def swapped(self) -> Hypotheses:
        """Read from the other side."""
        return Hypotheses(ancestor=self.descendant, descendant=self.ancestor, siblings=self.siblings)

    def shifted(self, log_odds: float) -> Hypotheses:
        """With ``log_odds`` more for the ancestor against the descendant."""
        return Hypotheses(
            ancestor=self.ancestor + log_odds / 2,
            descendant=self.descendant - log_odds / 2,
            siblings=self.siblings - abs(log_odds) / 2,
        )

    def posterior(self) -> tuple[float, float, float]:
        """Probabilities of ancestor, descendant and siblings under equal priors."""
        logs = (self.ancestor, self.descendant, self.siblings)
        total = _log_sum(logs)
        one, two, three = (math.exp(log - total) for log in logs)
        return one, two, three


def project(pair: Geometry) -> tuple[Projection, ...]:
    """Regresses each group of at least one differing tensor.

    Norm gains and biases are groups of their own: they usually do not decay, so their intercept is held at 0.
    """
    found = []
    normalised = bool((pair.role == Role.GAIN).any())
    for role in (Role.MATRIX, Role.BIAS, Role.GAIN):
        mask = pair.trained(role)
        if not mask.any():
            continue
        scale = np.sqrt(pair.energy_a[mask] * pair.energy_b[mask])
        x = pair.distance[mask] / scale
        y = (pair.energy_a[mask] - pair.energy_b[mask] + pair.distance[mask]) / (2 * scale)
        slope, error, shrink = _regress(x, y, SHRINK_SCALE if role is Role.MATRIX else 0.0)
        outside = np.maximum(0.0, np.abs((y - shrink) / x - 0.5) - 0.5)
        found.append(
            Projection(
                role=role.name.lower(),
                tensors=int(mask.sum()),
                median=_median(y / x),
                slope=slope,
                error=error,
                shrink=shrink,
                overshoot=0.0 if normalised or role is not Role.MATRIX else float(outside.mean()),
            )
        )
    return tuple(found)


def _regress(x: Floats, y: Floats, prior: float) -> tuple[float, float, float]:
    """Robust line ``y = s + t x`` with noise of variance ``sigma^2 x`` and a normal prior on ``s``.

    Args:
        x: Relative squared distances, positive.
        y: Relative projections.
        prior: Standard deviation of ``s``; 0 holds it at 0.

    Returns:
        Slope, its standard error, intercept.
    """
    free = prior > 0.0 and len(x) > 2
    weight = 1.0 / x
    root = np.sqrt(x)
    sigma2 = _median((y - _median(y / x) * x) ** 2 / x) + 1e-12
    freedom = max(1, len(x) - (2 if free else 1))
    line = (math.inf, math.inf)
    for _ in range(20):
        # The normal equations of two unknowns, or of the slope alone.
        xx, xy = float(weight @ (x * x)), float(weight @ (x * y))
        slope, shrink, inverse = xy / xx, 0.0, 1.0 / xx
        if free:
            ones, sum_x, sum_y = float(weight.sum()) + sigma2 / prior**2, float(weight @ x), float(weight @ y)
            determinant = xx * ones - sum_x * sum_x
            # Where all x are one and tiny, slope and intercept cannot be told apart, not even by the prior.
            if determinant > _SINGULAR * xx * ones:
                slope, shrink = (xy * ones - sum_x * sum_y) / determinant, (xx * sum_y - sum_x * xy) / determinant
                inverse = ones / determinant
        if max(abs(slope - line[0]), abs(shrink - line[1])) <= _SETTLED:
            break
        line = slope, shrink
        residual = np.abs((y - shrink - slope * x) / root)
        spread = max(1.4826 * _median(residual), 1e-9)
        relative = np.minimum(1.0, 1.5 * spread / np.maximum(residual, 1e-30))
        weight = relative / x
        sigma2 = max(float((residual**2 * relative).sum()) / freedom, spread**2) + 1e-12
    error = math.sqrt(sigma2 * inverse)
    few = 0.5 / len(x) if len(x) < 4 else 0.0
    return slope, error + few, shrink


def _median(values: Floats) -> float:
    """As ``np.median``, which takes ten times as long to look at its arguments."""
    ordered = np.sort(values)
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else float((ordered[middle - 1] + ordered[middle]) / 2)


def weigh(projections: tuple[Projection, ...]) -> Hypotheses:
    """Student-t likelihoods of the slopes 0 (ancestor), 1 (descendant) and those of siblings, over all groups.

    Without the distributions' normalising factors, which the three hypotheses have in common.
    """
    if not projections:
        return Hypotheses(ancestor=0.0, descendant=0.0, siblings=0.0)
    share = EVIDENCE_SHARE * believed(max(group.overshoot for group in projections))
    logs = [0.0] * len(_SLOPES)
    for group in projections:
        scale, freedom = math.hypot(group.error, SLOPE_MISFIT[group.role]), max(1, group.tensors - 2)
        factor = -share * (freedom + 1) / 2
        for n, slope in enumerate(_SLOPES):
            z = (group.slope - slope) / scale
            logs[n] += factor * math.log1p(z * z / freedom)
    return Hypotheses(
        ancestor=logs[0],
        descendant=logs[1],
        siblings=_log_sum(logs[2:]) - math.log(len(SIBLING_SLOPES)),
    )


def believed(overshoot: float) -> float:
    """Share of the slopes' evidence that counts in spite of an overshoot, 0 to 1."""
    return max(0.0, 1 - overshoot / RADIAL_OVERSHOOT)


def _log_sum(logs: Sequence[float]) -> float:
    """Logarithm of the sum of exponentials; for a few floats, scipy's costs 100 times as much."""
    largest = max(logs)
    return largest + math.log(sum(math.exp(log - largest) for log in logs))


def interval(group: Projection, level: float = 0.95) -> float:
    """Half-width of the slope's confidence interval."""
    return float(stdtrit(max(1, group.tensors - 2), 0.5 + level / 2)) * group.error
