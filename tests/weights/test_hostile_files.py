"""Hostile and broken files end in a clear error of Mother's, run nothing, and cost little."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import struct
import time
import zipfile
import zlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from weight_samples import Net, read

from mlflow_mother.errors import CorruptFileError, UnsafeFileError, UnsupportedFormatError, WeightsError
from mlflow_mother.weights import limits
from mlflow_mother.weights.torch_files import MAGIC


@pytest.fixture(autouse=True)
def bounded():
    """Each test within seconds and a few hundred megabytes of its own."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert time.monotonic() - start < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_500_000


# Payloads


class Payload:
    """Unpickling this makes a marker file, in one of several ways."""

    def __init__(self, marker: Path, how: str) -> None:
        self.marker, self.how = str(marker), how

    def __reduce__(self):
        if self.how == "os.system":
            return os.system, (f"touch {self.marker}",)
        if self.how == "exec":
            return exec, (f"open({self.marker!r}, 'w').close()",)
        if self.how == "eval":
            return eval, (f"__import__('pathlib').Path({self.marker!r}).touch()",)
        return getattr, (__import__("pathlib").Path(self.marker), "touch")


PAYLOADS = ["os.system", "exec", "eval"]


def legacy_file(value) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def zip_file(program: bytes, **parts: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", program)
        for name, data in parts.items():
            archive.writestr(f"model/data/{name}", data)
    return file.getvalue()


@pytest.mark.parametrize("how", PAYLOADS)
@pytest.mark.parametrize("place", ["value", "whole", "key", "state", "metadata"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_payload_in_a_torch_file_never_runs(tmp_path, how, place, legacy):
    marker, path = tmp_path / "ran", tmp_path / "model.pth"
    payload = Payload(marker, how)
    state = Net().state_dict()
    value = {
        "value": {**state, "extra": payload},
        "whole": payload,
        "key": {"state_dict": state, "hook": [payload]},
        "state": {"model": Holder(payload, state)},
        "metadata": {"state_dict": state, "optimizer": payload},
    }[place]
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    if place == "whole":
        with pytest.raises(UnsupportedFormatError):
            read(path)
    else:
        assert len(read(path)) == len(state)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "the payload is a dud: the test proves nothing"


class Holder:
    def __init__(self, payload, state):
        self.payload, self.weights = payload, state


def test_a_payload_in_an_exported_program_never_runs(tmp_path):
    marker, path, evil = tmp_path / "ran", tmp_path / "model.pt2", tmp_path / "evil.pt2"
    torch.export.save(torch.export.export(Net().eval(), (torch.randn(2, 6),)), path)
    pickled = io.BytesIO()
    torch.save(Payload(marker, "os.system"), pickled)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(evil, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("model_weights_config.json"):
                config = json.loads(data)
                first = next(iter(config["config"].values()))
                first["use_pickle"] = True
                new.writestr(f"{name.rpartition('/')[0]}/evil", pickled.getvalue())
                first["path_name"] = "evil"
                data = json.dumps(config).encode()
            elif name.endswith("sample_inputs/model.pt"):
                data = pickled.getvalue()
            new.writestr(name, data)
    with pytest.raises(UnsupportedFormatError):
        read(evil)
    assert not marker.exists()


@pytest.mark.parametrize("stage", range(5))
def test_a_payload_in_any_pickle_of_a_legacy_file_never_runs(tmp_path, stage):
    marker, path = tmp_path / "ran", tmp_path / "model.bin"
    stages = [MAGIC, 1001, {"little_endian": True}, {}, []]
    stages[stage] = Payload(marker, "os.system")
    path.write_bytes(b"".join(pickle.dumps(value, 2) for value in stages))
    with pytest.raises(WeightsError):
        read(path)
    assert not marker.exists()


def test_a_payload_in_a_plain_pickle_never_runs(tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "model.bin"
    path.write_bytes(pickle.dumps(Payload(marker, "exec")))
    with pytest.raises(UnsupportedFormatError):
        read(path)
    assert not marker.exists()


# Pickles that exhaust


def memo_bomb() -> bytes:
    return b"\x80\x02]r\xff\xff\xff\xff0" + b"".join(b"]p%d\n0" % (1 << 31) for _ in range(10)) + b"N."


def laughs(width=10, depth=40) -> bytes:
    """A small pickle that describes 10^40 paths."""
    program = b"\x80\x02]"
    for index in range(depth):
        program += b"q" + bytes([index]) + b"0](" + b"".join(b"h" + bytes([index]) for _ in range(width)) + b"e"
    return program + b"."


def deep_tuple_key() -> bytes:
    """Hashing the key would overflow the C stack."""
    return b"\x80\x02})" + b"\x85" * 300_000 + b"Ns."


HUGE = struct.pack("<Q", 1 << 60)

PROGRAMS = {
    "deep lists": b"\x80\x02" + b"]" * 150_000 + b"a" * 149_999 + b".",
    "deep tuples": b"\x80\x02)" + b"\x85" * 150_000 + b".",
    "deep calls": b"\x80\x02" + b"ca\nb\n" + b"(" * 3 + b")R" * 10 + b".",
    "deep objects": b"\x80\x02ca\nb\nq\x00)R" + b"\x85q\x01h\x00h\x01R" * 100_000 + b".",
    "tuple key": deep_tuple_key(),
    "laughs": laughs(),
    "huge string": b"\x80\x04\x8d" + HUGE + b"x.",
    "huge bytes": b"\x80\x05\x8e" + HUGE + b"x.",
    "huge integer": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "negative length": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "long decimal": b"I" + b"9" * 60_000 + b"\n.",
    "endless line": b"I" + b"9" * 1_000_000,
    "colliding keys": b"\x80\x02}(" + b"".join(b"L%d\nN" % (k * ((1 << 61) - 1)) for k in range(100_000)) + b"u.",
    "colliding memo": b"\x80\x02N" + b"".join(b"p%d\n" % (k * ((1 << 61) - 1)) for k in range(100_000)) + b".",
    "memo": memo_bomb(),
    "unknown instruction": b"\x80\x02\xfe.",
    "empty stack": b"\x80\x020.",
    "no mark": b"\x80\x02t.",
    "mark as value": b"\x80\x02(.",
    "missing memo": b"\x80\x02h\x07.",
    "extension": b"\x80\x02\x82\x01.",
    "append to nothing": b"\x80\x02NNa.",
    "tensor of nonsense": b"\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n)Rs.",
    "unquoted string": b"Sabc\n.",
    "bad float": b"Fx\n.",
    "nothing": b"",
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_pickle_that_exhausts_or_confuses_is_refused(tmp_path, monkeypatch, program, form):
    monkeypatch.setattr(limits, "VISITS", 100_000)  # a tenth, to save the suite's time
    path = tmp_path / "model.pth"
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {}))
    path.write_bytes(zip_file(program) if form == "zip" else head + program)
    with pytest.raises(WeightsError) as caught:
        read(path)
    assert "model.pth" in caught.value.what
    assert caught.value.remedy


def test_a_pickle_of_too_many_instructions_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "PICKLE_OPCODES", 1_000)
    path = tmp_path / "model.pth"
    path.write_bytes(zip_file(b"\x80\x02" + b"N0" * 1_000 + b"N."))
    with pytest.raises(UnsafeFileError, match="instructions"):
        read(path)


def tensor_program(shape, strides, offset=0, count=4, key="0") -> bytes:
    """A state dict of one tensor as torch.save writes it, with any numbers."""

    class Storage:
        def __init__(self, value):
            self.value = value

    class Rebuild:
        def __reduce__(self):
            args = (Storage(("storage", torch.FloatStorage, key, "cpu", count)), offset, shape, strides, False, {})
            return torch._utils._rebuild_tensor_v2, args

    file = io.BytesIO()
    pickler = pickle.Pickler(file, 2)
    pickler.persistent_id = lambda value: value.value if isinstance(value, Storage) else None
    pickler.dump({"w": Rebuild()})
    return file.getvalue()


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((2, 3), (3, 1), 0),
        ((4,), (1,), 1),
        ((2,), (4,), 0),
        ((4,), (-1,), 3),
        ((4,), (1,), -1),
        ((2, 2), (1,), 0),
        ((1 << 40,), (0,), 0),
        ((1 << 62, 1 << 62), (0, 0), 0),
        ((1 << 70,), (1,), 0),
        ((-4,), (1,), 0),
        ((True,), (1,), 0),
        (tuple([1] * 65), tuple([1] * 65), 0),
        ("ab", (1, 1), 0),
    ],
)
def test_a_tensor_that_lies_about_its_storage_is_refused(tmp_path, shape, strides, offset):
    path = tmp_path / "model.pth"
    path.write_bytes(zip_file(tensor_program(shape, strides, offset), **{"0": bytes(16)}))
    with pytest.raises(WeightsError):
        read(path)


def test_the_same_tensor_told_truly_is_read(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(zip_file(tensor_program((2, 2), (1, 2)), **{"0": struct.pack("<4f", 1, 2, 3, 4)}))
    assert read(path) == {"w": ("F32", (2, 2), struct.pack("<4f", 1, 3, 2, 4))}


@pytest.mark.parametrize("key", ["../../../../etc/passwd", "/etc/passwd", "..", "missing"])
def test_a_storage_outside_the_archive_is_not_opened(tmp_path, key):
    path = tmp_path / "model.pth"
    path.write_bytes(zip_file(tensor_program((4,), (1,), key=key)))
    with pytest.raises(CorruptFileError, match="lacks its part"):
        read(path)


# Archives


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "..\\evil", "C:\\evil", "a\x00b"])
def test_an_archive_with_a_path_that_leads_out_is_refused(tmp_path, name):
    path = tmp_path / "model.pth"
    data = zip_file(tensor_program((4,), (1,)), **{"0": bytes(16), "x" * len(name): b""})
    path.write_bytes(data.replace(b"model/data/" + b"x" * len(name), (name + "/" * 11).encode()[: 11 + len(name)]))
    with pytest.raises(WeightsError):
        read(path)


