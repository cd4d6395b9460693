"""What MLflow loads, in clients and servers, just before it builds its first registry store.

MLflow catches only ``ImportError`` and ``AttributeError`` there; any other exception would break every registry call
of the process. So importing this module cannot raise, and a Mother that cannot start leaves MLflow as it was.
"""

from __future__ import annotations

import os
from typing import Any


def _start() -> None:
    try:
        from mlflow_mother.registry.capture import install

        install()
        if "MLFLOW_MOTHER_AUTO_UI" in os.environ:
            _mount_in_server()
    except Exception as error:
        import logging

        logging.getLogger("mlflow_mother").warning(
            "Mother could not start, registrations go on without lineage: %s", error, exc_info=True
        )


def _mount_in_server() -> None:
    """By name, as another entry point would: a client never loads what a server needs."""
    import pkgutil

    from mlflow_mother.settings import load_settings

    if load_settings().auto_ui:
        pkgutil.resolve_name("mlflow_mother.server.autoui:prepare")()


def store_builder(store_uri: str, tracking_uri: str | None = None) -> Any:
    """Answers MLflow's request for a store of the scheme ``mlflow-mother``, of which there is none.

    The entry point exists to be loaded; it is no store of its own.

    Raises:
        RegistryError: Always; it says which address to use instead.
    """
    from mlflow_mother.errors import RegistryError

    raise RegistryError(
        f"{store_uri!r} is not the address of a model registry.",
        "Use the registry's own address, e.g. sqlite:///mlflow.db; Mother follows by itself.",
    )


_start()
