"""What must hold, and whether it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.accuracy.scores import Rate

NOTHING: Rate = (float("nan"),) * 3
STAR = "shape: star on one task"


@dataclass(frozen=True)
class Goal:
    """One line of what must hold.

    Attributes:
        what: In words.
        sign: ``>=``, ``<=`` or ``>``.
        wanted: The number.
        value: What was measured, and its interval; NaN where nothing was.
    """

    what: str
    sign: str
    wanted: float
    value: Sequence[float]

    @property
    def met(self) -> bool | None:
        """Whether the value holds; None where nothing was measured."""
        value = self.value[0]
        if value != value:
            return None
        return {">=": value >= self.wanted, "<=": value <= self.wanted, ">": value > self.wanted}[self.sign]


def goals(found: Mapping[str, Any]) -> list[Goal]:
    """All lines, from a report's numbers."""
    return [*_trees(found["conditions"]), *_relations(found["relations"]), *_rest(found)]


def _trees(conditions: Mapping[str, Any]) -> Iterator[Goal]:
    def rate(condition: str, withheld: str, what: str) -> Sequence[float]:
        one = conditions.get(condition, {}).get(withheld)
        return one["methods"]["mother"][what] if one else NOTHING

    for what, wanted in (("exact parents", 0.98), ("direction", 0.98), ("root of the tree", 0.95)):
        yield Goal(f"complete trees: {what}", ">=", wanted, rate("all", "0", what))
        margins = {
            name: one["0"]["ahead"]["weights"]["margin"][what]
            for name, one in conditions.items()
            if name.startswith("architecture") and "0" in one
        }
        name = min(margins, key=lambda key: margins[key][0], default="")
        yield Goal(
            f"complete trees: {what}, over the best baseline ({name})", ">", 0.0, margins[name] if name else NOTHING
        )
    for what, wanted in (("direction, decided", 0.98), ("decided", 0.90)):
        meaning = {"direction, decided": "those decided that are right", "decided": "those decided"}[what]
        yield Goal(f"complete trees: of linked true edges, {meaning}", ">=", wanted, rate("all", "0", what))
    yield Goal("40 % withheld: exact parents", ">=", 0.85, rate("all", "0.4", "exact parents"))
    yield Goal("60 % withheld: exact parents", ">=", 0.80, rate("all", "0.6", "exact parents"))
    for withheld in conditions.get(STAR, {"0": None}):
        goal = f"correlated stars, {float(withheld):.0%} withheld: exact parents"
        yield Goal(goal, ">=", 0.90, rate(STAR, withheld, "exact parents"))


def _relations(found: Mapping[str, Any]) -> Iterator[Goal]:
    yield Goal("relation type", ">=", 0.95, found["right"])
    for stored, wanted in (("F32", 0.95), ("F16", 0.95), ("BF16", 0.90)):
        rank = found["ranks"].get(stored, {"exact": NOTHING})["exact"]
        yield Goal(f"LoRA's rank, stored in {stored}{' up to 32' if stored == 'BF16' else ''}", ">=", wanted, rank)
    yield Goal("merges of two: both parents found", ">=", 0.95, found["two parents found"])
    yield Goal("merges: all parents found", ">=", 0.95, found["merges"]["all"]["all parents found"])
    largest = found["coefficients"]["largest error, all parents found"]
    nan = float("nan")
    yield Goal("merges: largest error of a share", "<=", 0.03, (nan if largest is None else largest, nan, nan))
    yield Goal("cast, quantised, pruned: direction", ">=", 0.99, found["directions"]["all"]["right"])


def _rest(found: Mapping[str, Any]) -> Iterator[Goal]:
    for kind, one in found["strangers"].items():
        if kind == "same-start":
            value, low, high = one["rate"]
            yield Goal("same start: pairs without a parent edge", ">=", 0.9, (1 - value, 1 - high, 1 - low))
        else:
            yield Goal(f"unrelated, {kind}: share of pairs with a false edge", "<=", 0.0, one["rate"])
    one = found["calibration"]["all"]
    yield Goal("expected calibration error of edges", "<=", 0.03, one["edges"]["error"])
    yield Goal("expected calibration error of directions", "<=", 0.03, one["directions"]["error"])
    yield Goal("parents given by default: precision", ">=", 0.98, one["precision"])
    yield Goal("parents given by default: coverage", ">=", 0.90, one["coverage"])