def test_a_zip_bomb_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", tensor_program((1 << 26,), (1,), count=1 << 26))
        with archive.open("model/data/0", "w", force_zip64=True) as part:
            for _ in range(256):
                part.write(bytes(1 << 20))
    with pytest.raises(UnsafeFileError, match="zip bomb"):
        read(path)


def test_an_entry_that_inflates_to_more_than_it_announces_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", tensor_program((4,), (1,)))
        archive.writestr("model/data/0", bytes(1 << 20))
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<L", 1 << 20), struct.pack("<L", 16)))
    with pytest.raises(UnsafeFileError, match="inflates beyond"):
        read(path)


def test_damaged_compression_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", tensor_program((4,), (1,)))
        archive.writestr("model/data/0", os.urandom(1000) + bytes(1000))
    data = bytearray(path.read_bytes())
    start = data.index(b"model/data/0") + 12
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="damaged"):
        read(path)


def test_an_archive_with_a_forged_directory_size_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    data = bytearray(zip_file(tensor_program((4,), (1,)), **{"0": bytes(16)}))
    end = data.rindex(b"PK\x05\x06")
    data[end + 8 : end + 20] = struct.pack("<2H2L", 0xFFFF, 0xFFFF, 0xFFFFFFF0, 0)
    path.write_bytes(data)
    with pytest.raises(UnsafeFileError, match="more than any real model"):
        read(path)


