"""What a command's exit status means; the table in ``docs/cli.md`` is made from here."""

from __future__ import annotations

from enum import IntEnum

from mlflow_mother.errors import MotherError, SchemaOutdatedError, SettingsError, StoreError


class ExitCode(IntEnum):
    """Exit status of every command."""

    FINE = 0
    FINDINGS = 1
    USAGE = 2
    UNREADABLE = 3
    STORE = 4
    INTERNAL = 5
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """The status in words."""
        return _MEANING[self]


_MEANING = {
    ExitCode.FINE: "Done, and nothing to report.",
    ExitCode.FINDINGS: "Done, and something was found that the caller asked to be told of: a verdict named by "
    "`audit --fail-on`, a problem found by `doctor`, a webhook whose test delivery did not arrive.",
    ExitCode.USAGE: "The command line makes no sense; nothing was done.",
    ExitCode.UNREADABLE: "A file, a model or the registry could not be read. What could be read is printed.",
    ExitCode.STORE: "A setting is wrong, or Mother's own tables cannot be used; `mlflow-mother doctor` says more.",
    ExitCode.INTERNAL: "A mistake in Mother or a plugin; `mlflow-mother --debug ...` shows where.",
    ExitCode.INTERRUPTED: "Interrupted or declined at a question; finished work stays.",
}


def exit_code_of(error: MotherError) -> ExitCode:
    """The exit status that an error ends a command with."""
    own = isinstance(error, (StoreError, SchemaOutdatedError, SettingsError))
    return ExitCode.STORE if own else ExitCode.UNREADABLE
