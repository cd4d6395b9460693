"""What a plugin can add: typed pluggy specifications, one example each.

A plugin is any installed distribution with an entry point in the group ``mlflow_mother``; the entry point names a
module or object whose methods are marked with :data:`hookimpl`. A plugin that raises is logged and skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import pluggy

from mlflow_mother.types import Edge, Evidence, Lineage, ModelTree, ModelVersionRef

if TYPE_CHECKING:
    from mlflow_mother.fingerprint.record import Fingerprint
    from mlflow_mother.weights.model import WeightReader

PROJECT = "mlflow_mother"
"""Name of the pluggy project and of the entry-point group."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Exporter(Protocol):
    """Turns a tree into text of one format; ``name`` is what users pass to ``--export``."""

    name: str
    suffix: str

    def export(self, tree: ModelTree, /) -> str:
        """The whole document."""


class MotherSpec:
    """The hooks."""

    @hookspec
    def mother_weight_readers(self) -> Iterable[WeightReader]:
        """Weight formats that Mother shall read besides its own; asked before the built-in ones.

        Example::

            @hookimpl
            def mother_weight_readers():
                return [MyReader()]
        """
        raise NotImplementedError

    @hookspec
    def mother_extra_evidence(self, parent: Fingerprint, child: Fingerprint) -> Iterable[Evidence]:
        """Evidence for (positive ``log_odds``) or against a directed edge, beyond the weights' own.

        Example::

            @hookimpl
            def mother_extra_evidence(parent, child):
                if parent.format == child.format:
                    return [Evidence(kind="format", text="same file format", log_odds=0.1)]
                return []
        """
        raise NotImplementedError

    @hookspec
    def mother_veto_edge(self, edge: Edge) -> str | None:
        """A reason to forbid an edge, or None.

        Example::

            @hookimpl
            def mother_veto_edge(edge):
                return "tenants never share weights" if tenant(edge.parent) != tenant(edge.child) else None
        """
        raise NotImplementedError

    @hookspec
    def mother_after_lineage(self, ref: ModelVersionRef, lineage: Lineage) -> None:
        """Called after a version's lineage is committed; never twice for one committed result.

        Example::

            @hookimpl
            def mother_after_lineage(ref, lineage):
                print(ref.uri, [edge.parent for edge in lineage.parents(lineage.subject)])
        """
        raise NotImplementedError

    @hookspec
    def mother_exporters(self) -> Iterable[Exporter]:
        """Export formats besides the built-in ones.

        Example::

            @hookimpl
            def mother_exporters():
                return [MyExporter()]
        """
        raise NotImplementedError
