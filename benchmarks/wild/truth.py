"""What is documented of some networks' origin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Pair = tuple[str, str]


@dataclass(frozen=True)
class Truth:
    """Which of some networks come from which, by name.

    Attributes:
        pairs: (parent, child); no two other networks are parent and child.
        kin: Groups whose common ancestor, a network or an initialisation, is not among them: for these an unregistered
            ancestor is right, an edge between two of them is false.
        copies: Groups of the same weights, any of which may be named as the parent of another's children.
        excused: Pairs of which the documentation leaves open whether they are parent and child, or where one is a copy
            of the other's missing parent: an edge between them is neither right nor false.
    """

    pairs: tuple[Pair, ...] = ()
    kin: tuple[frozenset[str], ...] = ()
    copies: tuple[frozenset[str], ...] = ()
    excused: tuple[Pair, ...] = ()

    def named(self, family: str) -> Truth:
        """The same with ``family/`` before every name."""

        def longer(names: Iterable[str]) -> Iterable[str]:
            return (f"{family}/{name}" for name in names)

        return Truth(
            tuple((f"{family}/{parent}", f"{family}/{child}") for parent, child in self.pairs),
            tuple(frozenset(longer(group)) for group in self.kin),
            tuple(frozenset(longer(group)) for group in self.copies),
            tuple((f"{family}/{first}", f"{family}/{second}") for first, second in self.excused),
        )

    @classmethod
    def union(cls, truths: Iterable[Truth]) -> Truth:
        """What holds of all families together: networks of two families have nothing in common."""
        several = tuple(truths)
        return cls(
            tuple(pair for truth in several for pair in truth.pairs),
            tuple(group for truth in several for group in truth.kin),
            tuple(group for truth in several for group in truth.copies),
            tuple(pair for truth in several for pair in truth.excused),
        )

    def parents(self, pair: Pair) -> frozenset[str]:
        """Networks that are rightly called the parent in a pair: the parent and its copies, without the child."""
        alike = (group for group in self.copies if pair[0] in group)
        return frozenset({pair[0]}).union(*alike) - {pair[1]}

    def allows(self, first: str, second: str) -> bool:
        """Whether an edge between two networks, whichever way it points, is not false."""
        ends = {first, second}
        return any({parent, pair[1]} == ends for pair in self.pairs for parent in self.parents(pair)) or any(
            set(pair) == ends for pair in self.excused
        )
