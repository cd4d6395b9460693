"""Packed children: integers with scales in the place of a parent's matrices, as quantised models are stored.

Integers, two of four bits to a byte, cannot be compared with what they stand for. Their scales can: a symmetric grid
reaches from the smallest to the largest weight, so a tensor's largest scale times the number of steps is the largest
magnitude of the parent's weights (Jacob et al., arXiv 1712.05877), which fingerprints keep exactly. The number of steps
is the same in every tensor, and everything that was not packed is untouched. All of it together is no coincidence.
"""

from __future__ import annotations

import numpy as np

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage.certificates import PROOF, Certificate
from mlflow_mother.heritage.roles import Role, roles
from mlflow_mother.types import Relation

SCALE_SUFFIXES = ("_scale", ".scale", ".absmax", "_absmax")
"""What the names of scales add to those of the tensors they belong to."""

_INTEGERS = ("I8", "U8", "I16", "I32")
_ROUNDING = 1e-5
_FEWEST_STEPS, _MOST_STEPS = 1.0, 128.5
_LEAST_UNTOUCHED = 2


def packed(first: Fingerprint, second: Fingerprint) -> tuple[Certificate, ...]:
    """The certificate that one of two models is the other one's packed form, or none."""
    there, back = _directed(first, second), _directed(second, first)
    return (*there, *(certificate.swapped() for certificate in back))


def _directed(parent: Fingerprint, child: Fingerprint) -> tuple[Certificate, ...]:
    scales = _scales(child)
    places = {name: place for place, name in enumerate(parent.names)}
    if not scales or not all(name in places and parent.dtypes[places[name]] not in _INTEGERS for name in scales):
        return ()
    matrices = np.array([places[name] for name in scales])
    reach = np.maximum(np.abs(parent.stats["min"][matrices]), np.abs(parent.stats["max"][matrices]))
    steps = reach / np.maximum(child.stats["max"][list(scales.values())], np.finfo(np.float64).tiny)
    whole = np.round(steps[0])
    if not _FEWEST_STEPS <= whole <= _MOST_STEPS or np.any(np.abs(steps - whole) > _ROUNDING * whole):
        return ()
    voting = roles(parent) != Role.STATE
    voting[matrices] = False
    held = dict(zip(child.names, child.digests, strict=True))
    rest = [held.get(parent.names[place]) == parent.digests[place] for place in np.flatnonzero(voting)]
    if not all(rest) or len(rest) + len(scales) < _LEAST_UNTOUCHED:
        return ()
    text = (
        f"the scales of {len(scales)} packed tensors reach to the largest weights in {whole:.0f} steps, "
        f"the {len(rest)} other tensors are untouched"
    )
    return (Certificate(relation=Relation.QUANTIZED, forward=True, log_odds=PROOF, text=text),)


def _scales(model: Fingerprint) -> dict[str, int]:
    """By name of each matrix of integers that has one, the place of its scale."""
    integers = {
        name
        for name, dtype, shape in zip(model.names, model.dtypes, model.shapes, strict=True)
        if dtype in _INTEGERS and len(shape) >= 2
    }
    if not integers:
        return {}
    places = {name: place for place, name in enumerate(model.names)}
    return {
        name: places[name + suffix] for name in sorted(integers) for suffix in SCALE_SUFFIXES if name + suffix in places
    }
