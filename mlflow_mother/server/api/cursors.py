"""Pages of long lists: a cursor says after which item the next page begins, so that changes in between shift nothing.

It holds what the item is sorted by, and nothing that its user has not been shown.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Any, Generic, Literal, TypeVar

from mlflow_mother.server.api.errors import bad_request

T = TypeVar("T")
Order = Literal["asc", "desc"]


@dataclass(frozen=True)
class Sorting(Generic[T]):
    """An order of items in which no two are equal.

    Attributes:
        name: What users call it.
        key: An item's sort key.
        raw: What the key is made of, as plain JSON values.
        key_of: Makes the key of it again.
    """

    name: str
    key: Callable[[T], tuple[Any, ...]]
    raw: Callable[[T], tuple[Any, ...]]
    key_of: Callable[..., tuple[Any, ...]]


def page(
    items: Iterable[T], sorting: Sorting[T], order: Order, limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """One page of items, and the cursor of the next one; None after the last.

    Args:
        items: All items, in any order.
        sorting: How the pages are sorted.
        order: Upwards or downwards.
        limit: Most items of the page.
        cursor: Of the page; the first one with None.

    Raises:
        ApiError: The cursor is of another list, or none at all.
    """
    key = sorting.key
    if cursor is not None:
        try:
            last = sorting.key_of(*_read(cursor, sorting.name, order))
            items = [item for item in items if (key(item) > last if order == "asc" else key(item) < last)]
        except (ValueError, TypeError, AttributeError, RecursionError, KeyError, OverflowError) as error:
            raise bad_request("The cursor is not one that this list gave in this order; begin without one.") from error
    found = (nsmallest if order == "asc" else nlargest)(limit + 1, items, key=key)
    following = _written(sorting.name, order, sorting.raw(found[limit - 1])) if len(found) > limit else None
    return found[:limit], following


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
