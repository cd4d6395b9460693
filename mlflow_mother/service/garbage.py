"""When Python's garbage collector should not look."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Spares the collector tens of thousands of records, which either all stay or are gone without its help.

    They would make it look through all that MLflow and its libraries hold, half a million objects, again and again:
    a third of a second each time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
