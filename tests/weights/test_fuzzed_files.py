"""Damaged copies of valid files either read soundly or raise an error of Mother's, in bounded time."""

from __future__ import annotations

import io
import tempfile
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from weight_samples import Net

from mlflow_mother.errors import MotherError
from mlflow_mother.weights import BITS, LocalFiles, open_weights
from mlflow_mother.weights.pickles import load_pickle


def torch_bytes(value, **options) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def exported() -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),)), file)
    return file.getvalue()


SMALL = {"a": torch.arange(6.0).reshape(2, 3).T, "b": {"c": torch.ones(2, dtype=torch.bfloat16)}}
FILES = {
    "safetensors": (".safetensors", lambda: save({"a": torch.ones(2, 3), "b": torch.zeros(0)})),
    "zip": (".pt", lambda: torch_bytes(SMALL)),
    "module": (".pth", lambda: torch_bytes(Net())),
    "legacy": (".bin", lambda: torch_bytes(SMALL, _use_new_zipfile_serialization=False)),
    "pt2": (".pt2", exported),
}


@pytest.fixture(scope="module", params=FILES)
def original(request):
    suffix, make = FILES[request.param]
    return suffix, make()


INTERESTING = st.sampled_from(
    [b"\x00", b"\xff", b".", b"(", b"R", b"\x81", b"\xff\xff\xff\xff", b"\xff" * 8, b"9", b"-"]
)
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1), st.sampled_from(["set", "cut", "insert", "delete"]), INTERESTING | st.binary(max_size=9)
    ),
    min_size=1,
    max_size=4,
)


def damage(data: bytes, edits) -> bytes:
    for share, kind, piece in edits:
        at = int(share * len(data))
        if kind == "set":
            data = data[:at] + piece + data[at + len(piece) :]
        elif kind == "cut":
            data = data[: max(at, 1)]
        elif kind == "insert":
            data = data[:at] + piece + data[at:]
        else:
            data = data[:at] + data[at + len(piece) + 1 :]
    return data


def check(data: bytes, suffix: str) -> None:
    """The file reads soundly or is refused."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model" + suffix)
        path.write_bytes(data)
        try:
            for tensor in open_weights(LocalFiles(path)).tensors():
                assert tensor.dtype in BITS
                assert all(type(dim) is int and dim >= 0 for dim in tensor.shape)
                assert len(tensor.tobytes()) == tensor.nbytes
        except MotherError as error:
            assert error.what
            assert error.remedy
    assert time.monotonic() - start < 10


@given(edits=EDITS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_sound_or_refused(original, edits):
    suffix, data = original
    check(damage(data, edits), suffix)


def test_a_damaged_name_of_a_class_within_a_module_is_sound_or_refused():
    suffix, make = FILES["module"]
    whole = make()
    assert b"__builtin__\nset" in whole, "the set of buffers that are not saved"
    check(whole.replace(b"__builtin__\nset", b"__builtin__\nsat"), suffix)


@given(data=st.binary(max_size=200), suffix=st.sampled_from([".safetensors", ".pt", ".bin", ".pt2"]))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_or_sound(data, suffix):
    check(data, suffix)


OPCODES = st.sampled_from(
    [bytes([code]) for code in b"(.0122FGIJKLMNPQRSTUVXabcdeghijlopqrstu)}]"]
    + [bytes([code]) for code in range(0x80, 0x98)]
    + [b"ccollections\nOrderedDict\n", b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n"]
    + [b"K\x01", b"h\x00", b"q\x00"]
)  # fmt: skip


@given(st.lists(OPCODES | st.binary(max_size=3), max_size=60))
@settings(max_examples=1_000, deadline=None)
def test_any_program_ends_in_a_value_or_a_refusal(pieces):
    try:
        load_pickle(io.BytesIO(b"".join(pieces) + b"."), "a program")
    except MotherError as error:
        assert error.what.startswith("a program")
