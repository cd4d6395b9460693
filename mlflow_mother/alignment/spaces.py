r"""Hidden spaces: what two tensors, each asked alone, say was done to the units that they share.

A hidden layer is seen by the matrix that makes it and by the one that reads it. Both are matched without knowledge of
each other, and of which axes belong together nothing is assumed: any two axes of one length are compared.

*Orders* (:mod:`.matching`). Two permutations of n units that have nothing to do with each other agree at one place on
average, however large n is; the number of such places is Poisson distributed with mean 1 (Montmort 1708). Units that
stay where they are do not count, for axes with a meaning of their own (pixels, letters, classes) stay in place in
unrelated networks, too; nor do tensors that repeat each other (:meth:`.Bench.one_witness`). Two axes share a space when
they agree on at least a quarter of their units, and the chance that any of all compared pairs agrees as much stays
below one in a million.

*Rotations.* With one side known, the other side's rotation is the orthogonal Procrustes solution (Schönemann 1966)
:math:`M = \operatorname{polar}(X_a X_b^\top)`; it fits any square matrix well. But a rotation found from one tensor
brings another one into place only if that tensor was rotated by it; for unrelated ones the cosine stays at chance.
Where no rotation fits, any invertible map is tried, :math:`M = X_a X_b^+`, whose inverse transpose the other tensor
must have undergone (queries and keys, values and outputs).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
from scipy.special import gammainc

from mlflow_mother.alignment.maps import Map, Turn, Units
from mlflow_mother.alignment.matching import SIDE, Match, assigned, balanced, correlation, match, unfolded
from mlflow_mother.alignment.pieces import SETTLED, Bench, Side, cosine
from mlflow_mother.alignment.source import Floats

LEAST_SHARE = 0.25
"""Least share of the units at which two tensors must agree. Unrelated trained networks stay below 0.1."""

CLEAR_SHARE = 0.75
"""Share at which they agree on an order rather than on a rotation that resembles one."""

LEAST_UNITS = 16
"""Shorter axes have no say."""

CHANCE = 1e-6
"""Most expected number of pairs of axes that agree by chance."""

LEAST_GAIN = 0.25
"""Least gain in cosine that a rotation found elsewhere must bring."""

_SURE = 0.9
"""Cosine at which a rotation is not asked whether it may be another linear map."""

_SINGULAR = 1e-8

_LEAST_SIGNS = 48
_ALIKE = 0.9
"""Signs that agree of at least so many: by chance it happens once in a billion times."""

_ROUNDS = 4
_NEIGHBOURS = 24
"""A rotation is tried on so many views behind and ahead; what shares a head's space lies close by in every format."""

_ANCHOR = 0
"""Stands for all axes that were not moved."""

_COLUMNS = 256
"""Columns on which it is tried."""


@dataclass(frozen=True, eq=False)
class Space:
    """A hidden space that was found.

    Attributes:
        map: What was done to it.
        sides: The axes that share it: name of the tensor in the first model, and axis.
        agreement: For orders the largest share of units that two tensors put to the same place; for rotations the
            largest cosine in a tensor that had no part in finding the rotation.
    """

    map: Map
    sides: tuple[tuple[str, int], ...]
    agreement: float


def find_spaces(bench: Bench, progress: Callable[[], None] = lambda: None) -> list[Space]:
    """Finds hidden spaces until there are no more, and notes the maps on the bench.

    Args:
        bench: Both models' matrices.
        progress: Called after every matrix.
    """
    found: list[Space] = []
    for _ in range(_ROUNDS):
        matches = _matches(bench, progress)
        # A rotation looks a little like an order: what is clearly one comes first, what may be one last.
        new = [*_orders(bench, matches, CLEAR_SHARE)] or [*_rotations(bench, progress)]
        new = new or [*_orders(bench, matches, LEAST_SHARE)]
        found += new
        if not new and not bench.split():
            break
    for step in (_agree_on_signs, _refined):
        better = step(bench)
        bench.maps = {side: better.get(id(known), known) for side, known in bench.maps.items()}
        found = [replace(space, map=better.get(id(space.map), space.map)) for space in found]
    return found


