"""Everything that Mother remembers, on SQLAlchemy: a SQLite file, or tables beside MLflow's in its own database.

:class:`Store` is the whole interface. Its parts are one module each:

* ``versions``: the registered versions; forgetting and renaming them with the registry;
* ``queue``: what is to be done, under leases, so that interrupted work is found again;
* ``fingerprints``: fingerprints by digest, and the index of candidates;
* ``comparisons``: the cache of pairwise comparisons;
* ``inferences`` and ``kinship``: what the weights say, its history, and who descends from whom;
* ``statements``: what metadata and people say;
* ``delivery``: bringing results to MLflow and to whoever is notified;
* ``leases``: which of several processes does what only one shall do; ``notices``: what a server tells others;
* ``overview``: bulk reading for whoever shows a registry.

Below them: ``tables`` (all prefixed ``mother_``), ``schema`` and ``migrations`` (an alembic environment of its own),
``database`` (connections, and the two kinds of write transaction), ``turns`` (courtesy to MLflow in a SQLite file that
the two share). Records come out, never rows or sessions.
"""

from mlflow_mother.store.overview import Stamp
from mlflow_mother.store.records import (
    Candidate,
    Claim,
    Counts,
    Decision,
    DecisionKind,
    DeclaredParent,
    FingerprintFacts,
    Inference,
    InferredEdge,
    Kin,
    Lease,
    Made,
    Registration,
    StoredFingerprint,
    StoredVersion,
    Waiting,
    WriteBackTarget,
)
from mlflow_mother.store.store import Store

__all__ = [
    "Candidate",
    "Claim",
    "Counts",
    "Decision",
    "DecisionKind",
    "DeclaredParent",
    "FingerprintFacts",
    "Inference",
    "InferredEdge",
    "Kin",
    "Lease",
    "Made",
    "Registration",
    "Stamp",
    "Store",
    "StoredFingerprint",
    "StoredVersion",
    "Waiting",
    "WriteBackTarget",
]
