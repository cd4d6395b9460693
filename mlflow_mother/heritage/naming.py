"""Names that two models have in common although one of them was saved without their first words.

Words with which all names of a model begin are no part of its normal names. So ``encoder.layer.0.weight`` of a network
with a head is ``layer.0.weight`` or ``0.weight`` in the backbone that it was made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from mlflow_mother.fingerprint.record import Fingerprint

Names = tuple[str, ...]


def common_names(first: Fingerprint, second: Fingerprint) -> tuple[Names, Names]:
    """Both models' names, those of one of them with the prefix under which most tensors agree in name and shape.

    Without a prefix that serves more tensors than every other one, and than none, the names stay as they are.

    Args:
        first: One model.
        second: The other.
    """
    exact = len(set(zip(first.names, first.shapes, strict=True)) & set(zip(second.names, second.shapes, strict=True)))
    readings = Counter({("", False): exact})
    readings.update((prefix, False) for prefix in _prefixes(first, second))
    readings.update((prefix, True) for prefix in _prefixes(second, first))
    (reading, votes), *others = readings.most_common(2)
    if others and others[0][1] == votes:
        return first.names, second.names
    prefix, to_second = reading
    if to_second:
        return first.names, tuple(prefix + name for name in second.names)
    return tuple(prefix + name for name in first.names), second.names


def _prefixes(bare: Fingerprint, full: Fingerprint) -> Iterator[str]:
    """For each tensor of ``full`` the prefixes whose removal leaves the name and shape of one of ``bare``."""
    known = set(zip(bare.names, bare.shapes, strict=True))
    for name, shape in zip(full.names, full.shapes, strict=True):
        start = name.find(".") + 1
        while start:
            if (name[start:], shape) in known:
                yield name[:start]
            start = name.find(".", start) + 1
