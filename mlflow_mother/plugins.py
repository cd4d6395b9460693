"""The plugin manager: loads entry points, calls hooks, and survives every plugin that breaks."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

import pluggy

from mlflow_mother.errors import PluginError
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

    Attributes:
        failures: What went wrong last, by plugin name; ``mlflow-mother doctor`` prints it.
    """

    def __init__(self, disabled: Iterable[str] = (), *, discover: bool = True) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(MotherSpec)
        self._warned: set[tuple[str, str]] = set()
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

    def register(self, plugin: object, name: str) -> bool:
        """Adds a plugin object; one whose hooks do not fit the specification is logged and skipped.

        Args:
            plugin: A module or object with functions marked by ``hookimpl``.
            name: What to call it in messages and in ``disabled_plugins``.

        Returns:
            Whether the plugin is in use from now on.
        """
        if self._manager.has_plugin(name) or self._manager.is_registered(plugin):
            self._failed(f"{name} (second)", PluginError(f"{name} is already registered.", "Rename or remove one."))
            return False
        try:
            self._manager.register(plugin, name)
            self._refuse_wrappers(plugin)
            self._manager.check_pending()
        except Exception as error:
            self._manager.unregister(name=name)
            self._failed(name, error)
            return False
        return True

    def weight_readers(self) -> list[WeightReader]:
        """Readers of all plugins."""
        return self._listed("mother_weight_readers", _with("name", "detect", "tensors"))

    def extra_evidence(self, parent: Fingerprint, child: Fingerprint) -> list[Evidence]:
        """Evidence of all plugins on one directed edge."""
        return self._listed("mother_extra_evidence", _is_sound_evidence, parent=parent, child=child)

    def vetoes(self, edge: Edge) -> list[str]:
        """Reasons why plugins forbid an edge; empty when none does."""
        return [reason for _, reason in self._call("mother_veto_edge", edge=edge) if isinstance(reason, str)]

    def after_lineage(self, ref: ModelVersionRef, lineage: Lineage) -> None:
        """Tells every plugin of a committed lineage."""
        for _ in self._call("mother_after_lineage", ref=ref, lineage=lineage):
            pass

    def exporters(self) -> list[Exporter]:
        """Exporters of all plugins."""
        return self._listed("mother_exporters", _with("name", "suffix", "export"))

    def _load(self, entry: EntryPoint) -> None:
        try:
            plugin = entry.load()
            plugin = plugin() if isinstance(plugin, type) else plugin
        except (Exception, SystemExit) as error:
            self._failed(entry.name, error)
        else:
            self.register(plugin, entry.name)

    def _refuse_wrappers(self, plugin: object) -> None:
        """Hooks are called one by one, so there is nothing that a wrapper could wrap."""
        for caller in self._manager.get_hookcallers(plugin) or ():
            for hook in caller.get_hookimpls():
                if hook.plugin is plugin and (hook.wrapper or hook.hookwrapper):
                    raise PluginError(f"{caller.name} is a hook wrapper.", "Write it as a plain function.")

    def _call(self, hook: str, **arguments: Any) -> Iterator[tuple[str, Any]]:
        """Calls each plugin's hook by itself, so that one that raises does not silence the others.

        Yields:
            Plugin's name and what its hook returned, without the Nones.
        """
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            try:
                result = implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception as error:  # noqa: PERF203
                self._failed(implementation.plugin_name, error, hook)
            else:
                if result is not None:
                    yield implementation.plugin_name, result

    def _listed(self, hook: str, sound: Callable[[Any], bool], **arguments: Any) -> list[Any]:
        """Collects what hooks list; an item that is not sound is reported and left out."""
        found = []
        for name, result in self._call(hook, **arguments):
            try:
                items = list(result)
            except Exception as error:
                self._failed(name, error, hook)
                continue
            for item in items:
                if sound(item):
                    found.append(item)
                else:
                    what = f"An item of type {type(item).__name__} is not what {hook} asks for."
                    self._failed(name, PluginError(what, "See the example in the specification."), hook)
        return found

    def _failed(self, name: str, error: BaseException, hook: str = "loading") -> None:
        """Warns once per plugin and hook; a hook may be called for thousands of edges."""
        level = logging.DEBUG if (name, hook) in self._warned else logging.WARNING
        self._warned.add((name, hook))
        self.failures[name] = f"{hook}: {type(error).__name__}: {error}"
        log.log(level, "Mother skips plugin %s, which failed in %s: %s", name, hook, error, exc_info=error)


def _with(*attributes: str) -> Callable[[Any], bool]:
    return lambda item: all(hasattr(item, attribute) for attribute in attributes)


def _is_sound_evidence(item: Any) -> bool:
    return isinstance(item, Evidence) and math.isfinite(item.log_odds or 0.0)


@cache
def plugins() -> Plugins:
    """The process's plugins, loaded on first use."""
    return Plugins(load_settings().disabled_plugins)
