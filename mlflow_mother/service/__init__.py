"""The use cases: what happens between a registration and its lineage.

=================  ==========================================================================================
``service``        :class:`~mlflow_mother.service.service.Service`: every use case by one name
``worker``         takes claimed versions through the steps; survives being killed between any two of them
``reading``        a version's fingerprint: shared with a copy, fetched from another client, or computed
``inference``      a version's relatives, the tree over them, and whose lineage it changes
``families``       trees from edges; names for unregistered ancestors; the part that concerns one model
``delivery``       tags, artifacts and notifications
``reconciling``    finds everything that is not done and does it; says beforehand how much that is
``auditing``       declared parents against inferred ones
``inline``         what a captured registration runs, within its bound
=================  ==========================================================================================

The registry is the source of truth and Mother's store remembers the work: a trigger only enqueues, every step may be
repeated, and what a killed process leaves behind is a lease that runs out.
"""

from mlflow_mother.service.reconciling import Plan, Report
from mlflow_mother.service.service import Service

__all__ = ["Plan", "Report", "Service"]
