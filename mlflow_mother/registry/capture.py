"""Notices every registration, in whatever way it was made: all of them end in the store's ``create_model_version``.

The wrappers keep MLflow's signature (MLflow inspects it), return what the store returned, and swallow whatever goes
wrong on Mother's side. Only the standard library is imported until a version is really captured.
"""

from __future__ import annotations

import functools
import logging
import os
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

log = logging.getLogger(__name__)

STORES = frozenset(
    {
        "mlflow.store.model_registry.sqlalchemy_store.SqlAlchemyStore",
        "mlflow.store.model_registry.file_store.FileStore",
        "mlflow.store.model_registry.rest_store.RestStore",
    }
)
"""MLflow's registry stores; all others derive from one of them or reach it over HTTP."""

HANDLER = "mlflow_mother.service.inline:captured"
"""Who looks at a captured version; takes the store, MLflow's version, ``began`` and ``enqueue_only``."""

_PROMPT_SOURCES = frozenset({"dummy-source", "prompt-template"})

_switch: bool | None = None


def enable() -> None:
    """Turns lineage on for this process, whatever ``MLFLOW_MOTHER_ENABLED`` says.

    An installed Mother is on by default; this is for a process that had turned it off, or that uses Mother without
    its distribution's entry points.
    """
    global _switch
    _switch = True
    install()


def disable() -> None:
    """Turns lineage off for this process: registrations are not looked at."""
    global _switch
    _switch = False


def enabled() -> bool:
    """Whether this process looks at registrations: the last ``enable``/``disable``, else the setting."""
    if _switch is not None:
        return _switch
    from mlflow_mother.settings import load_settings

    return load_settings().enabled


def install() -> None:
    """Wraps MLflow's registry stores: those that are loaded now, the others when their classes are made.

    A second call changes nothing.
    """
    from mlflow.store.model_registry.abstract_store import AbstractStore

    base: Any = AbstractStore
    if not hasattr(base, "_mother"):
        base.__init_subclass__ = classmethod(functools.partial(_subclass_made, base))
        base._mother = True
    for store in _subclasses(base):
        _wrap(store)


def in_server() -> bool:
    """Whether this process is an ``mlflow server`` (or one of its workers)."""
    return "_MLFLOW_SERVER_FILE_STORE" in os.environ and "mlflow.server.handlers" in sys.modules


def _subclass_made(base: Any, store: Any, **options: Any) -> None:
    super(base, store).__init_subclass__(**options)
    _wrap(store)


def _subclasses(store: Any) -> Iterator[Any]:
    for below in store.__subclasses__():
        yield below
        yield from _subclasses(below)


def _wrap(store: Any) -> None:
    if f"{store.__module__}.{store.__qualname__}" not in STORES:
        return
    try:
        original = store.create_model_version
        if not hasattr(original, "_mother"):
            store.create_model_version = _capturing(original)
    except Exception as error:
        log.warning("Mother cannot follow %s: %s", store.__qualname__, error, exc_info=True)


def _capturing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create_model_version(self: Any, *args: Any, **kwargs: Any) -> Any:
        version = original(self, *args, **kwargs)
        began = time.monotonic()
        try:
            _captured(self, version, began)
        except Exception as error:
            from mlflow_mother.errors import MotherError

            trace = not isinstance(error, MotherError)
            log.warning("Mother leaves %s to `mlflow-mother reconcile`: %s", _name(version), error, exc_info=trace)
        return version

    create_model_version._mother = True  # type: ignore[attr-defined]
    return create_model_version


def _captured(store: Any, version: Any, began: float) -> None:
    if not enabled() or _is_prompt(version):
        return
    # By name, as an entry point would: the registry package knows nothing of the service above it, and a process
    # that registers nothing never loads it.
    handler = pkgutil.resolve_name(HANDLER)
    handler(store, version, began=began, enqueue_only=in_server())


def _is_prompt(version: Any) -> bool:
    return bool(version._is_prompt()) or version.source in _PROMPT_SOURCES


def _name(version: Any) -> str:
    return f"models:/{getattr(version, 'name', '?')}/{getattr(version, 'version', '?')}"
