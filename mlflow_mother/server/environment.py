"""What ``mlflow server`` tells its processes, and they their children, through the environment.

Read here and not from ``mlflow.server``, whose import builds MLflow's whole application.
"""

from __future__ import annotations

import os

BACKEND_STORE = "_MLFLOW_SERVER_FILE_STORE"
REGISTRY_STORE = "_MLFLOW_SERVER_REGISTRY_STORE"
ARTIFACTS_DESTINATION = "_MLFLOW_SERVER_ARTIFACT_DESTINATION"
SERVE_ARTIFACTS = "_MLFLOW_SERVER_SERVE_ARTIFACTS"
ARTIFACTS_ONLY = "_MLFLOW_SERVER_ARTIFACTS_ONLY"
INTERFACE = "_MLFLOW_SGI_NAME"


def tracking_uri() -> str:
    """Where the server keeps runs and LoggedModels."""
    return os.environ[BACKEND_STORE]


def registry_uri() -> str:
    """Where the server keeps registered models."""
    return os.environ.get(REGISTRY_STORE) or tracking_uri()


def artifacts_destination() -> str | None:
    """Where the server keeps the artifacts that it proxies; None when it proxies none."""
    return os.environ.get(ARTIFACTS_DESTINATION) if is_on(SERVE_ARTIFACTS) else None


def has_registry() -> bool:
    """Whether this server serves a registry, and not artifacts alone."""
    return BACKEND_STORE in os.environ and not is_on(ARTIFACTS_ONLY)


def is_on(name: str) -> bool:
    """Whether a switch is set."""
    return os.environ.get(name, "").strip().lower() in ("true", "1")
