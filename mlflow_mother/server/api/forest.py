"""The registry's families, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

from mlflow_mother.export.text import natural_key
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.cursors import Order, Sorting, page
from mlflow_mother.server.api.filters import Filter
from mlflow_mother.server.api.records import Cursor, FamilyInfo, ForestAnswer, Limit, Totals
from mlflow_mother.service.addresses import ADDRESS
from mlflow_mother.service.view import Family
from mlflow_mother.types import Status, Verdict

SHOWN_MODELS = 5

_SORTINGS: dict[str, tuple[Sorting[Family], Order]] = {
    "size": (
        Sorting(
            "size",
            lambda family: (-len(family.versions), _natural(family)),
            lambda family: (len(family.versions), family.root),
            lambda size, root: (-size, natural_key(root)),
        ),
        "asc",
    ),
    "name": (
        Sorting(
            "name",
            lambda family: (_natural(family),),
            lambda family: (family.root,),
            lambda root: (natural_key(root),),
        ),
        "asc",
    ),
    "newest": (
        Sorting(
            "newest",
            lambda family: (family.newest or 0.0, _natural(family)),
            lambda family: (family.newest or 0.0, family.root),
            lambda at, root: (float(at), natural_key(root)),
        ),
        "desc",
    ),
}


class ForestQuery(Filter):
    """Which families, and in which order.

    Attributes:
        q: Part of a version's name, in any case.
        verdict: Only families with such a version.
        relation: Only families with such an edge.
        status: Only families with such a version.
        min_confidence: Only families whose least probable edge is at least so probable.
        max_confidence: Only families whose least probable edge is at most so probable.
        sort: Largest first, by name, or latest registration first.
        include_alone: Versions without relatives as well; a search or filter always finds them.
        limit: Most families of a page.
        cursor: ``next`` of the page before.
    """

    sort: Literal["size", "name", "newest"] = "size"
    include_alone: bool = False
    limit: Limit = 50
    cursor: Cursor | None = None


def forest(caller: Caller, query: ForestQuery) -> ForestAnswer:
    """The families of the request's workspace, as far as the user may see them."""
    sorting, order = _SORTINGS[query.sort]
    families, wanted = caller.view.groups, searched(query.q)
    fitting = [family for family in families if _fits(family, query) and (not wanted or wanted in _text(family))]
    found, following = page(fitting, sorting, order, query.limit, query.cursor)
    return ForestAnswer(families=tuple(map(_info, found)), next=following, total=len(fitting), totals=_totals(families))


def searchable(ids: Iterable[str]) -> str:
    """What a search looks at for some versions."""
    return "\n".join(node_id.removeprefix(ADDRESS) for node_id in ids).casefold()


def searched(q: str) -> str:
    """What a search looks for: an address is meant as the name and version in it."""
    return q.strip().removeprefix(ADDRESS).casefold()


def _text(family: Family) -> str:
    return family.once("text", lambda: searchable(family.versions))


def _natural(family: Family) -> tuple[Any, ...]:
    return family.once("natural key", lambda: natural_key(family.root))


def _fits(family: Family, query: ForestQuery) -> bool:
    if len(family.versions) == 1 and not (query.include_alone or query.is_set):
        return False
    return query.fits(
        verdicts=family.verdicts, relations=family.relations, statuses=family.statuses, confidence=family.lowest
    )


def _info(family: Family) -> FamilyInfo:
    return FamilyInfo(
        id=family.root,
        root=family.root,
        title=family.title,
        size=len(family.versions),
        models=family.models[:SHOWN_MODELS],
        model_count=len(family.models),
        relations=dict(family.relations),
        verdicts=dict(family.verdicts),
        statuses=dict(family.statuses),
        lowest_confidence=family.lowest,
        newest_at=family.newest,
    )


def _totals(families: Iterable[Family]) -> Totals:
    statuses: Counter[Status] = Counter()
    verdicts: Counter[Verdict] = Counter()
    related = alone = 0
    for family in families:
        statuses.update(family.statuses)
        verdicts.update(family.verdicts)
        related += len(family.versions) > 1
        alone += len(family.versions) == 1
    return Totals(
        versions=statuses.total(),
        families=related,
        alone=alone,
        by_status=dict(statuses),
        by_verdict=dict(verdicts),
    )
