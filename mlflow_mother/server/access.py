"""Who asks, and what MLflow would let them see and do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

Route = tuple[str, str]
"""A path as served, and a method."""


class Access(Protocol):
    """What the user behind the current request may do; asked inside a request only."""

    def user(self) -> str | None:
        """Their name; None where nobody signs in."""

    def sees_all(self) -> bool:
        """Whether no registered model is hidden from them, whatever its permissions say."""

    def readable(self) -> Callable[[str], bool]:
        """Whether they may see a registered model of the request's workspace, by its name; asked for many names."""

    def may_update(self, name: str) -> bool:
        """Whether they may change a registered model's versions and tags."""

    def admit(self, routes: Iterable[Route]) -> None:
        """Lets everyone who is signed in call routes that authorise by themselves; asked once, before any request."""


class OpenAccess:
    """A server without sign-in: everyone sees and does everything."""

    def user(self) -> str | None:
        """Nobody in particular."""
        return None

    def sees_all(self) -> bool:
        """Always."""
        return True

    def readable(self) -> Callable[[str], bool]:
        """Every model."""
        return lambda _name: True

    def may_update(self, name: str) -> bool:
        """Always."""
        return True

    def admit(self, routes: Iterable[Route]) -> None:
        """Nothing to do."""
