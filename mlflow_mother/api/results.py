"""What the Python verbs return beyond trees: records that show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from mlflow_mother.alignment import DeepComparison
from mlflow_mother.export.audit import AuditRow, audit_html
from mlflow_mother.heritage import Comparison
from mlflow_mother.types import Evidence, ModelTree, Record, Verdict

if TYPE_CHECKING:
    import networkx as nx


class TreeResult(Record):
    """A result around a model tree, which draws and converts itself.

    Attributes:
        tree: The models that the result is about.
    """

    tree: ModelTree

    def to_mermaid(self) -> str:
        """The tree as a Mermaid flowchart."""
        return self.tree.to_mermaid()

    def to_networkx(self) -> nx.DiGraph[str]:
        """The tree as a directed graph."""
        return self.tree.to_networkx()

    def _repr_html_(self) -> str:
        return self.tree._repr_html_()


class Deep(DeepComparison):
    """A deep comparison, and the ordinary one once the hidden units are back in place.

    Attributes:
        comparison: What was measured after the alignment, read from the first model's side. None unless units were
            moved and nothing else was done: fitted rotations and factors absorb a part of an update.
        first_to_second: All evidence after the alignment, read as if the first were the second's parent.
        second_to_first: All evidence after the alignment, read as if the second were the first's parent.
        tree: What follows after the alignment.
    """

    comparison: Comparison | None = None
    first_to_second: tuple[Evidence, ...] = ()
    second_to_first: tuple[Evidence, ...] = ()
    tree: ModelTree | None = None

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if self.verdict == "copy":
            how = self.transformation or "by a transformation that keeps all singular values"
            return f"Deep comparison: one is a copy of the other, rearranged ({how})."
        if self.verdict == "related":
            return f"Deep comparison: related after alignment ({self.transformation})."
        return "Deep comparison: no rearranged hidden units; what is said above stands."


class Pair(TreeResult):
    """Two models side by side.

    Attributes:
        first: Id of the first model.
        second: Id of the second.
        comparison: Everything that was measured, read from the first model's side.
        first_to_second: All evidence, read as if the first were the second's parent.
        second_to_first: All evidence, read as if the second were the first's parent.
        tree: What follows: two nodes, and an edge when they are related.
        deep: The deep comparison, when it was asked for.
    """

    first: str
    second: str
    comparison: Comparison
    first_to_second: tuple[Evidence, ...]
    second_to_first: tuple[Evidence, ...]
    deep: Deep | None = None

    @property
    def related(self) -> bool:
        """Whether the two are linked, in whichever direction."""
        return bool(self.tree.edges)

    def _repr_html_(self) -> str:
        shown = [
            super()._repr_html_(),
            _reasons(f"As if {self.first} were the parent of {self.second}:", self.first_to_second),
            _reasons(f"As if {self.second} were the parent of {self.first}:", self.second_to_first),
        ]
        if self.deep is not None:
            shown.append(_reasons(self.deep.sentence, self.deep.evidence))
        if self.deep is not None and self.deep.tree is not None:
            shown += ["<p>Once aligned:</p>", self.deep.tree._repr_html_()]
        return "".join(shown)


class Relative(Record):
    """An ancestor or a descendant.

    Attributes:
        uri: The version.
        generations: Steps between; 1 for a parent or child. Unregistered ancestors in between are not counted.
    """

    uri: str
    generations: int


class Relatives(TreeResult):
    """All ancestors, or all descendants, of one version.

    Attributes:
        subject: The version.
        relatives: The others, nearest first.
        tree: The subject, the relatives, and the edges between them.
    """

    subject: str
    relatives: tuple[Relative, ...]

    def __len__(self) -> int:
        return len(self.relatives)


class Audit(TreeResult):
    """Declared against inferred parents of every version.

    Attributes:
        rows: One row a version.
        tree: All versions and their relations, with the verdicts.
    """

    rows: tuple[AuditRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def with_verdict(self, verdicts: Iterable[Verdict | str]) -> list[AuditRow]:
        """The rows with one of these verdicts."""
        wanted = {Verdict(verdict) for verdict in verdicts}
        return [row for row in self.rows if row.verdict in wanted]

    def to_html(self, *, title: str = "Lineage audit") -> str:
        """A self-contained report.

        Args:
            title: Heading of the page.
        """
        return audit_html(self.tree, self.rows, title=title)

    def _repr_html_(self) -> str:
        cells = [
            (row.uri, row.verdict.value, ", ".join(row.declared), ", ".join(row.inferred), row.note)
            for row in self.rows
        ]
        return _table(("Version", "Verdict", "Declared", "Inferred", "Note"), cells) + super()._repr_html_()


def _reasons(heading: str, evidence: Iterable[Evidence]) -> str:
    return f"<p>{escape(heading)}</p><ul>{''.join(f'<li>{escape(reason.text)}</li>' for reason in evidence)}</ul>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
