"""The command group: finds commands, and turns errors into one clear line and an exit code."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import Any

import click

from mlflow_mother import __version__
from mlflow_mother.cli.exit_codes import ExitCode, exit_code_of
from mlflow_mother.cli.options import examples
from mlflow_mother.cli.output import note
from mlflow_mother.errors import MotherError, SettingsError
from mlflow_mother.export.text import clean

COMMANDS = {
    "tree": "tree",
    "compare": "compare",
    "fingerprint": "fingerprint",
    "show": "show",
    "ancestors": "kin",
    "descendants": "kin",
    "audit": "audit",
    "reconcile": "reconcile",
    "watch": "watch",
    "webhook": "webhook",
    "worker": "worker",
    "doctor": "doctor",
    "db": "db",
    "purge": "purge",
}
"""Commands in the order in which ``--help`` teaches them, with the module that holds each."""


class MotherGroup(click.Group):
    """Loads a command's module when it is asked for, and ends with the documented exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in teaching order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Loads one command."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"mlflow_mother.cli.{COMMANDS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101
        return command

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Runs a command line; never returns when ``standalone_mode`` is on, as click's own does not."""
        if not extra.get("standalone_mode", True):
            return super().main(args, *rest, **extra)
        extra["standalone_mode"] = False
        debug = "--debug" in (sys.argv[1:] if args is None else args)
        try:
            result = super().main(args, *rest, **extra)
        except Exception as error:
            if debug and not isinstance(error, (click.ClickException, click.exceptions.Exit, click.Abort)):
                raise
            sys.exit(_report(error))
        sys.exit(result if isinstance(result, int) else ExitCode.FINE)


class _Formatter(logging.Formatter):
    """One clean line a message, whatever names are in it; a traceback keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return clean(super().formatMessage(record))


def _report(error: Exception) -> int:
    """Says on stderr what went wrong and what to do.

    Returns:
        The exit status.
    """
    if isinstance(error, MotherError):
        note(f"Error: {error.what}")
        note(error.remedy)
        return exit_code_of(error)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        note("Stopped.")
        return ExitCode.INTERRUPTED
    if isinstance(error, click.ClickException):
        said = StringIO()
        error.show(said)
        for line in said.getvalue().rstrip("\n").split("\n"):
            note(line)
        return ExitCode.UNREADABLE if isinstance(error, click.FileError) else ExitCode.USAGE
    if isinstance(error, OSError):
        note(f"Error: {error}")
        return ExitCode.UNREADABLE
    note(f"Error: {type(error).__name__}: {error}")
    note(
        "This is a mistake in Mother or a plugin; `mlflow-mother --debug ...` shows where. Please report it with that "
        "output."
    )
    return ExitCode.INTERNAL


@click.group(
    cls=MotherGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "mlflow-mother tree ./checkpoints                the model tree of a folder",
        "mlflow-mother compare base.pt tuned.pt          two models, all evidence",
        "mlflow-mother reconcile --dry-run               what a registry's first run would cost",
        "mlflow-mother show models:/classifier/3         where a version comes from",
        "mlflow-mother audit --fail-on conflict          declared against inferred, for CI",
    ),
)
@click.option("--debug", is_flag=True, help="Show Mother's log, and where an error came from.")
@click.version_option(__version__, prog_name="mlflow-mother")
@click.pass_context
def main(context: click.Context, debug: bool) -> None:
    """Tells which models descend from which, from their weights alone.

    Models are files, folders, or versions in the MLflow registry that MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI
    name. Results go to stdout, remarks and progress to stderr. `mlflow-mother COMMAND --help` shows examples.
    """
    from mlflow_mother.settings import load_settings

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        level = logging.DEBUG if debug else getattr(logging, load_settings().log_level.upper())
    except SettingsError:
        if context.invoked_subcommand != "doctor":  # whose table says so
            raise
        level = logging.WARNING
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("mlflow_mother").setLevel(level)
