"""The registered models that a text names.

What people and engines write about one version may name another: ``models:/name/3``, ``models:/name@alias``. A name
holds neither ``/`` nor ``:``, but it may hold ``@`` and blanks, so that a text can be read in several ways.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

ADDRESS = "models:/"
"""How the address of a registered model begins."""


def names_in(text: str) -> set[str]:
    """All registered models that a text may name."""
    return {name for names in _readings(text) for name in names}


def versions_in(text: str) -> set[str]:
    """The node ids of all versions that a text may name."""
    found = set()
    for rest in text.split(ADDRESS)[1:]:
        name, _, number = rest.partition("/")
        digits = number[: len(number) - len(number.lstrip("0123456789"))]
        found.add(f"{ADDRESS}{name}/{digits}")
    return found


def may_tell(text: str, hidden: AbstractSet[str] | None, known: AbstractSet[str]) -> bool:
    """Whether a text can be shown to somebody.

    Args:
        text: The text.
        hidden: Registered models whose names they must not learn; None for who may learn every name.
        known: All registered models. An unknown name may be that of a hidden one as it was before.
    """
    if hidden is None or ADDRESS not in text:
        return True
    return all(hidden.isdisjoint(names) and not known.isdisjoint(names) for names in _readings(text))


def _readings(text: str) -> list[set[str]]:
    """For each address in a text the names that it may hold."""
    found = []
    for rest in text.split(ADDRESS)[1:]:
        name = rest.partition("/")[0]
        found.append({name, *(name[:end] for end, character in enumerate(name) if character == "@")})
    return found
