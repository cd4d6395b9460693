"""The ``mother.*`` tags of a model version: their names, their values, and whom they are about.

MLflow copies a version's tags along with the version. So Mother's tags carry their subject and the digest of its
weights, and tags that speak of another version are recognised as inherited and written anew. ``docs/tags.md``
describes every tag; a test holds the two together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_mother.types import Edge, Lineage, ModelVersionRef, Status

STATUS = "mother.status"
SUBJECT = "mother.subject"
PARENT = "mother.parent"
PARENTS = "mother.parents"
RELATION = "mother.relation"
CONFIDENCE = "mother.confidence"
ROOT = "mother.root"
REASON = "mother.reason"
IGNORE = "mother.ignore"

WRITTEN: Mapping[str, str] = {
    SUBJECT: "The version that the tags are about and its weights' digest: `models:/name/3#<digest>`.",
    PARENT: "The parent, when it is decided and registered: `models:/name/2`.",
    PARENTS: "All parents of a merge with their shares, as JSON: `[{\"parent\": ..., \"weight\": 0.6}, ...]`.",
    RELATION: "What was done to the parent: `finetune`, `adapter`, `quantized`, `merge`, `lora-merged`, "
    "`partial-finetune`, `cast`, `pruned`, `extended`, `copy` or `sibling`.",
    CONFIDENCE: "Probability of the edge from the parent, three decimals.",
    ROOT: "The oldest registered ancestor that all decided edges lead back to; the version itself at the top.",
    REASON: "Why the status is `pending`, `unsupported` or `failed`, and what to do about it.",
    STATUS: "`pending`, `done`, `undecided`, `unsupported` or `failed`; always present, and written last.",
}  # fmt: skip
"""Every tag that Mother writes, in writing order, with its meaning."""

READ: Mapping[str, str] = {
    IGNORE: "Set by people, on a registered model or one version: Mother leaves it alone. `false` takes it back.",
}
"""Every tag that Mother reads and never writes."""

_ADDRESS = "models:/"

MAX_VALUE = 5000
"""Longest value, in characters: far below any registry's own limit."""


def key(name: str, *, dotted: bool = True) -> str:
    """The key of a tag: ``mother.parent``, or ``mother_parent`` where the registry forbids dots."""
    return name if dotted else name.replace(".", "_")


@dataclass(frozen=True)
class TagSet:
    """Mother's tags of one version, by the names above.

    Attributes:
        values: What to write.
        parents: Every parent that they are about, though not all may be named.
    """

    values: Mapping[str, str]
    parents: tuple[str, ...] = ()

    @classmethod
    def of_status(cls, ref: ModelVersionRef, status: Status, reason: str = "") -> TagSet:
        """Tags of a version without a lineage: not yet read, or unreadable."""
        values = {SUBJECT: subject(ref, ""), STATUS: status.value}
        if reason:
            values[REASON] = reason
        return cls(values)

    @classmethod
    def of_lineage(cls, ref: ModelVersionRef, lineage: Lineage) -> TagSet:
        """Tags that sum up a lineage.

        The status is ``undecided`` when the version has relatives, none of which is decided to be its parent, and
        ``done`` otherwise: with a parent, as the root of others, or alone.
        """
        parents = lineage.parents(lineage.subject)
        values = {SUBJECT: subject(ref, lineage.subject_digest), STATUS: status_of(lineage).value}
        if parents:
            best = max(parents, key=lambda edge: edge.precedence)
            values[RELATION] = best.relation.value
            values[CONFIDENCE] = f"{min(edge.probability for edge in parents):.3f}"
            if _is_registered(best.parent):
                values[PARENT] = best.parent
        if len(parents) > 1:
            values[PARENTS] = _shares(parents)
        root = root_of(lineage)
        if root:
            values[ROOT] = root
        return cls(values, tuple(edge.parent for edge in parents))

    def without_others(self, name: str) -> TagSet:
        """These tags without a word about any other registered model than the version's own.

        Args:
            name: The version's own registered model.
        """
        hidden: set[str] = set()
        if any(_model_of(parent) != name for parent in self.parents):
            # An unregistered ancestor is known from other models' weights, too; one parent of a merge, its probability
            # and where it leads tell of the others.
            hidden |= {PARENT, PARENTS, RELATION, CONFIDENCE, *([ROOT] if len(self.parents) > 1 else [])}
        if _model_of(self.values.get(ROOT, "")) != name:
            hidden |= {ROOT}
        if any(not rest.startswith(f"{name}/") for rest in self.values.get(REASON, "").split(_ADDRESS)[1:]):
            hidden |= {REASON}
        return TagSet({tag: value for tag, value in self.values.items() if tag not in hidden})

    def changes(self, current: Mapping[str, str], *, dotted: bool = True) -> tuple[dict[str, str], list[str]]:
        """What to write and what to delete so that a version's tags say this and nothing else of Mother's.

        Args:
            current: All tags that the version has now.
            dotted: Whether keys hold dots.

        Returns:
            Values by full key in writing order, the status last; and full keys to delete first.
        """
        wanted = {key(name, dotted=dotted): self.values[name][:MAX_VALUE] for name in WRITTEN if name in self.values}
        stale = [k for k in (key(name, dotted=dotted) for name in WRITTEN) if k in current and k not in wanted]
        return {k: value for k, value in wanted.items() if current.get(k) != value}, stale


