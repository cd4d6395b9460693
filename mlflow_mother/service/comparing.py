"""Two known versions side by side, from their stored fingerprints."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint.format import from_bytes
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import Comparison, explain, recover
from mlflow_mother.store import Store
from mlflow_mother.types import Evidence, ModelTree, ModelVersionRef


@dataclass(frozen=True)
class Compared:
    """Two versions side by side.

    Attributes:
        comparison: Everything that was measured, read from the first one's side.
        forward: All evidence, read as if the first were the second's parent.
        backward: All evidence, read as if the second were the first's parent.
        tree: What follows: two nodes, and an edge when they are related.
    """

    comparison: Comparison
    forward: tuple[Evidence, ...]
    backward: tuple[Evidence, ...]
    tree: ModelTree


def compare_versions(
    store: Store, first: ModelVersionRef, second: ModelVersionRef, decide_probability: float
) -> Compared:
    """Compares two versions whose fingerprints are stored.

    Args:
        store: Where they are.
        first: A version.
        second: Another one.
        decide_probability: Least probability at which the direction is called decided.

    Raises:
        FingerprintError: One has no fingerprint yet.
    """
    one, other = _fingerprint(store, first), _fingerprint(store, second)
    comparison, forward = explain(one, other)
    _, backward = explain(other, one)
    known = {ref.uri: store.version(ref) for ref in (first, second)}
    times = {uri: at for uri, version in known.items() if version and (at := version.registered_at) is not None}
    tree = recover({first.uri: one, second.uri: other}, times=times, decide_probability=decide_probability)
    return Compared(comparison, forward.evidence, backward.evidence, tree)


def _fingerprint(store: Store, ref: ModelVersionRef) -> Fingerprint:
    known = store.version(ref)
    data = store.get_fingerprint(known.digest) if known and known.digest else None
    if data is None:
        raise FingerprintError(f"{ref.uri} has no fingerprint yet.", "Wait for its analysis, or analyse it again.")
    return from_bytes(data)
