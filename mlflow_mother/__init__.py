"""mlflow-mother: every registered model's parents, from its weights alone.

The data's way is *weights -> fingerprint -> heritage -> registry*; each is a package of that name. The public verbs
below are loaded on first use, so that importing the package imports neither torch nor MLflow.
"""

from __future__ import annotations

# Type checkers take this for True; importing `typing` would be half of this package's import time.
TYPE_CHECKING = False
__version__ = "0.1.0"

_PUBLIC = {
    "enable": "registry.capture",
    "disable": "registry.capture",
    "tree": "api",
    "fingerprint_model": "api",
    "compare": "api",
    "show": "api",
    "reconcile": "api",
    "audit": "api",
    "ancestors": "api",
    "descendants": "api",
    "hookimpl": "hookspecs",
    "MotherError": "errors",
    "ModelTree": "types",
    "Lineage": "types",
    "Edge": "types",
    "Node": "types",
    "Evidence": "types",
    "Relation": "types",
    "Settings": "settings",
}

__all__ = [
    "Edge",
    "Evidence",
    "Lineage",
    "ModelTree",
    "MotherError",
    "Node",
    "Relation",
    "Settings",
    "__version__",
    "ancestors",
    "audit",
    "compare",
    "descendants",
    "disable",
    "enable",
    "fingerprint_model",
    "hookimpl",
    "reconcile",
    "show",
    "tree",
]

if TYPE_CHECKING:
    from typing import Any

    from mlflow_mother.api import ancestors, audit, compare, descendants, fingerprint_model, reconcile, show, tree
    from mlflow_mother.errors import MotherError
    from mlflow_mother.hookspecs import hookimpl
    from mlflow_mother.registry.capture import disable, enable
    from mlflow_mother.settings import Settings
    from mlflow_mother.types import Edge, Evidence, Lineage, ModelTree, Node, Relation


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return __all__
