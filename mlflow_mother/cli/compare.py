"""``mlflow-mother compare``: two models and all evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlflow_mother.cli.options import examples, export_option, format_option
from mlflow_mother.cli.output import print_evidence, print_export, print_json, progress, say

if TYPE_CHECKING:
    from mlflow_mother.api import Deep, Pair
    from mlflow_mother.types import Evidence, ModelTree


@click.command(
    epilog=examples(
        "mlflow-mother compare base.safetensors tuned.safetensors",
        "mlflow-mother compare models:/base/1 ./checkpoint-500",
        "mlflow-mother compare a.pt b.pt --format json",
        "mlflow-mother compare ours.safetensors theirs.safetensors --deep",
    )
)
@click.argument("first")
@click.argument("second")
@click.option(
    "--deep",
    is_flag=True,
    help="Also look for a copy or fine-tune whose hidden units were permuted, rescaled, flipped or rotated: reads the "
    "full weights, seconds for small models, hours for billions of parameters.",
)
@format_option
@export_option
def compare(first: str, second: str, deep: bool, format_: str, export: str | None) -> None:
    """Compares FIRST and SECOND, and prints all evidence.

    Each is a weight file, a model directory or `models:/name/version`. The evidence is read both ways, as if the
    one were the parent of the other and the reverse: a parent explains its child better than a child its parent.
    Exported is the tree of the two as they stand; with --deep, where units could be put back in place, the tree after
    that.
    """
    from mlflow_mother import api

    with progress() as show:
        pair = api.compare(first, second, deep=deep, progress=show)
    if export:
        aligned = pair.deep.tree if pair.deep is not None else None
        print_export(aligned or pair.tree, export)
    elif format_ == "json":
        print_json(pair)
    else:
        _print(pair)


def _print(pair: Pair) -> None:
    found = pair.comparison
    say(_verdict(pair, pair.tree))
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
    if pair.deep is not None:
        say()
        _print_deep(pair, pair.deep)


def _print_deep(pair: Pair, deep: Deep) -> None:
    say(deep.sentence)
    print_evidence(deep.evidence)
    if deep.verdict == "related" and not deep.only_moved:
        say("  which came first is not told: fitted rotations and factors absorb a part of the update")
    if deep.tree is not None:
        say()
        say(f"Once aligned: {_verdict(pair, deep.tree)}")
        print_evidence(_chosen(pair, deep))


def _chosen(pair: Pair, deep: Deep) -> tuple[Evidence, ...]:
    """The evidence of the reading that the aligned tree decides for; the first one's where it is left open."""
    backward = deep.tree is not None and any(edge.parent == pair.second for edge in deep.tree.edges)
    return deep.second_to_first if backward else deep.first_to_second


def _verdict(pair: Pair, tree: ModelTree) -> str:
    edges = {(edge.parent, edge.child): edge for edge in tree.edges}
    direct = edges.get((pair.first, pair.second)) or edges.get((pair.second, pair.first))
    if direct is None:
        return "Siblings of an ancestor that is neither of them." if edges else "Not related."
    if direct.direction == "undecided":
        return f"Related ({direct.relation.value}, probability {direct.probability:.3f} each way), direction undecided."
    return f"{direct.child} is a {direct.relation.value} of {direct.parent} (probability {direct.probability:.3f})."
