"""Packages of PyPI and npm by exact version and hash, and the files in them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wheel:
    """One wheel, or source distribution, of PyPI.

    Attributes:
        requirement: Name and exact version.
        sha256: Its hash.
        python: Interpreter tags to ask for: the weights are the same in every wheel of a release.
        source: The release has no wheel; pip asks its ``setup.py`` for the name.
    """

    requirement: str
    sha256: str
    python: tuple[str, ...] = ()
    source: bool = False

    @property
    def pattern(self) -> str:
        """What its file is called."""
        name, _, version = self.requirement.partition("==")
        return f"{name}-{version}.tar.gz" if self.source else f"{name}-{version}-*.whl"

    def fetch(self, cache: Path) -> None:
        """Has pip download it to a folder; pip looks into no other bytes than those of the hash."""
        wanted = cache / f"{self.requirement.partition('==')[0]}.txt"
        wanted.write_text(f"{self.requirement} --hash=sha256:{self.sha256}\n")
        kind = "--no-binary=:all:" if self.source else "--only-binary=:all:"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", kind, *self.python]
        subprocess.run([*command, "--dest", str(cache), "--requirement", str(wanted)], check=True)


@dataclass(frozen=True)
class Npm:
    """One package of npm.

    Attributes:
        requirement: Name and exact version, ``name@version``.
        sha256: Hash of its tarball.
    """

    requirement: str
    sha256: str

    @property
    def pattern(self) -> str:
        """What its file is called."""
        name, _, version = self.requirement.rpartition("@")
        return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"

    def fetch(self, cache: Path) -> None:
        """Has npm download it to a folder, without running any of its scripts."""
        command = ["npm", "pack", "--silent", "--ignore-scripts", self.requirement]
        subprocess.run(command, cwd=cache, check=True, capture_output=True)


Package = Wheel | Npm


def download(package: Package, cache: Path) -> Path:
    """The package's file, from the cache or from its registry.

    Raises:
        subprocess.CalledProcessError: It could not be downloaded.
        ValueError: It has other bytes than those of the hash, now or when it was downloaded; it is removed.
    """
    known = sorted(cache.glob(package.pattern))
    if not known:
        cache.mkdir(parents=True, exist_ok=True)
        package.fetch(cache)
        known = sorted(cache.glob(package.pattern))
    if hashlib.sha256(known[0].read_bytes()).hexdigest() != package.sha256:
        known[0].unlink()
        raise ValueError(f"{known[0]} had other bytes than those of its hash. It is removed; try again.")
    return known[0]


class Archive:
    """The files in some packages, each a wheel or a tarball, by their paths in them."""

    def __init__(self, *paths: Path) -> None:
        self._places: dict[str, zipfile.ZipFile | tarfile.TarFile] = {}
        self._opened: list[zipfile.ZipFile | tarfile.TarFile] = []
        for path in paths:
            opened = zipfile.ZipFile(path) if path.suffix == ".whl" else tarfile.open(path)  # noqa: SIM115 (__exit__)
            self._opened.append(opened)
            names = opened.namelist() if isinstance(opened, zipfile.ZipFile) else opened.getnames()
            self._places.update((name, opened) for name in names)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        for opened in self._opened:
            opened.close()

    @property
    def names(self) -> list[str]:
        """All paths, sorted."""
        return sorted(self._places)

    def read(self, name: str) -> bytes:
        """One file's bytes."""
        opened = self._places[name]
        if isinstance(opened, zipfile.ZipFile):
            return opened.read(name)
        member = opened.extractfile(name)
        assert member is not None, f"{name} is no plain file"
        return member.read()
