"""``mlflow-mother fingerprint``: what Mother remembers of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlflow_mother.cli.options import examples, format_option
from mlflow_mother.cli.output import note, print_json, print_table, progress

if TYPE_CHECKING:
    from mlflow_mother.fingerprint.record import Fingerprint


@click.command(
    epilog=examples(
        "mlflow-mother fingerprint model.safetensors",
        "mlflow-mother fingerprint ./model --format json",
        "mlflow-mother fingerprint models:/classifier/3 --output classifier-3.safetensors",
    )
)
@click.argument("model")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the fingerprint to this file (at most 1 MB, safetensors).",
)
@format_option
def fingerprint(model: str, output: Path | None, format_: str) -> None:
    """Fingerprints MODEL, a file, a model directory or `models:/name/version`, and prints a summary.

    Two models with the same digest hold the same weights, whatever their file format, sharding and tensor names.
    """
    from mlflow_mother import api

    with progress() as show:
        found = api.fingerprint_model(model, progress=show)
    if output is not None:
        from mlflow_mother.fingerprint.format import save

        try:
            save(found, output)
        except OSError as error:
            raise click.FileError(str(output), error.strerror or str(error)) from error
        note(f"Wrote {output}")
    summary = _summary(model, found)
    if format_ == "json":
        print_json(summary)
    else:
        print_table(("field", "value"), [(name, _text(value)) for name, value in summary.items() if value])


def _summary(model: str, found: Fingerprint) -> dict[str, Any]:
    return {
        "model": model,
        "digest": found.digest,
        "spec": found.spec,
        "format": found.format,
        "tensors": len(found.names),
        "parameters": found.parameters,
        "types": sorted(set(found.dtypes)),
        "sketch": found.k,
        "nonfinite": int(found.stats["nonfinite"].sum()),
        "adapter": dict(found.adapter) or None,
        "declared": list(found.declared),
    }


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
