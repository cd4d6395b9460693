"""The benchmark of real networks, without its downloads: conversion, shuffling, and what counts as right or wrong."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks.wild import formats
from benchmarks.wild.families import FAMILIES, Family
from benchmarks.wild.packages import Archive, Npm, Wheel, download
from benchmarks.wild.scoring import Result, recover, said, shuffled
from benchmarks.wild.truth import Truth
from mlflow_mother.types import Edge, Relation

TRUTH = Truth((("base", "tuned"), ("base", "other"), ("tuned", "further")))


def result_of(*edges: Edge, truth: Truth = Truth((("a", "b"),))) -> Result:  # noqa: B008 (immutable)
    return Result("family", 3, truth, edges)


def edge(parent: str, child: str, probability: float = 0.8, **more: object) -> Edge:
    return Edge(parent=parent, child=child, relation=Relation.FINETUNE, probability=probability, **more)


def test_a_family_of_files_is_recovered_under_any_names_in_any_order(checkpoints: Path, tmp_path: Path) -> None:
    files = {}
    for file in checkpoints.iterdir():
        files[file.stem] = tmp_path / file.name
        files[file.stem].write_bytes(file.read_bytes())
    first, second = (recover("family", files, TRUTH, seed) for seed in (0, 1))
    assert first.count("right") == 3
    assert first.failures == ()
    assert said(first) == said(second)


def test_shuffled_files_keep_their_extension_and_nothing_else(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("0.3.0.pth.tar", "tuned_from_x.pt", "net.safetensors")}
    for file in files.values():
        file.write_bytes(b"")
    (tmp_path / "links").mkdir()
    given = shuffled(files, tmp_path / "links", seed=3)
    assert sorted(given.values()) == sorted(files)
    assert {Path(path).name.partition(".")[2] for path in given} == {"pth.tar", "pt", "safetensors"}
    assert all(Path(path).name.startswith("model-") for path in given)


def test_neurochem_networks_become_a_safetensors_file_a_model(tmp_path: Path) -> None:
    weight, bias = np.arange(6, dtype="<f4"), np.arange(2, dtype="<f4")
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        for release in ("ani-1x", "ani-1ccx"):
            stem = f"torchani/resources/{release}_8x/train5/networks/ANN-H.nnf-l1"
            wheel.writestr(f"{stem}.wparam", weight.tobytes())
            wheel.writestr(f"{stem}.bparam", bias.tobytes())
    with Archive(tmp_path / "some.whl") as archive:
        files = FAMILIES["torchani"].unpack(archive, tmp_path)
    assert sorted(files) == ["ani-1ccx-5", "ani-1x-5"]
    tensors = load_file(files["ani-1x-5"])
    assert np.array_equal(tensors["H.1.weight"], [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(tensors["H.1.bias"], bias)


@pytest.mark.parametrize(
    ("edges", "verdict", "failures"),
    [
        ((edge("a", "b"),), "right", 0),
        ((edge("a", "b", direction="undecided"),), "undecided", 0),
        ((edge("b", "a"),), "wrong", 0),
        ((edge("b", "a", 0.95),), "wrong", 1),
        ((), "missing", 1),
        ((edge("a", "b"), edge("b", "c", 0.1)), "right", 1),
        ((edge("unregistered:1", "a"), edge("unregistered:1", "b")), "missing", 3),
    ],
)
def test_what_must_hold(edges: tuple[Edge, ...], verdict: str, failures: int) -> None:
    result = result_of(*edges)
    assert result.verdict(("a", "b")) == verdict
    assert len(result.failures) == failures


def test_an_unregistered_ancestor_is_right_for_kin_only() -> None:
    edges = (edge("unregistered:1", "a"), edge("unregistered:1", "b"))
    kin = Truth(kin=(frozenset("ab"),))
    assert result_of(*edges, truth=kin).failures == ()
    assert result_of(*edges, truth=kin).ancestors == 1
    assert len(result_of(*edges, edge("unregistered:1", "c"), truth=kin).failures) == 3
    assert len(result_of(edge("a", "b"), truth=kin).failures) == 1


def test_the_number_of_an_unregistered_ancestor_is_no_part_of_the_answer() -> None:
    first, second = (
        result_of(*(edge(f"unregistered:{number}", child) for child in children), edge("a", "d"))
        for number, children in ((1, "abc"), (4, "cab"))
    )
    assert said(first) == said(second) != said(result_of(edge("unregistered:1", "a"), edge("a", "d")))
    assert ("x/a", "x/d") in {ends[:2] for ends in said(first, "x")}


def test_which_of_two_copies_is_named_is_no_part_of_the_answer_but_that_they_are_copies_is() -> None:
    truth = Truth((("a", "copy"),), copies=(frozenset({"a", "copy"}),))
    between = edge("a", "copy", direction="undecided")
    first, second = (result_of(between, edge(parent, "b"), truth=truth) for parent in ("a", "copy"))
    neither = result_of(between, truth=truth)
    assert said(first) == said(second) != said(neither)
    assert {ends[:2] for ends in said(first)} == {("a", "copy"), ("a + copy", "b")}


def test_a_copy_of_the_parent_may_stand_for_it_and_an_open_pair_is_neither_right_nor_false() -> None:
    truth = Truth((("a", "copy"), ("a", "b")), copies=(frozenset({"a", "copy"}),), excused=(("b", "c"),))
    result = result_of(edge("a", "copy"), edge("copy", "b"), edge("c", "b"), truth=truth)
    assert [result.verdict(pair) for pair in truth.pairs] == ["right", "right"]
    assert result.failures == ()
    assert result_of(edge("b", "copy"), truth=truth).verdict(("a", "b")) == "wrong"
    assert truth.named("x").parents(("x/a", "x/b")) == {"x/a", "x/copy"}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_what_is_documented_of_a_family_is_complete_and_of_one_piece(family: Family) -> None:
    assert family.licence and family.documented.endswith(".")
    assert all(len(package.sha256) == 64 for package in family.packages)
    children = [child for _, child in family.truth.pairs]
    assert len(children) == len(set(children))
    assert not set(family.truth.pairs) & set(family.truth.excused)
    assert not any(set(pair) <= group for pair in family.truth.pairs for group in family.truth.kin)


def test_files_of_packages_are_found_by_their_names(tmp_path: Path) -> None:
    assert Npm("@owner/some-data@1.2.3", "").pattern == "owner-some-data-1.2.3.tgz"
    assert Wheel("some_name==1.2", "").pattern == "some_name-1.2-*.whl"


def test_a_package_in_the_cache_with_other_bytes_is_refused_and_removed(tmp_path: Path) -> None:
    content = b"what the registry had"
    package = Npm("data@1.0.0", hashlib.sha256(content).hexdigest())
    file = tmp_path / package.pattern
    file.write_bytes(content)
    assert download(package, tmp_path) == file
    file.write_bytes(content[:-1])
    with pytest.raises(ValueError, match="other bytes"):
        download(package, tmp_path)
    assert not file.exists()
    with tarfile.open(tmp_path / "some-1.tgz", "w:gz") as tarball:
        member = tarfile.TarInfo("package/weights.bin")
        member.size = 3
        tarball.addfile(member, io.BytesIO(b"abc"))
    with zipfile.ZipFile(tmp_path / "other-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("other/weights.bin", b"def")
    with Archive(tmp_path / "some-1.tgz", tmp_path / "other-1-py3-none-any.whl") as archive:
        assert archive.names == ["other/weights.bin", "package/weights.bin"]
        assert [archive.read(name) for name in archive.names] == [b"def", b"abc"]


WEIGHT = np.arange(24, dtype="<f4").reshape(2, 3, 2, 2)
BIAS = np.array([5, -7], dtype="<f4")


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A Protocol Buffers message of numbers and bytes that are shorter than 2 KiB."""
    parts = []
    for number, value in fields:
        content = value if isinstance(value, bytes) else b""
        length = len(content) if content else value
        assert length < 2**14
        varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
        parts.append(bytes([number << 3 | (2 if content else 0)]) + varint + content)
    return b"".join(parts)


