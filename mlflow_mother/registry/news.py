"""What is new at the top of the registry's list, at the price of one request when nothing is.

A version that appears behind others (two clocks, a slow commit) is seen as long as it is among the newest of
:data:`PAGE`; whatever is missed here is found when the registry is listed in full.
"""

from __future__ import annotations

from typing import Any

from mlflow_mother.registry.connection import Registry, mlflow_errors
from mlflow_mother.registry.versions import RegisteredVersion, from_mlflow, is_prompt, model_if_there

PAGE = 100
"""Versions asked for at once."""

_Key = tuple[str, str, int]


class News:
    """Remembers the newest versions from one look to the next.

    Args:
        registry: The registry.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen: frozenset[_Key] | None = None

    def look(self) -> list[RegisteredVersion]:
        """The versions that were registered since the last look, newest first; the first look only remembers.

        Prompts are left out, ignored versions are marked.

        Raises:
            RegistryError: The registry cannot be read.
        """
        new: list[Any] = []
        seen: set[_Key] = set()
        token = None
        while True:
            page = self._page(token)
            keys = [_key(version) for version in page]
            seen.update(keys)
            if self._seen is None:
                break
            new += [version for version, key in zip(page, keys, strict=True) if key not in self._seen]
            token = page.token
            if not token or not self._seen.isdisjoint(keys):
                break
        found = self._read([version for version in new if not is_prompt(version.tags)])
        self._seen = frozenset(seen)
        return found

    def forget(self) -> None:
        """Makes the next look a first one."""
        self._seen = None

    def _page(self, token: str | None) -> Any:
        with mlflow_errors("The newest versions of the registry could not be listed"):
            return self._registry.client.search_model_versions(
                max_results=PAGE, order_by=["creation_timestamp DESC"], page_token=token
            )

    def _read(self, versions: list[Any]) -> list[RegisteredVersion]:
        models = {name: model_if_there(self._registry, name) for name in {version.name for version in versions}}
        return [from_mlflow(self._registry, version, models[version.name]) for version in versions]


def _key(version: Any) -> _Key:
    """Tells a version from one that was deleted and registered anew under its number."""
    return version.name, str(version.version), int(version.creation_timestamp or 0)
