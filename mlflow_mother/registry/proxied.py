"""Where a server keeps the artifacts that it proxies.

Clients fetch ``mlflow-artifacts:`` addresses from the server. The server's own processes, and commands beside it, go to
the place behind ``--artifacts-destination`` themselves, by the same rules as MLflow's handlers: paths stay inside of
it, and those of a workspace inside of the workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlparse

from mlflow_mother.errors import UnsafeFileError

ROUTE = "/api/2.0/mlflow-artifacts/artifacts/"


def storage_location(uri: str, destination: str, workspace: str | None) -> str:
    """The address at which a process beside the server finds the files that an artifact address means.

    Args:
        uri: Address without ``models:`` or ``runs:``; one that the server does not proxy is returned as it is.
        destination: The server's ``--artifacts-destination``.
        workspace: The workspace that the files belong to, where the server has workspaces.

    Raises:
        UnsafeFileError: The address leads out of the destination, or into another workspace.
    """
    path = _proxied_path(uri)
    if path is None:
        return uri
    from mlflow.utils import uri as mlflow_uri

    append: Callable[[str, str], str] = mlflow_uri.append_to_uri_path
    return append(destination, _scoped(_safe(path), workspace))


def _proxied_path(uri: str) -> str | None:
    parsed = urlparse(uri)
    if parsed.scheme == "mlflow-artifacts":
        return parsed.path.lstrip("/")
    if parsed.scheme in ("http", "https") and ROUTE in parsed.path:
        return parsed.path.partition(ROUTE)[2].lstrip("/")
    return None


def _safe(path: str) -> str:
    from mlflow.exceptions import MlflowException
    from mlflow.utils import uri as mlflow_uri

    validate: Callable[[str], str] = mlflow_uri.validate_path_is_safe
    try:
        return validate(path)
    except MlflowException as error:
        what = f"The artifact address leads to {path!r}, out of the server's destination."
        raise UnsafeFileError(what, "Register the model from its own place.") from error


def _scoped(path: str, workspace: str | None) -> str:
    if workspace is None:
        return path
    if path.partition("/")[0] == "workspaces":
        if path.split("/")[1:2] != [workspace]:
            raise UnsafeFileError(f"{path!r} is not in the workspace {workspace!r}.", "Register it from its own place.")
        return path
    return path if workspace == "default" else f"workspaces/{workspace}/{path}"
