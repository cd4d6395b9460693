"""One model has one fingerprint: threads, order, shards, wrappers and pieces of work leave no trace."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from fingerprint_samples import Memory, fingerprint, named, normal, raw, small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mlflow_mother.errors import CorruptFileError, FingerprintError
from mlflow_mother.fingerprint import compute
from mlflow_mother.fingerprint.compute import fingerprint_model, fingerprint_tensors
from mlflow_mother.fingerprint.format import to_bytes
from mlflow_mother.weights import LocalFiles, NamedTensor

REFERENCE = to_bytes(fingerprint(*small_model()))


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units so small that every tensor of the sample model has several."""
    monkeypatch.setattr(compute, "UNIT_BYTES", 1 << 12)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("torch_threads", [1, 2])
def test_thread_numbers(threads: int, torch_threads: int, small_units: None) -> None:
    before = torch.get_num_threads()
    reference = to_bytes(fingerprint(*small_model(), threads=1))
    torch.set_num_threads(torch_threads)
    try:
        assert to_bytes(fingerprint(*small_model(), threads=threads)) == reference
        assert torch.get_num_threads() == torch_threads
    finally:
        torch.set_num_threads(before)


def test_threads_share_one_large_tensor() -> None:
    tensor = named("w", normal((6000, 3000)))
    assert len({to_bytes(fingerprint(tensor, threads=threads)) for threads in (1, 2, 3)}) == 1


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_order_of_tensors(rng: random.Random) -> None:
    tensors = small_model()
    rng.shuffle(tensors)
    assert to_bytes(fingerprint(*tensors)) == REFERENCE


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod."])
def test_wrapper_prefixes(prefix: str) -> None:
    wrapped = [NamedTensor(prefix + t.name, t.dtype, t.shape, t.source) for t in small_model()]
    assert to_bytes(fingerprint(*wrapped)) == REFERENCE


def test_pieces_of_work_change_roundings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fingerprint(*small_model())
    monkeypatch.setattr(compute, "UNIT_BYTES", 5000 // 8 * 8)
    pieces = fingerprint(*small_model())
    np.testing.assert_allclose(pieces.sketch, whole.sketch, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(pieces.sample, whole.sample)
    for name in whole.stats.dtype.names or ():
        np.testing.assert_allclose(pieces.stats[name], whole.stats[name], rtol=1e-12, atol=1e-9)


def test_shards_and_formats(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = {f"layers.{i}.weight": torch.randn(20, 30) for i in range(4)}
    files = {}
    for name in ("whole", "sharded", "torch"):
        files[name] = tmp_path / name
        files[name].mkdir()
    save_file(state, files["whole"] / "model.safetensors")
    torch.save(state, files["torch"] / "pytorch_model.bin")
    names = sorted(state)
    index = {}
    for shard in range(2):
        part = f"model-0000{shard + 1}-of-00002.safetensors"
        save_file({name: state[name] for name in names[shard::2]}, files["sharded"] / part)
        index |= dict.fromkeys(names[shard::2], part)
    (files["sharded"] / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    found = {name: fingerprint_model(LocalFiles(path)) for name, path in files.items()}
    assert len({fp.digest for fp in found.values()}) == 1
    assert len({fp.sketch.tobytes() + fp.stats.tobytes() for fp in found.values()}) == 1
    assert found["whole"].format == "safetensors"
    assert to_bytes(found["whole"]) == to_bytes(found["sharded"])


def test_progress_counts_all_bytes(small_units: None) -> None:
    calls: list[tuple[int, int]] = []
    tensors = small_model()
    total = sum(tensor.nbytes for tensor in tensors)
    fingerprint_tensors(tensors, progress=lambda done, of: calls.append((done, of)), nbytes=total)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (total, total)


def test_a_tensor_is_read_before_the_next_is_asked_for() -> None:
    class Closing(Memory):
        closed = False

        def readinto(self, offset: int, buffer: memoryview, /) -> None:
            assert not self.closed
            super().readinto(offset, buffer)

    def stream() -> object:
        for tensor in small_model():
            source = Closing(tensor.tobytes())
            yield NamedTensor(tensor.name, tensor.dtype, tensor.shape, source)
            source.closed = True

    assert to_bytes(fingerprint_tensors(stream())) == REFERENCE  # type: ignore[arg-type]


def test_errors_of_a_source_reach_the_caller() -> None:
    with pytest.raises(CorruptFileError, match="truncated"):
        fingerprint(*small_model(), raw("short", b"123", (4,), "F32"))


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(FingerprintError, match="MLFLOW_MOTHER_DEVICE"):
        fingerprint(*small_model(), device=device)


def test_two_tensors_of_one_name_are_refused() -> None:
    with pytest.raises(FingerprintError, match="two tensors named 'w'"):
        fingerprint(named("w", normal((3,))), named("w", normal((4,))))


def test_a_digest_tells_type_shape_and_values_apart() -> None:
    values = normal((4, 6))
    tensors = [
        named("a", values), named("b", values.reshape(6, 4)), named("c", values.ravel()), named("d", values, "F64"),
        named("e", -values), named("f", values.reshape(4, 6, 1)), raw("g", values.tobytes(), (4, 6), "I32"),
    ]  # fmt: skip
    assert len(set(fingerprint(*tensors).digests)) == len(tensors)
    assert fingerprint(named("x", values)).digests == fingerprint(named("y", values)).digests


def test_nothing_makes_an_empty_fingerprint() -> None:
    empty = fingerprint()
    assert empty.names == ()
    assert empty.parameters == 0
