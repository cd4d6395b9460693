"""Mother mounts herself where MLflow's own app is served, and a hook of hers stops no import of MLflow's."""

from __future__ import annotations

import os
import sys
from types import ModuleType

import pytest
from mlflow.utils import import_hooks

from mlflow_mother.server import autoui, environment
from mlflow_mother.server.basic_auth import NAME_RELATIVES

SIGN_IN, PLAIN = "mlflow.server.auth", "mlflow.server.fastapi_app"


@pytest.fixture(autouse=True)
def imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server's process that has imported neither of the two."""
    monkeypatch.setattr(import_hooks, "_post_import_hooks", {})
    for name in (SIGN_IN, PLAIN):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv(environment.INTERFACE, "uvicorn")
    monkeypatch.setenv(NAME_RELATIVES, "set")  # so that it is taken back when a hook sets it
    monkeypatch.delenv(NAME_RELATIVES)


def hooked(monkeypatch: pytest.MonkeyPatch, *command: str) -> set[str]:
    """The modules that a process of this command line waits for."""
    monkeypatch.setattr(sys, "argv", ["uvicorn", "--host", "127.0.0.1", *command])
    autoui.prepare()
    return {name for name in (SIGN_IN, PLAIN) if import_hooks.get_post_import_hooks(name)}


@pytest.mark.parametrize(
    ("app", "module"),
    [
        ("mlflow.server.fastapi_app:app", PLAIN),
        ("mlflow.server.auth:create_app", SIGN_IN),
        ("mlflow.server.auth:create_app()", SIGN_IN),
        ("mlflow.server:app", None),
        ("mlflow_mother.server.app:create_app", None),
        ("mlflow_mother.server.basic_auth:create_app", None),
        ("somebody.elses:create_app", None),
    ],
)
def test_only_what_is_served_is_mounted_on(monkeypatch: pytest.MonkeyPatch, app: str, module: str | None) -> None:
    assert hooked(monkeypatch, app) == ({module} if module else set())


def test_a_plain_server_that_imports_the_sign_in_goes_on_naming_relatives(monkeypatch: pytest.MonkeyPatch) -> None:
    hooked(monkeypatch, "mlflow.server.fastapi_app:app")
    import_hooks.notify_module_loaded(ModuleType(SIGN_IN))  # as it does for whoever searches runs
    assert NAME_RELATIVES not in os.environ


@pytest.mark.parametrize("module", [SIGN_IN, PLAIN])
def test_mlflow_is_imported_though_mother_is_broken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, module: str
) -> None:
    hooked(monkeypatch, "mlflow.server.auth:create_app" if module == SIGN_IN else "mlflow.server.fastapi_app:app")
    monkeypatch.setitem(sys.modules, "mlflow_mother.server.app", None)
    import_hooks.notify_module_loaded(ModuleType(module))
    assert "MLflow is served without her" in caplog.text
    assert NAME_RELATIVES not in os.environ
