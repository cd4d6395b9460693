"""Packages from PyPI, each in an environment of its own that is made on first use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
INSTALLED = "installed"
"""What an environment has when all its packages are in."""


@dataclass(frozen=True)
class Package:
    """A package, and what is run of it.

    Attributes:
        name: On PyPI, with its version.
        installs: Arguments of one ``pip install`` after another.
        script: Run in its environment; it answers pairs from one JSON file in another.
        answers: Names of the answers that it gives of a pair.
        note: How else it was run than its authors say.
    """

    name: str
    installs: tuple[tuple[str, ...], ...]
    script: str
    answers: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class Answer:
    """What a package says of a pair.

    Attributes:
        said: Its score, and whether that means related to it, by the answer's name.
        refused: Why it says nothing; empty where it does not refuse.
    """

    said: Mapping[str, tuple[float, bool]] = field(default_factory=dict)
    refused: str = ""


_KIT = "cisco-ai-provenance-kit==1.0.0"
_OLD_PYTHON = sys.version_info < (3, 12)

PACKAGES = (
    Package("modeldna==0.1.0", (("modeldna==0.1.0",),), "run_modeldna.py", ("modeldna",)),
    Package(
        _KIT,
        # torch first and by its version, so that a CPU build that is at hand is taken
        (("torch==2.13.0",), (("--only-binary=:all:", "--ignore-requires-python", _KIT) if _OLD_PYTHON else (_KIT,))),
        "run_provenance_kit.py",
        ("provenance-kit", "provenance-kit, weights alone"),
        "run unchanged on this Python, though it asks for 3.12" if _OLD_PYTHON else "",
    ),
)


class NotInstalledError(Exception):
    """A package's environment could not be made."""


def python_of(package: Package, environments: Path) -> Path:
    """The interpreter of a package's environment, which is made if need be.

    Raises:
        NotInstalledError: Pip failed; its last lines say why.
    """
    folder = environments / package.name.partition("==")[0]
    python = folder.absolute() / "bin" / "python"
    if not (folder / INSTALLED).exists():
        venv.create(folder, with_pip=True, clear=True)
        for arguments in package.installs:
            ended = subprocess.run([python, "-m", "pip", "install", *arguments], capture_output=True, text=True)
            if ended.returncode:
                raise NotInstalledError("\n".join(ended.stderr.strip().splitlines()[-3:]))
        (folder / INSTALLED).touch()
    return python


def ask(package: Package, python: Path, pairs: Sequence[tuple[Path, Path]]) -> list[Answer]:
    """Asks about pairs of folders, without the network.

    Raises:
        subprocess.CalledProcessError: The script broke down over more than a pair.
    """
    with TemporaryDirectory() as scratch:
        asked, answered = Path(scratch, "pairs.json"), Path(scratch, "answers.json")
        asked.write_text(json.dumps([[str(one), str(other)] for one, other in pairs]))
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "PROVENANCEKIT_CACHE_DIR": scratch}
        subprocess.run([python, "-I", HERE / package.script, asked, answered], env=offline, check=True)
        return [answer_of(said) for said in json.loads(answered.read_text())]


def answer_of(said: Mapping[str, Any]) -> Answer:
    """Reads one answer of a script: ``{name: [score, related]}``, or ``{"refused": reason}``."""
    if "refused" in said:
        return Answer(refused=said["refused"])
    return Answer({name: (float(score), bool(related)) for name, (score, related) in said.items()})