def test_constants_of_an_onnx_model_and_of_its_branches_are_read() -> None:
    shape = tuple((1, size) for size in WEIGHT.shape)
    weight = message(*shape, (2, 1), (8, b"weight"), (9, WEIGHT.tobytes()))
    bias = message((1, b"\x02"), (2, 1), (4, BIAS.tobytes()))
    steps = message((1, 1), (2, 7), (8, b"steps"), (9, bytes(8)))
    constant = message((2, b"bias"), (4, b"Constant"), (5, message((1, b"value"), (5, bias))))
    branch = message((1, constant))
    choice = message((4, b"If"), (5, message((1, b"then_branch"), (6, branch))))
    tensors = formats.onnx(message((1, 8), (7, message((1, choice), (5, weight), (5, steps)))))
    assert sorted(tensors) == ["then_branch.bias", "weight"]
    assert np.array_equal(tensors["weight"], WEIGHT)
    assert np.array_equal(tensors["then_branch.bias"], BIAS)


def test_quantised_weights_of_tensorflow_js_are_scaled_and_turned() -> None:
    codes = np.arange(24, dtype="u1").reshape(2, 2, 3, 2)
    scale = {"dtype": "uint8", "scale": 0.5, "min": -1.0}
    weights = [
        {"name": "kernel", "shape": [2, 2, 3, 2], "dtype": "float32", "quantization": scale},
        {"name": "bias", "shape": [2], "dtype": "float32"},
    ]
    manifest = json.dumps([{"paths": ["1", "2"], "weights": weights}]).encode()
    content = codes.tobytes() + BIAS.tobytes()
    tensors = formats.tensorflow_js(manifest, {"1": content[:20], "2": content[20:]}.__getitem__)
    assert np.array_equal(tensors["kernel"][1, 2], codes[:, :, 2, 1] * 0.5 - 1)
    assert np.array_equal(tensors["bias"], BIAS)


