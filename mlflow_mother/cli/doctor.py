"""``mlflow-mother doctor``: what works, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points, version

import click

from mlflow_mother.cli.exit_codes import ExitCode
from mlflow_mother.cli.options import examples, format_option
from mlflow_mother.cli.output import print_json, print_table
from mlflow_mother.errors import MotherError, SchemaOutdatedError
from mlflow_mother.settings import load_settings
from mlflow_mother.types import Record

_STYLES = {"ok": "green", "problem": "bold red"}


class Check(Record):
    """One thing that was looked at.

    Attributes:
        name: What it is.
        ok: Whether it works.
        detail: What was found.
        remedy: What to do; empty when it works.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@click.command(epilog=examples("mlflow-mother doctor", "mlflow-mother doctor --format json"))
@format_option
def doctor(format_: str) -> ExitCode:
    """Checks the installation and says what to do about whatever does not work.

    Looks at settings, MLflow's view of the plugin, PyTorch, plugins, the registry and Mother's tables. Nothing is
    created or changed. Ends with status 1 when there is a problem.
    """
    checks = list(run_checks())
    if format_ == "json":
        print_json(checks)
    else:
        rows = [(c.name, "ok" if c.ok else "problem", f"{c.detail} {c.remedy}".strip()) for c in checks]
        print_table(("check", "state", "what"), rows, styles=_STYLES)
    return ExitCode.FINE if all(check.ok for check in checks) else ExitCode.FINDINGS


def run_checks() -> Iterator[Check]:
    """Yields the result of each check; one that fails does not stop the others."""
    checks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("settings", _settings),
        ("MLflow", _mlflow),
        ("PyTorch", _torch),
        ("plugins", _plugins),
        ("registry", _registry),
        ("tables", _tables),
    )
    for name, look in checks:
        try:
            yield Check(name=name, ok=True, detail=look())
        except MotherError as error:  # noqa: PERF203
            yield Check(name=name, ok=False, detail=error.what, remedy=error.remedy)
        except ImportError as error:
            yield Check(
                name=name, ok=False, detail=str(error), remedy="Install mlflow-mother again in this environment."
            )


def _settings() -> str:
    changed = sorted(load_settings().model_fields_set)
    return "all defaults" if not changed else "set: " + ", ".join(f"MLFLOW_MOTHER_{name.upper()}" for name in changed)


def _mlflow() -> str:
    found = [entry for entry in entry_points(group="mlflow.model_registry_store") if entry.name == "mlflow-mother"]
    if not found:
        raise MotherError(
            "MLflow does not see the plugin: its entry point is missing.",
            "Install the distribution mlflow-mother (not only its sources) in this environment.",
        )
    found[0].load()
    state = "registrations are followed" if load_settings().enabled else "registrations are not followed (disabled)"
    return f"MLflow {version('mlflow')}; {state}"


def _torch() -> str:
    import torch

    settings = load_settings()
    try:
        torch.zeros(1, device=settings.device)
    except (RuntimeError, AssertionError) as error:
        raise MotherError(
            f"PyTorch {torch.__version__} cannot use the device {settings.device!r}: {str(error).splitlines()[0]}.",
            "Set MLFLOW_MOTHER_DEVICE to a device that it can use, e.g. cpu.",
        ) from error
    return f"PyTorch {torch.__version__}; device {settings.device}, {settings.threads} threads a fingerprint"


def _plugins() -> str:
    from mlflow_mother.plugins import plugins

    loaded = plugins()
    if loaded.failures:
        said = "; ".join(f"{name}: {why}" for name, why in sorted(loaded.failures.items()))
        raise MotherError(f"Skipped: {said}.", "Mend or uninstall them, or set MLFLOW_MOTHER_DISABLED_PLUGINS.")
    return f"loaded: {', '.join(loaded.names)}" if loaded.names else "none installed"


def _registry() -> str:
    from mlflow_mother.registry.connection import Registry
    from mlflow_mother.registry.identity import sqlite_file
    from mlflow_mother.registry.versions import list_versions

    registry = Registry.current()
    file = sqlite_file(registry.uri)
    if file is not None and not file.exists():
        return f"{registry.address} does not exist yet; MLflow creates it at the first use"
    newest = next(list_versions(registry), None)
    return f"{registry.address}; newest version {newest.ref.uri}" if newest else f"{registry.address}; no versions yet"


def _tables() -> str:
    from mlflow_mother.registry.connection import Registry
    from mlflow_mother.registry.identity import canonical
    from mlflow_mother.store.database import Database
    from mlflow_mother.store.schema import check, revision

    address = Registry.current().store
    where = canonical(address.uri)
    database = Database(address.uri)
    try:
        if not address.shared and (database.file is None or not database.file.exists() or revision(database) is None):
            return f"{where}; made at the first use"
        try:
            check(database)
        except SchemaOutdatedError:
            if address.shared:
                raise
            return f"{where}; migrated at the next use"
        return f"{where}; revision {revision(database)}"
    finally:
        database.close()
