"""The use cases: what happens between a registration and its lineage.

=================  ==========================================================================================
``service``        :class:`~mlflow_mother.service.service.Service`: every use case by one name
``worker``         takes claimed versions through the steps; survives being killed between any two of them
``reading``        a version's fingerprint: shared with a copy, fetched from another client, or computed
``inference``      a version's relatives, the tree over them, and whose lineage it changes
``families``       trees from edges; names for unregistered ancestors; the part that concerns one model
``delivery``       tags, artifacts and notifications
``reconciling``    finds everything that is not done and does it; says beforehand how much that is
``watching``       follows a registry on somebody else's server
``deliveries``     which webhook deliveries to believe
``auditing``       declared parents against inferred ones
``decisions``      what people say of parents, and what it comes to
``forest``         a registry in memory, brought up to date by what changes
``view``           what one person may see of it, as families; ``addresses``: the models that a text names
``comparing``      two known versions side by side
``inline``         what a captured registration runs, within its bound
=================  ==========================================================================================

The registry is the source of truth and Mother's store remembers the work: a trigger only enqueues, every step may be
repeated, and what a killed process leaves behind is a lease that runs out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_PUBLIC = {"Plan": "reconciling", "Report": "reconciling", "Service": "service"}

__all__ = ["Plan", "Report", "Service"]

if TYPE_CHECKING:
    from mlflow_mother.service.reconciling import Plan, Report
    from mlflow_mother.service.service import Service


def __getattr__(name: str) -> Any:
    # On first use: a server that only queues what is registered with it loads ``inline`` and not the engine.
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
