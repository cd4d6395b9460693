"""Whether the server behind a remote registry has a Mother of its own, so that a client leaves the work to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_mother.registry.connection import Registry

STATUS_ROUTE = "/ajax-api/2.0/mlflow-mother/status"
"""Answered with JSON whose ``worker`` is true by a server that analyses what is registered with it."""

TIMEOUT_SECONDS = 1.0
REMEMBER_SECONDS = 300.0

_answers: dict[str, tuple[float, bool]] = {}


def server_has_mother(store: Any, deadline: float) -> bool:
    """Asks a remote registry's server, once in a while; False for any other store, and when in doubt.

    Args:
        store: MLflow's registry store.
        deadline: ``time.monotonic()`` after which nobody waits for the answer.
    """
    if not hasattr(store, "get_host_creds"):
        return False
    credentials = store.get_host_creds()
    asked, answer = _answers.get(credentials.host, (-REMEMBER_SECONDS, False))
    now = time.monotonic()
    if now - asked < REMEMBER_SECONDS:
        return answer
    answer = _ask(credentials, min(TIMEOUT_SECONDS, max(0.05, deadline - now)))
    _answers[credentials.host] = (now, answer)
    return answer


def has_mother(registry: Registry) -> bool:
    """Asks a registry's server; False where there is none, and when in doubt."""
    return server_has_mother(getattr(registry.versions_client, "store", None), time.monotonic() + TIMEOUT_SECONDS)


def _ask(credentials: Any, timeout: float) -> bool:
    from mlflow.utils import rest_utils

    request: Callable[..., Any] = rest_utils.http_request
    try:
        response = request(credentials, STATUS_ROUTE, "GET", timeout=timeout, max_retries=0, raise_on_status=False)
        content = response.json() if response.status_code == 200 else {}
    except Exception:
        return False
    return isinstance(content, dict) and content.get("worker") is True
