"""Unmerged adapters: their base is found by the name they carry, and checked by the shapes they fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.types import Edge, Evidence, Relation

_FITTING_SHARE = 0.9


def adapter_edges(
    adapters: Sequence[str], models: Mapping[str, Fingerprint], declared: Mapping[str, Sequence[str]]
) -> list[Edge]:
    """Edges from bases to adapters.

    Weights of an adapter hold nothing of its base, so the name in its configuration decides, and only if the adapter's
    matrices fit the base's shapes.

    Args:
        adapters: Ids of the adapters.
        models: Fingerprints by id.
        declared: Declared parents by id, which resolve a name that is no id.
    """
    edges = []
    for adapter in adapters:
        name = str(models[adapter].adapter.get("base") or "")
        named = [m for m in sorted(models) if m != adapter and not models[m].adapter and _is_named(name, m)]
        named += [m for m in declared.get(adapter, ()) if m in models and not models[m].adapter and m not in named]
        fits = [(base, *_fit(models[adapter], models[base])) for base in named]
        fitting = [(base, good, total) for base, good, total in fits if total and good >= _FITTING_SHARE * total]
        if not fitting:
            continue
        base, good, total = fitting[0]
        evidence = (
            Evidence(kind="adapter", text=f"its configuration names the base {name!r}"),
            Evidence(kind="shapes", text=f"{good} of {total} adapted layers fit the base's shapes", value=good / total),
        )
        rank = models[adapter].adapter.get("rank")
        edges.append(
            Edge(
                parent=base,
                child=adapter,
                relation=Relation.ADAPTER,
                probability=0.99 if len(fitting) == 1 else 0.99 / len(fitting),
                rank=rank if isinstance(rank, int) else None,
                evidence=evidence,
            )
        )
    return edges


def _is_named(name: str, model: str) -> bool:
    """Whether a configuration's base name means this id: equal, or equal in its last component."""
    if not name:
        return False
    path = PurePosixPath(model.removeprefix("models:/"))
    return model == name or PurePosixPath(name).name in {path.name, path.stem} or name == str(path.parent)


def _fit(adapter: Fingerprint, base: Fingerprint) -> tuple[int, int]:
    """How many ``lora_A`` matrices have the input width of the base's layer of that name, of how many."""
    good = total = 0
    for name, shape in zip(adapter.names, adapter.shapes, strict=True):
        layer, marker, _ = name.partition(".lora_A")
        if marker and len(shape) >= 2:
            total += 1
            good += any(
                f".{target}".endswith(f".{layer}.weight") and shape[1] in dimensions
                for target, dimensions in zip(base.names, base.shapes, strict=True)
            )
    return good, total
