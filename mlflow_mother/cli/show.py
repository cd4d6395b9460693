"""``mlflow-mother show``: where one version comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlflow_mother.cli.options import examples, export_option, format_option
from mlflow_mother.cli.output import print_evidence, print_export, print_json, print_tree, say

if TYPE_CHECKING:
    from mlflow_mother.types import Edge, Lineage


@click.command(
    epilog=examples(
        "mlflow-mother show models:/classifier/3",
        "mlflow-mother show models:/classifier@champion",
        "mlflow-mother show models:/classifier/3 --export html > lineage.html",
    )
)
@click.argument("uri")
@format_option
@export_option
def show(uri: str, format_: str, export: str | None) -> None:
    """Shows where the model version URI comes from: parents, evidence, and the tree around it.

    URI is `models:/name/version` or `models:/name@alias`. Prints what is known now; nothing is read or written.
    """
    from mlflow_mother import api

    lineage = api.show(uri)
    if export:
        print_export(lineage, export)
    elif format_ == "json":
        print_json(lineage)
    else:
        _print(lineage)


def _print(lineage: Lineage) -> None:
    subject = lineage.subject
    own = [edge for edge in lineage.edges if subject in _heirs(edge)]
    node = lineage.node(subject)
    status = f" ({node.status.value})" if node.status else ""
    say(f"{subject}{status}" + ("" if own else ": no parent among the known models"))
    for edge in own:
        say()
        say(_sentence(edge))
        print_evidence(edge.evidence)
    if node.declared_parents:
        say()
        say(f"Declared: {', '.join(node.declared_parents)}")
    say()
    print_tree(lineage)


def _heirs(edge: Edge) -> tuple[str, ...]:
    """The ends of an edge that it says something about the origin of."""
    return (edge.child,) if edge.direction == "decided" else (edge.parent, edge.child)


def _sentence(edge: Edge) -> str:
    if edge.direction == "undecided":
        return (
            f"{edge.parent} and {edge.child}: {edge.relation.value}, direction undecided "
            f"(probability {edge.probability:.3f} each way)"
        )
    share = f", share {edge.weight:.2f}" if edge.weight != 1.0 else ""
    return f"{edge.relation.value} of {edge.parent} (probability {edge.probability:.3f}{share})"
