"""Writes the parts of the documentation that the code already says: settings, hooks, commands.

Each part stands between two comments, ``<!-- name: ... -->`` and ``<!-- /name -->``. With ``--check`` nothing is
written, and a part that is out of date is an error.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from pydantic.fields import FieldInfo

from mlflow_mother.cli import main
from mlflow_mother.cli.exit_codes import ExitCode
from mlflow_mother.hookspecs import MotherSpec
from mlflow_mother.server.api.routes import ROUTES, Route
from mlflow_mother.settings import Settings

DOCS = Path(__file__).parent


def settings() -> str:
    """A table of all settings."""
    rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "`~/.mlflow-mother`" if name == "home" else _code(field.default)
        rows.append(f"| `MLFLOW_MOTHER_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def hooks() -> str:
    """A section for each hook: signature, meaning, example."""
    return "\n\n".join(_hook(name, hook) for name, hook in vars(MotherSpec).items() if name.startswith("mother_"))


def commands() -> str:
    """A section for each command: usage, help, options."""
    return "\n\n".join(_command(command, name) for name, command in _walk(main, "mlflow-mother"))


def exit_codes() -> str:
    """A table of the exit codes."""
    rows = ["| Status | Meaning |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| {code.value} | {code.meaning} |" for code in ExitCode)])


def routes() -> str:
    """A section for each route of the JSON API: what it does, its parameters, its answer."""
    return "\n\n".join(map(_route, ROUTES))


def _route(route: Route) -> str:
    parts = [f"## `{route.method} {route.path}`", inspect.cleandoc(route.serve.__doc__ or "")]
    said = _attributes(route.takes.__doc__ or "")
    for base in route.takes.__mro__[1:]:
        said = {**_attributes(base.__doc__ or ""), **said}
    rows = [f"| `{name}` | {_default(field)} | {said[name]} |" for name, field in route.takes.model_fields.items()]
    if rows:
        place = "Parameter" if route.method == "GET" else "Field of the body"
        parts.append("\n".join([f"| {place} | Default | Meaning |", "| --- | --- | --- |", *rows]))
    if isinstance(route.answers, tuple):
        parts.append(f"Answers {route.status.value} with a file: {', '.join(f'`{kind}`' for kind in route.answers)}.")
        return "\n\n".join(parts)
    said = _attributes(route.answers.__doc__ or "")
    rows = [f"| `{name}` | {said[name]} |" for name in route.answers.model_fields]
    parts.append(f"Answers {route.status.value}:")
    parts.append("\n".join(["| Field | Meaning |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)


def _attributes(docstring: str) -> dict[str, str]:
    """The attributes that a docstring describes."""
    _, _, listed = inspect.cleandoc(docstring).partition("Attributes:\n")
    found: dict[str, str] = {}
    for line in listed.splitlines():
        if match := re.fullmatch(r" {4}(\w+): (.*)", line):
            name, found[match[1]] = match[1], match[2]
        elif line.strip():
            found[name] += f" {line.strip()}"
    return {name: text.replace("``", "`").replace("|", "\\|") for name, text in found.items()}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default in (None, "") else f"`{field.default!s}`"


def _hook(name: str, hook: Callable[..., object]) -> str:
    signature = inspect.signature(hook)
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    shown = str(signature.replace(parameters=parameters)).replace("'", "")
    text, _, example = inspect.cleandoc(hook.__doc__ or "").partition("Example::")
    code = inspect.cleandoc(example)
    return f"## `{name}`\n\n```\n{name}{shown}\n```\n\n{text.strip()}\n\n```python\n{code}\n```"


def _walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    for child in command.list_commands(click.Context(command)):
        found = command.get_command(click.Context(command), child)
        assert found is not None
        yield from _walk(found, f"{name} {child}")


def _command(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    parts = [f"## `{name.removeprefix('mlflow-mother ')}`", f"```\n{usage}\n```", inspect.cleandoc(command.help or "")]
    rows = [_option(p) for p in command.get_params(context) if isinstance(p, click.Option) and "--help" not in p.opts]
    if rows:
        parts.append("\n".join(["| Option | Meaning |", "| --- | --- |", *rows]))
    if command.epilog:
        lines = inspect.cleandoc(command.epilog.partition("Examples:\n")[2])
        parts.append(f"```\n{lines}\n```")
    return "\n\n".join(parts)


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{o}`" for o in [*option.opts, *option.secondary_opts])
    if isinstance(option.type, click.Choice):
        names += " " + "\\|".join(f"`{choice}`" for choice in option.type.choices)
    elif not option.is_flag:
        names += f" `{option.make_metavar(click.Context(main))}`"
    return f"| {names} | {option.help} |"


def _code(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`"


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "settings": ("settings.md", settings),
    "hooks": ("plugins.md", hooks),
    "commands": ("cli.md", commands),
    "exit codes": ("cli.md", exit_codes),
    "routes": ("api.md", routes),
}


def updated(part: str) -> tuple[Path, str, str]:
    """A page as it is and as it should be.

    Args:
        part: A key of :data:`PARTS`.

    Returns:
        The page's path, its text, and its text with the part made anew.
    """
    name, make = PARTS[part]
    path = DOCS / name
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {part}: [^\n]*-->\n).*?(<!-- /{part} -->)", re.DOTALL)
    assert pattern.search(text), f"{path} has no place for {part}"
    return path, text, pattern.sub(lambda match: f"{match[1]}\n{make()}\n\n{match[2]}", text)


if __name__ == "__main__":
    stale = [(path, new) for path, old, new in map(updated, PARTS) if old != new]
    if "--check" in sys.argv:
        for page, _ in stale:
            print(f"{page.name} is out of date: run make docs-tables", file=sys.stderr)
        sys.exit(bool(stale))
    for page, new in stale:
        page.write_text(new, encoding="utf-8")