def test_an_archive_with_two_parts_of_one_name_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("model/data.pkl", tensor_program((4,), (1,)))
        archive.writestr("model/data/0", bytes(16))
        archive.writestr("model/data/0", b"x" * 16)
    with pytest.raises(UnsafeFileError, match="two parts"):
        read(path)


def test_an_encrypted_archive_is_unsupported(tmp_path):
    path = tmp_path / "model.pth"
    data = bytearray(zip_file(tensor_program((4,), (1,)), **{"0": bytes(16)}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UnsupportedFormatError, match="encrypted"):
        read(path)


# safetensors


def header_file(header, data=b"", length=None) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(shape=(4,), begin=0, end=16, dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


HEADERS = {
    "no bytes": b"",
    "three bytes": b"abc",
    "length beyond the file": header_file({}, length=1000),
    "absurd length": header_file({}, length=1 << 62),
    "not JSON": header_file(b"{nonsense}"),
    "not an object": header_file(b"[1, 2]"),
    "not UTF-8": header_file(b'{"\xff": 1}'),
    "deep JSON": header_file(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "repeated name": header_file(b'{"w":' + json.dumps(entry()).encode() + b',"w":1}', bytes(16)),
    "huge number": header_file(
        b'{"w":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,16]}}', bytes(16)
    ),
    "no tensors": header_file({"__metadata__": {"a": "b"}}),
    "truncated data": header_file({"w": entry()}, bytes(15)),
    "trailing data": header_file({"w": entry()}, bytes(17)),
    "gap": header_file({"w": entry(begin=4, end=20)}, bytes(20)),
    "overlap": header_file({"w": entry(), "v": entry()}, bytes(16)),
    "wrong size": header_file({"w": entry(shape=(5,))}, bytes(16)),
    "backwards": header_file({"w": entry(begin=16, end=0)}, bytes(16)),
    "negative shape": header_file({"w": entry(shape=(-2, -2))}, bytes(16)),
    "fractional shape": header_file({"w": entry(shape=(4.0,))}, bytes(16)),
    "boolean shape": header_file({"w": entry(shape=(True, 4))}, bytes(16)),
    "infinite": header_file(b'{"w":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,16]}}', bytes(16)),
    "too many dimensions": header_file({"w": entry(shape=[1] * 100 + [4])}, bytes(16)),
    "overflowing product": header_file({"w": entry(shape=(1 << 62, 4))}, bytes(16)),
    "no dtype": header_file({"w": {"shape": [4], "data_offsets": [0, 16]}}, bytes(16)),
    "unknown dtype": header_file({"w": entry(dtype="F31")}, bytes(16)),
    "sub-byte dtype": header_file({"w": entry(shape=(32,), dtype="F4")}, bytes(16)),
    "long name": header_file({"w" * 5000: entry()}, bytes(16)),
}


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS)
def test_a_broken_safetensors_file_is_refused(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        read(path)
    assert caught.value.remedy


def test_an_oversized_header_is_not_read(tmp_path):
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", limits.HEADER_BYTES + 1) + b"{")
        file.truncate(limits.HEADER_BYTES * 2)
    with pytest.raises(UnsafeFileError, match="header of"):
        read(path)


def test_zero_sized_and_nonfinite_tensors_are_read_as_they_are(tmp_path):
    path = tmp_path / "model.safetensors"
    bad = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])
    path.write_bytes(save({"empty": torch.zeros(0, 1 << 20), "bad": bad}))
    assert read(path) == {"bad": ("F32", (4,), bad.numpy().tobytes()), "empty": ("F32", (0, 1 << 20), b"")}


# Anything else


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin", "model.pt2", "pytorch_model.pth"])
def test_an_empty_file_is_named_as_such(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CorruptFileError, match="is empty"):
        read(tmp_path)


def test_a_git_lfs_pointer_is_named_as_such(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(CorruptFileError, match="Git LFS"):
        read(path)


def test_a_file_that_shrinks_while_it_is_read_is_an_error(tmp_path):
    from mlflow_mother.weights import LocalFiles, open_weights

    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"w": torch.randn(1000)}))
    tensor = next(iter(tensors := open_weights(LocalFiles(path)).tensors()))
    os.truncate(path, 2000)
    with pytest.raises(CorruptFileError, match="truncated"):
        tensor.tobytes()
    tensors.close()


