"""The Python verbs: what the command line does, as functions that return records.

``discover`` finds the models of a path, ``local`` fingerprints and compares them without any registry, ``registered``
asks :class:`~mlflow_mother.service.Service` about the registry that MLflow's own calls use, and ``results`` are the
records that are not trees. ``deep`` looks for rearranged copies. The verbs themselves are in ``verbs``.
"""

from mlflow_mother.api.local import Progress
from mlflow_mother.api.results import Audit, Deep, Pair, Relative, Relatives
from mlflow_mother.api.verbs import (
    ancestors,
    audit,
    compare,
    descendants,
    fingerprint_model,
    reconcile,
    show,
    tree,
)

__all__ = [
    "Audit",
    "Deep",
    "Pair",
    "Progress",
    "Relative",
    "Relatives",
    "ancestors",
    "audit",
    "compare",
    "descendants",
    "fingerprint_model",
    "reconcile",
    "show",
    "tree",
]
