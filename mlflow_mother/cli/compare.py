"""``mlflow-mother compare``: two models and all evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlflow_mother.cli.options import examples, export_option, format_option
from mlflow_mother.cli.output import print_evidence, print_export, print_json, progress, say

if TYPE_CHECKING:
    from mlflow_mother.api import Pair


@click.command(
    epilog=examples(
        "mlflow-mother compare base.safetensors tuned.safetensors",
        "mlflow-mother compare models:/base/1 ./checkpoint-500",
        "mlflow-mother compare a.pt b.pt --format json",
    )
)
@click.argument("first")
@click.argument("second")
@format_option
@export_option
def compare(first: str, second: str, format_: str, export: str | None) -> None:
    """Compares FIRST and SECOND, and prints all evidence.

    Each is a weight file, a model directory or `models:/name/version`. The evidence is read both ways, as if the
    one were the parent of the other and the reverse: a parent explains its child better than a child its parent.
    """
    from mlflow_mother import api

    with progress() as show:
        pair = api.compare(first, second, progress=show)
    if export:
        print_export(pair.tree, export)
    elif format_ == "json":
        print_json(pair)
    else:
        _print(pair)


def _print(pair: Pair) -> None:
    found = pair.comparison
    say(_verdict(pair))
    say(
        f"{found.identical} of {found.tensors} tensors identical; median cosine {found.cosine:.4f} over "
        f"{found.matrices} matrices (chance {found.chance:.4f}); relative squared distance {found.distance:.3g}"
    )
    say()
    say(f"As if {pair.first} were the parent of {pair.second}:")
    print_evidence(pair.first_to_second)
    say()
    say(f"As if {pair.second} were the parent of {pair.first}:")
    print_evidence(pair.second_to_first)


def _verdict(pair: Pair) -> str:
    edges = {(edge.parent, edge.child): edge for edge in pair.tree.edges}
    direct = edges.get((pair.first, pair.second)) or edges.get((pair.second, pair.first))
    if direct is None:
        return "Siblings of an ancestor that is neither of them." if edges else "Not related."
    if direct.direction == "undecided":
        return f"Related ({direct.relation.value}, probability {direct.probability:.3f} each way), direction undecided."
    return f"{direct.child} is a {direct.relation.value} of {direct.parent} (probability {direct.probability:.3f})."
