"""Who asks, and what MLflow would let them see and do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Access(Protocol):
    """What the user behind the current request may do; asked inside a request only."""

    def user(self) -> str | None:
        """Their name; None where nobody signs in."""

    def readable(self) -> Callable[[str], bool]:
        """Whether they may see a registered model of the request's workspace, by its name; asked for many names."""

    def may_update(self, name: str) -> bool:
        """Whether they may change a registered model's versions and tags."""


class OpenAccess:
    """A server without sign-in: everyone sees and does everything."""

    def user(self) -> str | None:
        """Nobody in particular."""
        return None

    def readable(self) -> Callable[[str], bool]:
        """Every model."""
        return lambda _name: True

    def may_update(self, name: str) -> bool:
        """Always."""
        return True
