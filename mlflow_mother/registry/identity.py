"""Which registry this is, and which of Mother's stores belongs to it.

A registry's id must be the same in every process that writes to one store, and must not hold a secret:

* Mother's tables in the registry's own database: the id is ``own``. A moved SQLite file, or a server that two machines
  reach under two names, keeps its lineage.
* Mother's tables anywhere else: the registry's address without user, password and query.

A workspace other than the default one follows after ``#``: lineage never crosses workspaces.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from mlflow_mother.errors import SettingsError
from mlflow_mother.settings import Settings

OWN = "own"
"""Id of the registry in whose own database Mother's tables are."""

DEFAULT_WORKSPACE = "default"

_SQL = ("sqlite", "postgresql")
"""Databases that can hold Mother's tables as well; a registry in another one gets a SQLite file."""
_NAMES = ("databricks", "databricks-uc", "uc")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class StoreAddress:
    """Where Mother's tables for one registry are.

    Attributes:
        uri: SQLAlchemy URI.
        shared: Whether other machines may use it: such a database is migrated only on purpose.
        registry: The registry's id in it.
    """

    uri: str
    shared: bool
    registry: str


def canonical(uri: str) -> str:
    """The registry's address in one spelling, without user, password and query.

    Args:
        uri: Registry URI as MLflow resolved it: a database, ``http(s)``, a folder, ``uc:`` or ``databricks...``.
    """
    scheme = _scheme(uri)
    if uri in _NAMES:
        return uri
    if scheme == "sqlite":
        path = sqlite_file(uri)
        return f"sqlite:///{path.as_posix()}" if path else "sqlite://"
    if scheme in ("", "file"):
        return f"file://{_folder(uri).as_posix()}"
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    host = (parts.hostname or "").lower()
    port = f":{parts.port}" if parts.port and parts.port != _PORTS.get(scheme) else ""
    return f"{scheme}://{host}{port}{parts.path.rstrip('/')}"


def sqlite_file(uri: str) -> Path | None:
    """Absolute path of a SQLite URI's file; None for one in memory or any other database."""
    if _scheme(uri) != "sqlite":
        return None
    path = unquote(uri.split(":///", 1)[1].partition("?")[0]) if ":///" in uri else ""
    return None if path in ("", ":memory:") or path.startswith("file:") else Path(path).absolute()


def is_database(uri: str) -> bool:
    """Whether a process that holds this URI reaches the registry's tables themselves."""
    scheme = _scheme(uri)
    return sqlite_file(uri) is not None if scheme == "sqlite" else scheme in _SQL


def is_unity_catalog(uri: str) -> bool:
    """Whether the registry is a Unity Catalog, which forbids dots in tags."""
    return (_scheme(uri) or uri) in ("uc", "databricks-uc")


def store_address(uri: str, workspace: str | None, settings: Settings) -> StoreAddress:
    """Finds the store that belongs to a registry.

    ``MLFLOW_MOTHER_STORE_URI`` if set; the registry's own database when ``uri`` is one; else a SQLite file of its own
    in ``MLFLOW_MOTHER_HOME``.
    """
    if settings.store_uri:
        same = canonical(settings.store_uri) == canonical(uri)
        registry = OWN if same else canonical(uri)
        return StoreAddress(settings.store_uri, _is_shared(settings.store_uri), _with_workspace(registry, workspace))
    if is_database(uri):
        return StoreAddress(absolute(uri), _is_shared(uri), _with_workspace(OWN, workspace))
    address = canonical(uri)
    label = re.sub(r"[^a-z0-9.]+", "-", address.lower().partition("://")[2] or address).strip("-.")[-40:]
    name = f"{label}-{hashlib.sha256(address.encode()).hexdigest()[:12]}.db"
    return StoreAddress(f"sqlite:///{_home(settings) / name}", False, _with_workspace(address, workspace))


def _home(settings: Settings) -> Path:
    try:
        return settings.home.expanduser().absolute()
    except RuntimeError as error:
        raise SettingsError(
            f"MLFLOW_MOTHER_HOME is {str(settings.home)!r}, and this user has no home folder.",
            "Set it to a folder that this user may write.",
        ) from error


def absolute(uri: str) -> str:
    """A database URI that means the same after a change of the working directory."""
    path = sqlite_file(uri)
    if path is None:
        return uri
    query = uri.partition("?")[2]
    return f"sqlite:///{path}" + (f"?{query}" if query else "")


def _scheme(uri: str) -> str:
    """Lower-case scheme without the driver (``postgresql+psycopg2`` is ``postgresql``); empty for a path."""
    head, separator, _ = uri.partition(":")
    return head.partition("+")[0].lower() if separator and len(head) > 1 else ""


def _folder(uri: str) -> Path:
    return Path(url2pathname(urlsplit(uri).path) if uri.lower().startswith("file:") else uri).absolute()


def _is_shared(uri: str) -> bool:
    return sqlite_file(uri) is None


def _with_workspace(registry: str, workspace: str | None) -> str:
    return registry if workspace in (None, "", DEFAULT_WORKSPACE) else f"{registry}#{workspace}"