def test_a_payload_survives_compression_unrun(tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "model.pth"
    program = pickle.dumps({"w": Payload(marker, "os.system")}, 2)
    assert zlib.crc32(program)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", program)
    with pytest.raises(UnsupportedFormatError):
        read(path)
    assert not marker.exists()


# Folders


def test_a_folder_deeper_than_any_model_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(save({"w": torch.randn(4)}))
    (tmp_path / "/".join("d" * (limits.FOLDERS_DEEP + 2))).mkdir(parents=True)
    with pytest.raises(UnsafeFileError, match="deeper"):
        read(tmp_path)


def test_a_folder_of_more_files_than_any_model_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "FILES", 10)
    for index in range(12):
        (tmp_path / f"{index}.safetensors").write_bytes(b"")
    with pytest.raises(UnsafeFileError, match="more than 10 files"):
        read(tmp_path)


def test_pipes_devices_and_circular_links_are_no_files_of_a_model(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"w": torch.zeros(1)}))
    os.mkfifo(tmp_path / "pipe.safetensors")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    (tmp_path / "folder").symlink_to(tmp_path)
    assert read(tmp_path) == {"w": ("F32", (1,), bytes(4))}


# Descriptions


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e300", "1" + "0" * 400, "-Infinity"])
def test_absurd_numbers_of_an_adapter_are_left_out(tmp_path, number):
    from mlflow_mother.weights import LocalFiles
    from mlflow_mother.weights.metadata import read_adapter

    path = tmp_path / "adapter_config.json"
    path.write_text(f'{{"peft_type": "LORA", "r": {number}, "lora_alpha": {number}}}')
    config = read_adapter(LocalFiles(tmp_path), path.name)
    assert (config.kind, config.rank, config.alpha) == ("LORA", None, None)