def test_an_ncnn_network_is_read_to_its_last_byte() -> None:
    parameters = b"""7767517
3 3
Input input 0 1 in 0=4 1=4 2=3
Convolution conv 1 1 in mid 0=2 1=2 5=1 6=24 9=2 -23310=1,0.100000
InnerProduct dense 1 1 mid out 0=1 1=0 2=3
"""
    half, plain = struct.pack("<I", 0x01306B47), bytes(4)
    dense = np.array([1, 2, 3], "<f4")
    content = half + WEIGHT.astype("<f2").tobytes() + BIAS.tobytes() + plain + dense.tobytes()
    tensors = formats.ncnn(parameters, content)
    assert {name: tensor.dtype.str for name, tensor in tensors.items()} == {
        "conv.weight": "<f2",
        "conv.bias": "<f4",
        "dense.weight": "<f4",
    }
    assert np.array_equal(tensors["conv.weight"], WEIGHT)
    assert np.array_equal(tensors["dense.weight"], [[1, 2, 3]])
    with pytest.raises(ValueError, match="4 bytes"):
        formats.ncnn(parameters, content + bytes(4))


def test_layers_of_a_dlib_network_are_read_in_order() -> None:
    def integers(*values: int) -> bytes:
        return b"".join(bytes([2]) + value.to_bytes(2, "little") for value in values)

    convolution = b"\x01\x05con_4" + integers(2, 26, 1, 1, 1) + WEIGHT.tobytes() + BIAS.tobytes() + integers(2, 2, 2)
    affine = b"\x01\x07affine_" + integers(2, 4, 1, 1, 1) + np.array([1, 2, 3, 4], "<f4").tobytes()
    dense = b"\x01\x04fc_2" + integers(2, 3) + integers(2, 3, 2, 1, 1) + np.arange(6, dtype="<f4").tobytes()
    tensors = formats.dlib(b"loss" + convolution + affine + dense)
    assert list(tensors) == ["00.con.weight", "00.con.bias", "01.affine.weight", "01.affine.bias", "02.fc.weight"]
    assert np.array_equal(tensors["00.con.weight"], WEIGHT)
    assert np.array_equal(tensors["01.affine.bias"], [3, 4])
    assert np.array_equal(tensors["02.fc.weight"], [[0, 2, 4], [1, 3, 5]])


def test_a_tesseract_recogniser_is_read_with_its_integer_matrices() -> None:
    def header(kind: str, name: str, flags: int = 0) -> bytes:
        strings = [struct.pack("<I", len(text)) + text.encode() for text in (kind, name)]
        return b"\0" + strings[0] + struct.pack("<bbiiii", 0, 0, flags, 2, 2, 6) + strings[1]

    def floats(values: np.ndarray) -> bytes:
        return struct.pack("<BIId", 128, *values.shape, 0.0) + values.astype("<f8").tobytes()

    gate = np.arange(6).reshape(2, 3)
    codes = np.array([[1, -2, 3]], "i1")
    softmax = struct.pack("<BIIb", 129, 1, 3, 0) + codes.tobytes() + struct.pack("<Id", 1, 0.25)
    network = header("Series", "Series", flags=64) + struct.pack("<I", 3)
    network += header("Input", "In") + bytes(20)
    network += header("LSTM", "Lfx2") + struct.pack("<i", 3) + floats(gate) * 4
    network += header("Softmax", "Out") + softmax + struct.pack("<Iff", 2, 0.5, 0.5)
    offsets = [-1] * 17 + [4 + 8 * 18]
    tensors = formats.tesseract(struct.pack("<i18q", 18, *offsets) + network)
    assert len(tensors) == 6
    assert np.array_equal(tensors["network.Series.1.Lfx2.forget_gate.weight"], gate)
    assert np.array_equal(tensors["network.Series.2.Out.weight"], codes)
    assert np.array_equal(tensors["network.Series.2.Out.scale"], [0.25])
