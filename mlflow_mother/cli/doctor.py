"""``mlflow-mother doctor``: what works, and what to do about the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlflow_mother.cli.exit_codes import ExitCode
from mlflow_mother.cli.options import examples, format_option
from mlflow_mother.cli.output import print_json, print_table
from mlflow_mother.errors import MotherError, RegistryError, SettingsError, StoreError
from mlflow_mother.settings import load_settings
from mlflow_mother.types import Record

if TYPE_CHECKING:
    from mlflow_mother.registry.connection import Registry
    from mlflow_mother.store import WriteBackTarget

BUSY_SECONDS = 2.0
"""How long to wait for whoever holds the lock of a SQLite file."""

LEAST_FREE = 16 << 20
"""Bytes that the disk of a SQLite file should have left."""

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

    Looks at settings, MLflow's view of the plugin, PyTorch, plugins, the registry, Mother's tables, and the place for
    artifacts. Nothing is created or changed. Ends with status 1 when there is a problem.
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
        ("artifacts", _artifacts),
    )
    wrong = ""
    for name, look in checks:
        try:
            yield Check(name=name, ok=True, detail=look())
        except SettingsError as error:  # noqa: PERF203
            told, wrong = wrong == str(error), str(error)
            detail = "Not looked at, since a setting is wrong." if told else error.what
            yield Check(name=name, ok=False, detail=detail, remedy="" if told else error.remedy)
        except MotherError as error:
            yield Check(name=name, ok=False, detail=error.what, remedy=error.remedy)
        except ImportError as error:
            yield Check(
                name=name, ok=False, detail=str(error), remedy="Install mlflow-mother again in this environment."
            )


def _settings() -> str:
    settings = load_settings()
    changed = sorted(settings.model_fields_set)
    said = "all defaults" if not changed else "set: " + ", ".join(f"MLFLOW_MOTHER_{name.upper()}" for name in changed)
    known = {f"MLFLOW_MOTHER_{name.upper()}" for name in type(settings).model_fields}
    strange = sorted(name for name in os.environ if name.startswith("MLFLOW_MOTHER_") and name not in known)
    return f"{said}; a plugin's, or misspelt: {', '.join(strange)}" if strange else said


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

    from mlflow_mother.service.reading import check_device

    settings = load_settings()
    check_device(settings.device)
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
    from mlflow_mother.store.schema import REVISION, can_migrate, check, revision

    address = Registry.current().store
    where = canonical(address.uri)
    database = Database(address.uri, busy_seconds=BUSY_SECONDS)
    try:
        if database.file is not None:
            _check_room(database.file)
        found = revision(database) if database.file is None or database.file.exists() else None
        if found is not None:
            database.try_write()
        if address.shared or (found is not None and not can_migrate(found)):
            check(database)
        if found is None:
            return f"{where}; made at the first use"
        return f"{where}; revision {found}{'' if found == REVISION else ', migrated at the next use'}"
    finally:
        database.close()


def _check_room(file: Path) -> None:
    """Makes sure that a SQLite file can be made or can grow."""
    folder = _nearest(file.parent)
    remedy = "Let this user write it, or set MLFLOW_MOTHER_HOME to a folder that it may write."
    if not folder.is_dir():
        raise StoreError(f"{folder} is a file, so that {file} cannot be made.", remedy)
    if not os.access(folder, os.W_OK | os.X_OK) or (file.exists() and not os.access(file, os.W_OK)):
        raise StoreError(f"{file} cannot be written: {folder} is read-only to this user.", remedy)
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        raise StoreError(f"The disk of {file} has {free / 1e6:.1f} MB left.", "Make room there.")


def _artifacts() -> str:
    from mlflow_mother.registry.artifacts import local_folder
    from mlflow_mother.registry.connection import Registry
    from mlflow_mother.registry.identity import sqlite_file
    from mlflow_mother.registry.versions import list_versions
    from mlflow_mother.registry.write_back import place_of

    settings = load_settings()
    if not settings.write_artifacts:
        return "none are written (MLFLOW_MOTHER_WRITE_ARTIFACTS)"
    registry = Registry.current(settings)
    file = sqlite_file(registry.uri)
    try:
        newest = next(list_versions(registry), None) if file is None or file.exists() else None
    except RegistryError:
        return "not looked at, since the registry cannot be read"
    place = place_of(registry, newest) if newest else None
    if newest is None or place is None:
        return "no version that has a place for them yet"
    folder = local_folder(place.root)
    if folder is None:
        place.sizes()
    else:
        _check_folder(folder.joinpath(place.folder), newest.ref.uri)
    left = _unwritten(registry)
    if left:
        raise RegistryError(
            f"The artifacts of {len(left)} versions wait to be written, e.g. those of {left[0]}.",
            "Run `mlflow-mother reconcile`; it says what is in the way.",
        )
    return f"{place.root} can be {'reached' if folder is None else 'written'}"


def _check_folder(folder: Path, uri: str) -> None:
    """Makes sure that a folder can be made or filled."""
    there = _nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RegistryError(
            f"The artifacts of {uri} cannot be written: {there} is "
            f"{'read-only to this user' if there.is_dir() else 'a file'}.",
            "Let this user write there and run `mlflow-mother reconcile`, or set MLFLOW_MOTHER_WRITE_ARTIFACTS=false.",
        )


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest one above that this user can see."""
    return next(above for above in (folder, *folder.parents) if os.path.exists(above))  # noqa: PTH110  (never raises)


def _unwritten(registry: Registry) -> list[str]:
    """Versions whose artifacts are not written yet, at most 100; tables out of reach have a check of their own."""
    from mlflow_mother.service import Service
    from mlflow_mother.store import Store

    try:
        with Store.open(registry.store.uri, local=False) as store:
            named = Service(registry, settings=registry.settings, store=store).names_relatives()
            target: WriteBackTarget = "artifacts" if named else "own artifacts"
            return [waiting.ref.uri for waiting in store.pending_write_backs(registry.id, target, limit=100)]
    except StoreError:
        return []
