"""Exit codes, errors, help, and the difference between a terminal and a pipe."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from mlflow_mother import errors
from mlflow_mother.cli import main
from mlflow_mother.cli.exit_codes import ExitCode, exit_code_of
from mlflow_mother.cli.main import COMMANDS, MotherGroup


def test_every_error_has_an_exit_code() -> None:
    own = {"StoreError", "SchemaOutdatedError", "SettingsError"}
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.MotherError):
            expected = ExitCode.STORE if name in own else ExitCode.UNREADABLE
            assert exit_code_of(kind("What.", "Remedy.")) is expected


@pytest.mark.parametrize("arguments", [("tree",), ("nonsense",), ("tree", "x", "--format", "xml"), ("compare", "a")])
def test_a_senseless_command_line_ends_with_2(run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "--help" in result.stderr


def test_a_wrong_setting_is_named_and_ends_with_4(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_MOTHER_THREADS", "many")
    result = run("tree", "x")
    assert result.exit_code == 4
    assert "MLFLOW_MOTHER_THREADS" in result.stderr


def _group_with(behaviour) -> MotherGroup:
    class Group(MotherGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            return click.Command(cmd_name, callback=behaviour)

    return Group("mlflow-mother", params=main.params, callback=main.callback)


def _raising(error: BaseException):
    def behaviour() -> None:
        raise error

    return behaviour


def test_a_mistake_in_mother_ends_with_5_and_asks_for_a_report() -> None:
    group = _group_with(_raising(ZeroDivisionError("oh")))
    result = CliRunner().invoke(group, ["x"])
    assert result.exit_code == 5
    assert "ZeroDivisionError: oh" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_where_an_error_came_from() -> None:
    result = CliRunner().invoke(_group_with(_raising(errors.WeightsError("W.", "R."))), ["--debug", "x"])
    assert isinstance(result.exception, errors.WeightsError)
    result = CliRunner().invoke(_group_with(_raising(errors.WeightsError("W.", "R."))), ["x"])
    assert (result.exit_code, result.stderr) == (3, "Error: W.\nR.\n")


def test_an_interruption_ends_with_130() -> None:
    assert CliRunner().invoke(_group_with(_raising(KeyboardInterrupt())), ["x"]).exit_code == 130


def test_every_command_teaches_with_examples(run) -> None:
    listed = run("--help").stdout
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)
        arguments = (name, "upgrade") if name == "db" else (name,)
        text = run(*arguments, "--help").stdout
        assert "Examples:" in text
        assert f"mlflow-mother {' '.join(arguments)}" in text


def test_every_option_is_explained() -> None:
    def walk(command: click.Command):
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                yield from walk(command.get_command(click.Context(command), name))
        for option in command.params:
            if isinstance(option, click.Option) and not option.help:
                yield f"{command.name} {option.name}"

    assert list(walk(main)) == []


def test_version(run) -> None:
    from mlflow_mother import __version__

    assert run("--version").stdout.strip().endswith(__version__)


def _on_a_terminal(*arguments: str) -> tuple[int, bytes, bytes]:
    """Exit status and what two pseudo-terminals, one for stdout and one for stderr, were sent."""
    ends = [pty.openpty(), pty.openpty()]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow_mother.cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=ends[0][1],
        stderr=ends[1][1],
        env=environment,
    )
    for _, slave in ends:
        os.close(slave)
    seen = {ends[0][0]: b"", ends[1][0]: b""}
    waiting, deadline = set(seen), time.monotonic() + 100
    while waiting and time.monotonic() < deadline:
        for end in select.select(list(waiting), [], [], 1)[0]:
            try:
                data = os.read(end, 65536)
            except OSError:
                data = b""
            seen[end] += data
            if not data:
                waiting.discard(end)
    for end in seen:
        os.close(end)
    return process.wait(10), seen[ends[0][0]], seen[ends[1][0]]


def test_on_a_terminal_results_are_coloured_and_progress_is_on_stderr(checkpoints: Path) -> None:
    status, out, err = _on_a_terminal("tree", str(checkpoints))
    assert status == 0, err
    assert b"\x1b[36mfinetune" in out
    assert b"Child" in out or b"child" in out
    assert b"reading" not in out
    assert b"\x1b[" in err


def test_hostile_names_reach_neither_a_pipe_nor_a_terminal_as_commands(run, checkpoints: Path, tmp_path: Path) -> None:
    name = "a\x1b]0;owned\x07\x1b[2J\nError: forged [bold] \u202e"
    folder = tmp_path / f"{name}f"
    folder.mkdir()
    bad, base, tuned = (str(folder / f"{name}{kind}.safetensors") for kind in ("bad", "base", "tuned"))
    Path(bad).write_bytes(b"\xff" * 100)
    for path, kind in ((base, "base"), (tuned, "tuned")):
        Path(path).write_bytes((checkpoints / f"{kind}.safetensors").read_bytes())
    for arguments, status in (
        (("compare", base, tuned), 0),
        (("compare", base, base), 3),
        (("compare", tuned, bad), 3),
        (("fingerprint", base), 0),
        (("fingerprint", base, "--output", f"{name}.fp"), 0),
        (("fingerprint", base, "--output", f"{name}/fp"), 3),
        (("fingerprint", bad), 3),
        (("tree", str(folder)), 3),
        *((("tree", base, tuned, "--export", kind), 0) for kind in ("text", "mermaid", "dot", "svg", "html", "json")),
        (("tree", f"{name}nowhere"), 3),
        (("tree", base, "--export", name), 2),
        ((name,), 2),
        (("tree", f"--{name}"), 2),
    ):
        result = run(*arguments)
        assert result.exit_code == status, (arguments, result.stderr)
        for said in (result.stdout, result.stderr):
            assert not {"\x1b", "\x07", "\u202e"} & set(said), arguments
            assert status == 2 or "\nError: forged" not in said, arguments
    _, out, err = _on_a_terminal("compare", base, tuned)
    assert b"\x1b]0;" not in out + err
    assert b"\x1b[2J" not in out + err
    assert b"is a finetune of" in out
