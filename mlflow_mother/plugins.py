"""The plugin manager: loads entry points, calls hooks, and survives every plugin that breaks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from mlflow_mother.hookspecs import PROJECT, Exporter, MotherSpec
from mlflow_mother.settings import load_settings
from mlflow_mother.types import Edge, Evidence, Lineage, ModelVersionRef

if TYPE_CHECKING:
    from mlflow_mother.fingerprint.record import Fingerprint
    from mlflow_mother.weights.model import WeightReader

log = logging.getLogger(__name__)


class Plugins:
    """All loaded plugins behind one typed call per hook.

    Args:
        disabled: Entry-point names that are not loaded.
        discover: Whether installed entry points are loaded at all.
    """

    def __init__(self, disabled: Iterable[str] = (), *, discover: bool = True) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(MotherSpec)
        self.failures: dict[str, str] = {}
        skip = set(disabled)
        if discover:
            for entry in sorted(entry_points(group=PROJECT), key=lambda e: e.name):
                if entry.name not in skip:
                    self._load(entry)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the plugins that loaded."""
        return tuple(sorted(name for name, _ in self._manager.list_name_plugin()))

    def register(self, plugin: object, name: str) -> None:
        """Adds a plugin object; one whose hooks do not fit the specification is logged and skipped."""
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except Exception as error:
            self._manager.unregister(name=name)
            self._failed(name, error)

    def weight_readers(self) -> list[WeightReader]:
        """Readers of all plugins."""
        return [reader for readers in self._call("mother_weight_readers") for reader in readers]

    def extra_evidence(self, parent: Fingerprint, child: Fingerprint) -> list[Evidence]:
        """Evidence of all plugins on one directed edge."""
        found = self._call("mother_extra_evidence", parent=parent, child=child)
        return [item for items in found for item in items if isinstance(item, Evidence)]

    def vetoes(self, edge: Edge) -> list[str]:
        """Reasons why plugins forbid an edge; empty when none does."""
        return [str(reason) for reason in self._call("mother_veto_edge", edge=edge)]

    def after_lineage(self, ref: ModelVersionRef, lineage: Lineage) -> None:
        """Tells every plugin of a committed lineage."""
        self._call("mother_after_lineage", ref=ref, lineage=lineage)

    def exporters(self) -> list[Exporter]:
        """Exporters of all plugins."""
        return [exporter for exporters in self._call("mother_exporters") for exporter in exporters]

    def _load(self, entry: EntryPoint) -> None:
        try:
            plugin = entry.load()
        except Exception as error:
            self._failed(entry.name, error)
        else:
            self.register(plugin() if isinstance(plugin, type) else plugin, entry.name)

    def _call(self, hook: str, **arguments: Any) -> list[Any]:
        """Calls each plugin's hook by itself, so that one that raises does not silence the others."""
        results = []
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            wanted = {name: arguments[name] for name in implementation.argnames}
            try:
                result = implementation.function(*wanted.values())
                if result is not None:
                    results.append(list(result) if _is_listing(hook) else result)
            except Exception as error:
                self._failed(implementation.plugin_name, error, hook)
        return results

    def _failed(self, name: str, error: Exception, hook: str = "loading") -> None:
        self.failures[name] = f"{hook}: {type(error).__name__}: {error}"
        log.warning("Mother skips plugin %s, which failed in %s: %s", name, hook, error, exc_info=error)


def _is_listing(hook: str) -> bool:
    return hook in {"mother_weight_readers", "mother_extra_evidence", "mother_exporters"}


@cache
def plugins() -> Plugins:
    """The process's plugins, loaded on first use."""
    return Plugins(load_settings().disabled_plugins)
