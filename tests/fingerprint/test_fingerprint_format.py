"""A fingerprint's bytes are fixed by golden files, readable by safetensors, and never trusted when read."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from fingerprint_samples import fingerprint, named, raw, small_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlflow_mother.errors import FingerprintError, SpecMismatchError
from mlflow_mother.fingerprint import seeds
from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.fingerprint.format import METADATA_KEY, from_bytes, load, save, to_bytes
from mlflow_mother.fingerprint.record import STATS, Fingerprint
from mlflow_mother.weights import NamedTensor

GOLDEN = Path(__file__).parent / "golden"


def golden_model() -> list[NamedTensor]:
    """Small multiples of powers of two: every sum is exact, so every machine gets the same bytes."""

    def grid(count: int, step: int) -> np.ndarray:
        return ((np.arange(count) * step % 17) - 8.0) / 8.0

    return [
        named("model.embed.weight", grid(300 * 20, 7).reshape(300, 20)),
        named("model.layers.0.conv.weight", grid(8 * 4 * 9, 5).reshape(8, 4, 3, 3), "F16"),
        named("model.layers.0.norm.weight", grid(700, 3), "BF16"),
        named("model.layers.0.bias", grid(100, 11), "F64"),
        named("model.layers.1.quantised", grid(64 * 70, 13).reshape(64, 70) * 8, "I8"),
        named("model.layers.1.small_float", grid(40 * 40, 4).reshape(40, 40), "F8_E4M3"),
        named("model.steps", np.int64(1234), "I64"),
        named("model.empty", np.zeros((0, 4), np.float32)),
        raw("model.nan", np.array([np.nan, 1.0, np.inf, -2.0], np.float32).tobytes(), (2, 2), "F32"),
    ]


@cache
def golden_fingerprint() -> Fingerprint:
    whole = replace(
        fingerprint(*golden_model(), format="safetensors"),
        adapter={"kind": "LORA", "base": "models:/base/1", "rank": 8, "alpha": 16.0},
        declared=("models:/base/1",),
    )
    return fold(whole, 16)


def golden_seeds() -> dict[str, object]:
    buckets, signs = seeds.row_buckets(0, 12)
    return {
        "words": [f"{word:016x}" for word in seeds.words(1, 0, 6)],
        "row_buckets": buckets.tolist(),
        "row_signs": signs.astype(int).tolist(),
        "row_buckets_from_1000": seeds.row_buckets(1000, 6)[0].tolist(),
        "column_signs_of_column_5": seeds.column_signs(5, 1)[0].astype(int).tolist(),
        "vector_signs": seeds.vector_signs(60, 10).astype(int).tolist(),
        "sample_positions_of_10": seeds.sample_positions(10).tolist(),
        "sample_positions_of_1000000": seeds.sample_positions(1_000_000)[:8].tolist(),
        "member_rotations": [item.astype(int).tolist() for item in seeds.member_rotations(3)],
        "coarse_slot_of_768": seeds.coarse_slot(768)[0],
    }


def golden_digests() -> dict[str, object]:
    found = fingerprint(*golden_model())
    tensors = {name: digest.hex() for name, digest in zip(found.names, found.digests, strict=True)}
    return {"model": found.digest, "tensors": tensors}


def test_the_golden_file_is_reproduced_byte_for_byte() -> None:
    assert to_bytes(golden_fingerprint()) == (GOLDEN / "fingerprint.safetensors").read_bytes()


def test_the_golden_file_reads_as_it_was_written() -> None:
    found = load(GOLDEN / "fingerprint.safetensors")
    expected = golden_fingerprint()
    assert to_bytes(found) == to_bytes(expected)
    for field in ("names", "dtypes", "shapes", "digests", "k", "format", "adapter", "declared", "spec", "digest"):
        assert getattr(found, field) == getattr(expected, field), field
    for column in ("stats", "sketch", "sketch_offsets", "sample", "sample_offsets"):
        one, other = getattr(found, column), getattr(expected, column)
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes(), column


def test_golden_digests() -> None:
    assert golden_digests() == json.loads((GOLDEN / "digests.json").read_text())


def test_golden_pseudo_random_numbers() -> None:
    assert golden_seeds() == json.loads((GOLDEN / "seeds.json").read_text())


@given(st.integers(0, 5000), st.integers(0, 300), st.integers(1, 2000))
def test_any_part_of_a_stream_is_that_part_of_the_whole(stream: int, start: int, count: int) -> None:
    whole = seeds.words(stream, 0, start + count)
    np.testing.assert_array_equal(seeds.words(stream, start, count), whole[start:])


def test_safetensors_itself_reads_the_file() -> None:
    found = golden_fingerprint()
    columns = safetensors.numpy.load(to_bytes(found))
    np.testing.assert_array_equal(columns["sketch"], found.sketch)
    np.testing.assert_array_equal(columns["stats.sumsq"], found.stats["sumsq"])
    assert set(columns) == {f"stats.{name}" for name in STATS.names or ()} | {"sketch", "sample", "digests"}


def test_a_saved_file_loads(tmp_path: Path) -> None:
    found = fingerprint(*small_model())
    save(found, tmp_path / "fp.safetensors")
    assert to_bytes(load(tmp_path / "fp.safetensors")) == to_bytes(found)
    assert [path.name for path in tmp_path.iterdir()] == ["fp.safetensors"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FingerprintError, match="cannot be read"):
        load(tmp_path / "nothing")


def test_an_empty_model_has_bytes_too() -> None:
    assert to_bytes(from_bytes(to_bytes(fingerprint()))) == to_bytes(fingerprint())


def test_another_spec_is_told_apart() -> None:
    other = to_bytes(replace(golden_fingerprint(), spec="mother-fp/0"))
    with pytest.raises(SpecMismatchError, match="'mother-fp/0'"):
        from_bytes(other)


def parts(data: bytes) -> tuple[dict, dict, bytes]:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")[METADATA_KEY]), data[8 + length :]


def joined(header: dict, metadata: object, body: bytes) -> bytes:
    text = json.dumps(header | {"__metadata__": {METADATA_KEY: json.dumps(metadata)}}).encode()
    return len(text).to_bytes(8, "little") + text + body


def spoil(**changes: object) -> bytes:
    header, metadata, body = parts(to_bytes(golden_fingerprint()))
    return joined(header, metadata | changes, body)


SHAPES = [list(shape) for shape in golden_fingerprint().shapes]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        b"\0" * 8,
        (1 << 63).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (6).to_bytes(8, "little") + b"{" * 6,
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (5000).to_bytes(8, "little") + b"1" * 5000,
        b"\0" * 1_000_001,
        to_bytes(golden_fingerprint())[:-1],
        to_bytes(golden_fingerprint()) + b"\0",
        spoil(k=128),
        spoil(k=16.0),
        spoil(k=True),
        spoil(k=8),
        spoil(names=["x"] * 9),
        spoil(names=5),
        spoil(names=["x" * 2000, *"abcdefgh"]),
        spoil(dtypes=["F4"] * 9),
        spoil(shapes=[[1e400]] * 9),
        spoil(shapes=[[-1], *SHAPES[1:]]),
        spoil(shapes=[[1 << 59, 1 << 59], *SHAPES[1:]]),
        spoil(shapes=[[True], *SHAPES[1:]]),
        spoil(shapes=[*SHAPES[1:], SHAPES[0]]),
        spoil(shapes=[[1] * 100, *SHAPES[1:]]),
        spoil(adapter={"kind": ["x"]}),
        spoil(adapter={"other": 1}),
        spoil(adapter={"alpha": float("inf")}),
        spoil(adapter=[]),
        spoil(declared=[1]),
        spoil(format=None),
        spoil(extra=1),
        spoil(spec=["mother-fp/1"]),
    ],
)  # fmt: skip
def test_unsound_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FingerprintError):
        from_bytes(data)


@pytest.mark.parametrize(
    ("column", "field", "value"),
    [
        ("stats", "sumsq", np.nan),
        ("stats", "sumsq", -1.0),
        ("stats", "min", 100.0),
        ("stats", "count", 3),
        ("stats", "count", -3),
        ("stats", "zeros", 1 << 62),
        ("stats", "zeros", -1),
        ("stats", "nonfinite", 1 << 62),
        ("stats", "nonfinite", -(1 << 63)),
        ("stats", "mantissa", 24),
        ("stats", "mantissa", -1),
        ("stats", "distinct", 4097),
        ("sketch", None, np.inf),
        ("sample", None, np.nan),
    ],
)
def test_unsound_values_are_refused(column: str, field: str | None, value: float) -> None:
    found = golden_fingerprint()
    values = getattr(found, column).copy()
    (values if field is None else values[field])[0] = value
    with pytest.raises(FingerprintError):
        from_bytes(to_bytes(replace(found, **{column: values})))


MUTATIONS = st.lists(
    st.tuples(
        st.floats(0, 1), st.sampled_from(["flip", "drop", "insert", "repeat"]), st.binary(min_size=1, max_size=12)
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MUTATIONS, st.booleans())
def test_mutated_bytes_are_refused_or_sound(mutations: list[tuple[float, str, bytes]], header_only: bool) -> None:
    data = bytearray(to_bytes(golden_fingerprint()))
    for where, kind, content in mutations:
        at = int(where * ((8 + int.from_bytes(data[:8], "little")) % 10_000 if header_only else len(data)))
        if kind == "flip":
            data[at : at + len(content)] = content
        elif kind == "drop":
            del data[at : at + len(content)]
        elif kind == "insert":
            data[at:at] = content
        else:
            data[at:at] = data[at : at + 100 * len(content)]
    try:
        found = from_bytes(bytes(data))
    except FingerprintError:
        return
    assert len(to_bytes(found)) <= 1_000_000
    assert np.isfinite(found.sketch).all()
    assert found.parameters >= 0


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ["adapter", "declared", "dtypes", "format", "k", "names", "shapes", "spec"]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1, max_size=3))
def test_any_metadata_is_refused_or_sound(changes: dict[str, object]) -> None:
    header, metadata, body = parts(to_bytes(golden_fingerprint()))
    try:
        to_bytes(from_bytes(joined(header, metadata | changes, body)))
    except FingerprintError:
        return
    assert set(changes) <= {"format", "declared", "adapter", "names", "dtypes"}


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(FingerprintError):
        from_bytes(data)


def write_golden_files() -> None:
    """Run after a deliberate change of the spec: ``python tests/fingerprint/test_fingerprint_format.py``."""
    GOLDEN.mkdir(exist_ok=True)
    save(golden_fingerprint(), GOLDEN / "fingerprint.safetensors")
    (GOLDEN / "digests.json").write_text(json.dumps(golden_digests(), indent=1) + "\n")
    (GOLDEN / "seeds.json").write_text(json.dumps(golden_seeds(), indent=1) + "\n")


if __name__ == "__main__":
    write_golden_files()
