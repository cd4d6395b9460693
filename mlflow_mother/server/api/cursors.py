"""Pages of long lists: a cursor says after which item the next page begins, so that changes in between shift nothing.

It holds what the item is sorted by, and nothing that its user has not been shown.
"""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from mlflow_mother.server.api.errors import bad_request

T = TypeVar("T")
Order = Literal["asc", "desc"]


@dataclass(frozen=True)
class Sorting(Generic[T]):
    """An order of items in which no two are equal.

    Attributes:
        name: What users call it.
        raw: What an item is sorted by, as plain JSON values.
        key: Their sort key.
    """

    name: str
    raw: Callable[[T], tuple[Any, ...]]
    key: Callable[..., tuple[Any, ...]]

    def of(self, item: T) -> tuple[Any, ...]:
        """An item's sort key."""
        return self.key(*self.raw(item))


def page(
    items: Sequence[T], sorting: Sorting[T], order: Order, limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """One page of items, and the cursor of the next one; None after the last.

    Args:
        items: All items, sorted upwards.
        sorting: How.
        order: Whether the page's items go upwards or downwards.
        limit: Most items of the page.
        cursor: Of the page; the first one with None.

    Raises:
        ApiError: The cursor is of another list, or none at all.
    """
    start, end = 0, len(items)
    if cursor is not None:
        try:
            last = sorting.key(*_read(cursor, sorting.name, order))
            if order == "asc":
                start = bisect_right(items, last, key=sorting.of)
            else:
                end = bisect_left(items, last, key=sorting.of)
        except (ValueError, TypeError, AttributeError, RecursionError, KeyError) as error:
            raise bad_request("The cursor is not one that this list gave in this order; begin without one.") from error
    found = list(items[start : start + limit] if order == "asc" else items[max(0, end - limit) : end][::-1])
    more = end - start > limit
    return found, _written(sorting.name, order, sorting.raw(found[-1])) if more else None


def _written(name: str, order: Order, raw: tuple[Any, ...]) -> str:
    text = json.dumps([name, order, *raw], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read(cursor: str, name: str, order: Order) -> list[Any]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
    value = json.loads(text)
    if not isinstance(value, list) or value[:2] != [name, order]:
        raise ValueError("of another list")
    return value[2:]