def shared_units(one: Units, other: Units) -> int:
    """How many units two maps treat alike, those not counted that stay as they are in both.

    Where units stay in place and some change their sign, it is how many more signs agree than disagree, if nearly all
    agree: half of them do by chance.
    """
    same = one.order == other.order
    still = same & (one.order == np.arange(len(one.order)))
    signs = one.sign * other.sign
    alike = signs > 0 if signs[same].sum() >= 0 else signs < 0
    agreeing = int((same & ~still & alike).sum())
    flips = min((one.sign[still] > 0).sum(), (one.sign[still] < 0).sum())
    if still.sum() >= _LEAST_SIGNS and flips > 0.1 * still.sum() and alike[still].mean() >= _ALIKE:
        agreeing += 2 * int(alike[still].sum()) - int(still.sum())
    return agreeing


def by_chance(units: int) -> float:
    """Probability that two unrelated permutations agree at this many places or more."""
    return float(gammainc(units, 1.0)) if units > 0 else 1.0


def _matches(bench: Bench, progress: Callable[[], None]) -> dict[int, Match]:
    """How each piece that is not in place fits best by itself."""
    matches = {}
    for index in bench.open():
        matches[index] = match(*bench.pair(index))
        progress()
    return matches


def _orders(bench: Bench, matches: Mapping[int, Match], least: float) -> Iterator[Space]:
    axes: defaultdict[int, list[Side]] = defaultdict(list)
    for index in matches:
        for axis in (0, 1):
            length = bench.pieces[index].shape[axis]
            if (index, axis) not in bench.maps and LEAST_UNITS <= length <= SIDE:
                axes[length].append((index, axis))
    count = sum(len(sides) * (len(sides) - 1) // 2 for sides in axes.values())
    group: dict[Side, Side] = {}
    shares: dict[Side, float] = {}
    for one, other in (pair for sides in axes.values() for pair in _similar(matches, sides, least)):
        first, second = matches[one[0]].sides[one[1]], matches[other[0]].sides[other[1]]
        units = shared_units(first, second)
        share = units / len(first.order)
        if share >= least and by_chance(units) * count <= CHANCE and not bench.one_witness(one, other):
            leader, joined = _leader(group, one), _leader(group, other)
            group[joined] = leader
            shares[leader] = max(share, shares.get(leader, 0.0), shares.get(joined, 0.0))
    members: defaultdict[Side, list[Side]] = defaultdict(list)
    for side in sorted(side for sides in axes.values() for side in sides):
        members[_leader(group, side)].append(side)
    found: dict[Side, Map] = {}
    for leader, sides in members.items():
        if len(sides) > 1:
            pooled = _pooled(bench, matches, sides)
            found.update(dict.fromkeys(sides, pooled))
            yield Space(pooled, _names(bench, sides), shares[leader])
    bench.maps.update(found)


def _similar(matches: Mapping[int, Match], sides: Sequence[Side], least: float) -> Iterator[tuple[Side, Side]]:
    """Pairs of sides of two tensors that put at least this share of the units to the same place, moved or not."""
    orders = np.array([matches[index].sides[axis].order for index, axis in sides], np.int32)
    for place, one in enumerate(sides):
        near = (orders[place + 1 :] == orders[place]).mean(axis=1) >= least
        yield from ((one, other) for other in compress(sides[place + 1 :], near) if other[0] != one[0])


def _leader(group: dict[Side, Side], side: Side) -> Side:
    while group.get(side, side) != side:
        side = group[side]
    return side


def _pooled(bench: Bench, matches: Mapping[int, Match], sides: Sequence[Side]) -> Units:
    """The order that fits all tensors of a space together."""
    reference = matches[sides[0][0]].sides[sides[0][1]]
    total: Floats = np.zeros((len(reference.order),) * 2)
    for index, axis in sides:
        a, b = (balanced(values) for values in bench.pair(index))
        own = matches[index].sides[axis]
        same = own.order == reference.order
        gauge = 1.0 if (own.sign * reference.sign)[same].sum() >= 0 else -1.0
        products = correlation(a, matches[index].sides[1 - axis].apply(b, 1 - axis), axis)
        total += gauge * products / (np.linalg.norm(a) * np.linalg.norm(b))
    return assigned(total)


@dataclass(frozen=True, eq=False)
class _View:
    """A side to be found, the piece's other side being known or taken for known.

    Attributes:
        side: The one to be found.
        across: What the other side is taken for; None as it stands.
    """

    side: Side
    across: Map | None

    def units(self, bench: Bench) -> tuple[Floats, Floats]:
        """Both models' units along the side, ``(n, columns)`` each."""
        index, axis = self.side
        a, b = bench.pair(index)
        if self.across is not None:
            b = self.across.apply(b, 1 - axis)
        return unfolded(a, axis), unfolded(b, axis)


def _rotations(bench: Bench, progress: Callable[[], None]) -> Iterator[Space]:
    views: defaultdict[int, list[_View]] = defaultdict(list)
    for index in bench.open():
        for axis in (0, 1):
            length, across = bench.pieces[index].shape[axis], bench.pieces[index].shape[1 - axis]
            if (index, axis) in bench.maps or not LEAST_UNITS <= length <= SIDE:
                continue
            known: list[Map | None] = [None]
            if (index, 1 - axis) not in bench.maps:
                known += {id(m): m for (i, x), m in bench.maps.items() if bench.pieces[i].shape[x] == across}.values()
            views[length] += [_View((index, axis), one) for one in known]
    for some in views.values():
        samples: dict[int, _Sample] = {}
        for place, view in enumerate(some):
            near = range(max(0, place - _NEIGHBOURS), min(len(some), place + _NEIGHBOURS + 1))
            samples = {i: samples[i] if i in samples else _sampled(bench, some[i]) for i in near}
            if view.side not in bench.maps:
                yield from _turned(bench, view, [samples[i] for i in near if _may_confirm(bench, view, some[i])])
            progress()


@dataclass(frozen=True, eq=False)
class _Sample:
    """A view and some of its columns, on which maps found elsewhere are tried.

    Attributes:
        view: The view.
        a: Of the first model, ``(n, columns)``.
        b: Of the second.
        cosine: Of the two as they stand.
    """

    view: _View
    a: Floats
    b: Floats
    cosine: float


def _sampled(bench: Bench, view: _View) -> _Sample:
    a, b = view.units(bench)
    step = max(1, a.shape[1] // _COLUMNS)
    return _Sample(view, a[:, ::step].copy(), b[:, ::step].copy(), cosine(a, b))


def _may_confirm(bench: Bench, view: _View, other: _View) -> bool:
    """Whether another view is of another tensor, and its side still open, with nothing new known of its piece."""
    index, axis = other.side
    across = bench.maps.get((index, 1 - axis))
    return index != view.side[0] and other.side not in bench.maps and (across is None or other.across is None)


def _turned(bench: Bench, view: _View, others: Sequence[_Sample]) -> Iterator[Space]:
    a, b = view.units(bench)
    if not others or a.shape[1] < a.shape[0] or cosine(a, b) >= SETTLED:
        return
    turn = _procrustes(a @ b.T)
    confirmed = _confirmed(turn, others)
    if (not confirmed or max(found[0] for found in confirmed.values()) < _SURE) and _invertible(a) and _invertible(b):
        general = Turn(a @ np.linalg.pinv(b), orthogonal=False)
        more = _confirmed(general.dual(), others) if _invertible(general.matrix) else {}
        if sum(found[0] for found in more.values()) > sum(found[0] for found in confirmed.values()):
            turn, confirmed = general, more
    witnesses = [reached for side, (reached, _) in confirmed.items() if not bench.one_witness(view.side, side)]
    if not witnesses:
        return
    chosen = [other for _, other in confirmed.values()]
    pooled = _pooled_turn(bench, [view, *chosen]) if turn.orthogonal else turn
    dual = pooled.dual()
    for one in (view, *chosen):
        index, axis = one.side
        bench.maps[one.side] = pooled if one is view else dual
        if one.across is not None:
            bench.maps[index, 1 - axis] = one.across
    yield Space(pooled, _names(bench, [one.side for one in (view, *chosen)]), max(witnesses))


def _confirmed(turn: Turn, others: Sequence[_Sample]) -> dict[Side, tuple[float, _View]]:
    """Views that a map found elsewhere brings into place, with the cosines; of each side the best one."""
    found: dict[Side, tuple[float, _View]] = {}
    for other in others:
        reached = cosine(other.a, turn.apply(other.b, 0))
        side = other.view.side
        if reached >= max(SETTLED, other.cosine + LEAST_GAIN, found.get(side, (0.0,))[0]):
            found[side] = (reached, other.view)
    return found


def _invertible(units: Floats) -> bool:
    sizes = np.linalg.eigvalsh((units @ units.T).astype(np.float64))
    return bool(sizes[0] > _SINGULAR * sizes[-1])


def _procrustes(products: Floats) -> Turn:
    left, _, right = np.linalg.svd(products)
    return Turn(left @ right)


def _pooled_turn(bench: Bench, views: Sequence[_View]) -> Turn:
    products = []
    for view in views:
        a, b = view.units(bench)
        products.append(a @ b.T / (np.linalg.norm(a) * np.linalg.norm(b)))
    total: Floats = np.sum(products, axis=0)
    return _procrustes(total)


def _names(bench: Bench, sides: Sequence[Side]) -> tuple[tuple[str, int], ...]:
    return tuple((bench.pieces[index].name, axis) for index, axis in sides)


def _agree_on_signs(bench: Bench) -> dict[int, Map]:
    """Flips whole spaces until their tensors lie along the first model's instead of against them.

    A chain of hidden layers fixes the signs of each only relative to the next one; the axes that were not moved are
    its anchors. From them on the surest tensor decides about the space at its other end.

    Returns:
        The flipped maps by the identity of what they were.
    """
    spaces: defaultdict[int, list[Side]] = defaultdict(list)
    for side, known in bench.maps.items():
        spaces[id(known)].append(side)
    of = {side: space for space, sides in spaces.items() for side in sides}
    ends = {index: (of.get((index, 0), _ANCHOR), of.get((index, 1), _ANCHOR)) for index, _ in bench.maps}
    cosines = {index: cosine(*bench.pair(index)) for index, (one, other) in ends.items() if one != other}
    signs = {_ANCHOR: 1.0}
    while len(signs) <= len(spaces):
        border = [index for index in cosines if sum(end in signs for end in ends[index]) == 1]
        if not border:  # a part without an anchor: its signs mean nothing
            signs[next(space for space in spaces if space not in signs)] = 1.0
            continue
        surest = max(border, key=lambda index: abs(cosines[index]))
        old, new = sorted(ends[surest], key=lambda end: end not in signs)
        signs[new] = signs[old] if cosines[surest] >= 0 else -signs[old]
    return {space: bench.maps[sides[0]].flipped() for space, sides in spaces.items() if signs[space] < 0}


def _refined(bench: Bench) -> dict[int, Map]:
    """Orders found once more, now that the other sides of all tensors are known: it settles what was nearly tied.

    Returns:
        The new maps by the identity of what they were.
    """
    total: dict[int, Floats] = {}
    for (index, axis), known in bench.maps.items():
        if isinstance(known, Units):
            a, b = bench.pair(index, mapped=False)
            across = bench.maps.get((index, 1 - axis))
            one, other = balanced(a), balanced(b if across is None else across.apply(b, 1 - axis))
            total[id(known)] = total.get(id(known), 0.0) + correlation(one, other, axis) / one.size
    return {space: assigned(products) for space, products in total.items()}
