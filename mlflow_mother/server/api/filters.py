"""What long lists are filtered by."""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

from mlflow_mother.server.api.records import Share, Words
from mlflow_mother.types import Record, Relation, Status, Verdict

_T = TypeVar("_T")


class Filter(Record):
    """Which versions, or which families of them.

    Attributes:
        q: Part of a name, in any case.
        verdict: Only this verdict.
        relation: Only this relation.
        status: Only this status.
        min_confidence: Only inferred parents at least so probable.
        max_confidence: Only inferred parents at most so probable.
    """

    q: Words = ""
    verdict: Verdict | None = None
    relation: Relation | None = None
    status: Status | None = None
    min_confidence: Share | None = None
    max_confidence: Share | None = None

    @property
    def is_set(self) -> bool:
        """Whether not everything is wanted."""
        asked = (self.verdict, self.relation, self.status, self.min_confidence, self.max_confidence)
        return bool(self.q) or any(one is not None for one in asked)

    def fits(
        self,
        *,
        verdicts: Container[Verdict],
        relations: Container[Relation | None],
        statuses: Container[Status],
        confidence: float | None,
    ) -> bool:
        """Whether something is wanted, whatever it is called.

        Args:
            verdicts: Verdicts of its versions.
            relations: Relations of its edges.
            statuses: Statuses of its versions.
            confidence: Probability of its least probable edge; None without edges.
        """
        least, most = self.min_confidence, self.max_confidence
        return (
            _is_in(self.verdict, verdicts)
            and _is_in(self.relation, relations)
            and _is_in(self.status, statuses)
            and (least is None or (confidence is not None and confidence >= least))
            and (most is None or (confidence is not None and confidence <= most))
        )


def _is_in(wanted: _T | None, found: Container[_T]) -> bool:
    return wanted is None or wanted in found
