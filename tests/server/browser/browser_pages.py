"""Pages of MLflow's in a browser: their addresses, when they are ready, and what goes wrong in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from playwright.sync_api import ConsoleMessage, Page

SETTLED = ".mother-view:not([hidden], [aria-busy])"
"""The tab after its first answer."""

Visit = Callable[..., Page]
"""Opens a page, as the fixture ``visit`` does."""


def model(name: str, version: int | None = None, *, lineage: bool = True) -> str:
    """The address of a model's or a version's page."""
    place = f"#/models/{quote(name, safe='')}" + (f"/versions/{version}" if version else "")
    return place + ("?tab=lineage" if lineage else "")


@dataclass
class Watch:
    """What went wrong in a page.

    Attributes:
        errors: In words.
        expected: Statuses that Mother's API may answer with in this test.
    """

    errors: list[str]
    expected: set[int]

    def listen(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        place = message.location.get("url", "")
        if message.type not in {"error", "warning"}:
            return
        if message.text.startswith("Failed to load resource") and "mother" not in place:
            return  # MLflow asks for what old and plain servers do not have.
        if "mother" in place and any(f"status of {status}" in message.text for status in self.expected):
            return
        self.errors.append(f"{message.type}: {message.text} ({place})")
