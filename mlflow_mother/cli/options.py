"""Options that several commands share."""

from __future__ import annotations

import click


def examples(*lines: str) -> str:
    """The end of a command's help: command lines that can be copied."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json"]),
    default="table",
    help="What to print: text for people (the default) or JSON for programs.",
)


def _known_format(context: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """Refuses an unknown format before any work is done."""
    if name is None:
        return None
    from mlflow_mother.export.exporters import exporters
    from mlflow_mother.plugins import plugins

    known = exporters(plugins().exporters())
    if name not in known:
        raise click.BadParameter(f"{name!r} is none of {', '.join(sorted(known))}.", context, option)
    return name


export_option = click.option(
    "--export",
    metavar="NAME",
    callback=_known_format,
    help="Print the tree in another format instead: json, node-link, graphml, dot, mermaid, svg, html, text, or one "
    "that a plugin adds.",
)
