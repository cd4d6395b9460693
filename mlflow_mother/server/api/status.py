"""What this server does for its clients."""

from __future__ import annotations

from mlflow_mother import __version__
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.records import Queue, StatusAnswer
from mlflow_mother.server.supervisor import lease_of
from mlflow_mother.types import SCHEMA_VERSION, Record


class NoQuery(Record):
    """No parameters."""


def status(caller: Caller, _query: NoQuery) -> StatusAnswer:
    """Whether registrations are analysed here, and how much waits."""
    store, queue = caller.service.store, None
    if caller.access.sees_all():
        counts = store.counts(caller.service.registry.id)
        queue = Queue(waiting=counts.queued, working=counts.claimed)
    lease = store.lease(lease_of(caller.service.registry.deployment))
    return StatusAnswer(
        worker=caller.service.settings.enabled,
        version=__version__,
        schema_version=SCHEMA_VERSION,
        user=caller.access.user(),
        queue=queue,
        worker_seen_at=lease.renewed_at if lease else None,
    )
