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

export_option = click.option(
    "--export",
    metavar="NAME",
    help="Print the tree in another format instead: json, node-link, graphml, dot, mermaid, svg, html, text, or one "
    "that a plugin adds.",
)