def subject(ref: ModelVersionRef, digest: str) -> str:
    """Value of the subject tag."""
    return f"{ref.uri}#{digest}"


def speak_of(tags: Mapping[str, str], ref: ModelVersionRef, *, dotted: bool = True) -> bool:
    """Whether Mother's tags are about this version, not inherited from one that it was copied from."""
    return tags.get(key(SUBJECT, dotted=dotted), "").rpartition("#")[0] == ref.uri


def ignores(tags: Mapping[str, str]) -> bool:
    """Whether people opted this model or version out."""
    value = tags.get(key(IGNORE), tags.get(key(IGNORE, dotted=False)))
    return value is not None and value.strip().lower() not in ("false", "0", "no")


def status_of(lineage: Lineage) -> Status:
    """``undecided`` when the subject has relatives but no decided parent and some edge of its own is undecided."""
    own = [edge for edge in lineage.edges if lineage.subject in (edge.parent, edge.child)]
    if not lineage.parents(lineage.subject) and any(edge.direction == "undecided" for edge in own):
        return Status.UNDECIDED
    return Status.DONE


def root_of(lineage: Lineage) -> str | None:
    """The oldest registered ancestor along the heaviest decided edges; None when the subject's place is undecided."""
    if status_of(lineage) is not Status.DONE:
        return None
    at, found, seen = lineage.subject, lineage.subject, set[str]()
    while at not in seen:
        seen.add(at)
        parents = lineage.parents(at)
        if not parents:
            return found
        at = max(parents, key=lambda edge: edge.precedence).parent
        found = at if _is_registered(at) else found
    return found


def _shares(parents: tuple[Edge, ...]) -> str:
    """JSON of a merge's parents, heaviest first, cut to what fits a tag."""
    ordered = sorted(parents, key=lambda edge: (-edge.weight, edge.parent))
    for count in range(len(ordered), 0, -1):
        text = json.dumps([{"parent": edge.parent, "weight": round(edge.weight, 4)} for edge in ordered[:count]])
        if len(text) <= MAX_VALUE:
            return text
    return "[]"


def _model_of(node: str) -> str | None:
    """The registered model of a node; None for a node that is not registered."""
    return node.removeprefix(_ADDRESS).rpartition("/")[0] if _is_registered(node) else None


def _is_registered(node: str) -> bool:
    return node.startswith(_ADDRESS)
