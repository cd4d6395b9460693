"""The registry's families, page by page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from mlflow_mother.export.text import natural_key
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.cursors import Order, Sorting, page
from mlflow_mother.server.api.records import Cursor, Family, ForestAnswer, Limit, Share, Totals, Words
from mlflow_mother.service.groups import Group, groups_of
from mlflow_mother.types import Record, Relation, Status, Verdict

SHOWN_MODELS = 5
_ADDRESS = "models:/"

_SORTINGS: dict[str, tuple[Sorting[Group], Order]] = {
    "size": (Sorting("size", lambda g: (len(g.members), g.root), lambda size, root: (-size, natural_key(root))), "asc"),
    "name": (Sorting("name", lambda g: (g.root,), lambda root: (natural_key(root),)), "asc"),
    "newest": (Sorting("newest", lambda g: (g.newest or 0.0, g.root), lambda at, root: (float(at), root)), "desc"),
}


class ForestQuery(Record):
    """Which families, and in which order.

    Attributes:
        limit: Most families of a page.
        cursor: ``next`` of the page before.
        q: Part of a version's name, in any case.
        relation: Only families with such an edge.
        verdict: Only families with such a version.
        status: Only families with such a version.
        min_confidence: Only families whose least probable edge is at least so probable.
        max_confidence: Only families whose least probable edge is at most so probable.
        sort: Largest first, by name, or latest registration first.
        include_alone: Versions without relatives as well; a search or filter always finds them.
    """

    limit: Limit = 50
    cursor: Cursor | None = None
    q: Words = ""
    relation: Relation | None = None
    verdict: Verdict | None = None
    status: Status | None = None
    min_confidence: Share | None = None
    max_confidence: Share | None = None
    sort: Literal["size", "name", "newest"] = "size"
    include_alone: bool = False


def forest(caller: Caller, query: ForestQuery) -> ForestAnswer:
    """The families of the request's workspace, as far as the user may see them."""
    view = caller.view
    groups = view.once("groups", lambda: groups_of(view))
    sorting, order = _SORTINGS[query.sort]
    ordered = view.once(("groups", query.sort), lambda: sorted(groups, key=sorting.of))
    texts = view.once("group texts", lambda: {group.root: searchable(group.members) for group in groups})
    wanted = searched(query.q)
    fitting = [group for group in ordered if _fits(group, query) and wanted in texts[group.root]]
    found, following = page(fitting, sorting, order, query.limit, query.cursor)
    return ForestAnswer(
        families=tuple(map(_family, found)),
        next=following,
        total=len(fitting),
        totals=view.once("totals", lambda: _totals(groups)),
    )


def searchable(ids: Iterable[str]) -> str:
    """What a search looks at for some versions."""
    return "\n".join(node_id.removeprefix(_ADDRESS) for node_id in ids).casefold()


def searched(q: str) -> str:
    """What a search looks for: an address is meant as the name and version in it."""
    return q.strip().removeprefix(_ADDRESS).casefold()


def _fits(group: Group, query: ForestQuery) -> bool:
    filters = (query.relation, query.verdict, query.status, query.min_confidence, query.max_confidence)
    if len(group.members) == 1 and not (query.include_alone or query.q or any(one is not None for one in filters)):
        return False
    least, most = query.min_confidence, query.max_confidence
    return (
        (query.relation is None or query.relation in group.relations)
        and (query.verdict is None or query.verdict in group.verdicts)
        and (query.status is None or query.status in group.statuses)
        and (least is None or (group.lowest is not None and group.lowest >= least))
        and (most is None or (group.lowest is not None and group.lowest <= most))
    )


def _family(group: Group) -> Family:
    return Family(
        id=group.root,
        root=group.root,
        title=group.title,
        size=len(group.members),
        models=group.models[:SHOWN_MODELS],
        model_count=len(group.models),
        relations=dict(group.relations),
        verdicts=dict(group.verdicts),
        statuses=dict(group.statuses),
        lowest_confidence=group.lowest,
        newest_at=group.newest,
    )


def _totals(groups: Iterable[Group]) -> Totals:
    statuses: Counter[Status] = Counter()
    verdicts: Counter[Verdict] = Counter()
    sizes: Counter[bool] = Counter()
    for group in groups:
        statuses.update(group.statuses)
        verdicts.update(group.verdicts)
        sizes[len(group.members) > 1] += 1
    return Totals(
        versions=statuses.total(),
        families=sizes[True],
        alone=sizes[False],
        by_status=dict(statuses),
        by_verdict=dict(verdicts),
    )
