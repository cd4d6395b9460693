"""A fingerprint never exceeds 1,000,000 bytes: narrower sketches, then pooled tensors."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from fingerprint_samples import fingerprint, named, normal
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint.coarse import coarse_vector
from mlflow_mother.fingerprint.fold import fold
from mlflow_mother.fingerprint.format import MAX_BYTES, from_bytes, to_bytes
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.weights import NamedTensor


def layers(count: int, seed: int = 0, noise: float = 0.0) -> list[NamedTensor]:
    rng, other = np.random.default_rng(seed), np.random.default_rng(99)
    tensors = []
    for layer in range(count):
        for name, shape in (("weight", (12, 10)), ("bias", (12,)), ("norm", (100,)), ("scale", ())):
            values = rng.standard_normal(shape) + noise * other.standard_normal(shape)
            tensors.append(named(f"layers.{layer}.{name}", values.astype(np.float32) if shape else np.float32(values)))
    return tensors


@pytest.mark.parametrize(("count", "k"), [(10, 64), (60, 32), (200, 16), (300, 8)])
def test_the_widest_sketch_that_fits_is_taken(count: int, k: int) -> None:
    found = fingerprint(*[named(f"block{i}x.w", normal((20, 20), i)) for i in range(count)])
    assert found.k == k or (count, found.k) == (300, 16)
    assert len(to_bytes(found)) <= MAX_BYTES
    assert len(found.names) == count
    again = fold(fingerprint(named("block0x.w", normal((20, 20), 0))), found.k)
    np.testing.assert_allclose(found.sketch_of(found.names.index("block0x.w")), again.sketch_of(0), rtol=0, atol=1e-5)


def test_tensors_of_very_deep_models_are_pooled() -> None:
    count = 600
    found = fingerprint(*layers(count))
    assert found.k == 8
    assert len(to_bytes(found)) <= MAX_BYTES
    assert len(found.names) < 4 * count
    assert found.parameters == count * (120 + 12 + 100 + 1)
    assert from_bytes(to_bytes(found)).digest == found.digest
    pooled = [name for name in found.names if "#" in name]
    assert pooled
    index = found.names.index(pooled[0])
    assert math.prod(found.shapes[index]) == found.stats["count"][index]


@pytest.fixture(scope="module")
def deep() -> dict[str, Fingerprint]:
    return {
        "a": fingerprint(*layers(600)),
        "b": fingerprint(*layers(600, noise=0.1)),
        "noise": fingerprint(*layers(600, seed=99)),
        "c": fingerprint(*layers(600, seed=5)),
    }


def test_pooled_sketches_are_linear_and_measure_distances(deep: dict[str, Fingerprint]) -> None:
    a, b, noise = deep["a"], deep["b"], deep["noise"]
    assert a.names == b.names
    difference = b.sketch - a.sketch
    np.testing.assert_allclose(difference, 0.1 * noise.sketch, rtol=0, atol=1e-5 * np.abs(a.sketch).max())
    energy = np.array([np.sum(noise.sketch_of(i).astype(np.float64) ** 2) for i in range(len(noise.names))])
    pooled = [i for i, name in enumerate(noise.names) if "#" in name]
    for index in pooled:
        if len(noise.shapes[index]) >= 2 or noise.shapes[index][0] > 64:
            assert 0.4 < energy[index] / noise.stats["sumsq"][index] < 1.8


def test_pooled_models_keep_their_relatives(deep: dict[str, Fingerprint]) -> None:
    a, b, c = (coarse_vector(deep[name]) for name in "abc")
    assert a @ b > 0.95
    assert abs(a @ c) < 0.6


ALPHABETIC = [f"{x}{y}{z}.w" for x in "abcdefghijklmno" for y in "abcdefghijklmno" for z in "abcdefghijklmno"]
NUMBERED = [f"layers.{index}.w" for index in range(len(ALPHABETIC))]


@pytest.mark.parametrize("names", [ALPHABETIC, NUMBERED], ids=["alphabetic", "numbered"])
def test_pooling_is_only_as_coarse_as_the_bound_demands(names: list[str]) -> None:
    found = fingerprint(*[named(name, normal((3, 2), index)) for index, name in enumerate(names)])
    assert MAX_BYTES / 3 < len(to_bytes(found)) <= MAX_BYTES
    assert len(found.names) > 700
    assert found.parameters == 6 * len(names)


def test_appended_layers_leave_the_pools_before_them_as_they_are() -> None:
    short, long = fingerprint(*layers(600)), fingerprint(*layers(606))
    common = set(zip(short.names, short.digests, strict=True)) & set(zip(long.names, long.digests, strict=True))
    # The runs of one of the four groups have to be doubled.
    assert len(common) > 0.7 * len(short.names)


def test_what_a_model_says_of_itself_does_not_change_its_pools() -> None:
    assert fingerprint(*layers(600)).names == fingerprint(*layers(600), format="x" * 500).names


def test_a_pooled_fingerprint_is_reproduced_byte_for_byte() -> None:
    """Multiples of powers of two: every sum is exact, so every machine gets the same bytes."""

    def grid(shape: tuple[int, ...], start: int) -> np.ndarray:
        return (((np.arange(math.prod(shape)) + start) * 7 % 17) - 8.0).reshape(shape) / 8.0

    kinds = {"weight": (12, 10), "bias": (12,), "norm": (100,), "scale": ()}
    found = fingerprint(*[named(f"l.{i}.{kind}", grid(shape, i)) for i in range(600) for kind, shape in kinds.items()])
    golden = json.loads((Path(__file__).parent / "golden" / "pooled.json").read_text())
    assert {"names": list(found.names), "sha256": hashlib.sha256(to_bytes(found)).hexdigest()} == golden


def test_pooling_does_not_depend_on_order() -> None:
    tensors = layers(600)
    assert to_bytes(fingerprint(*tensors)) == to_bytes(fingerprint(*reversed(tensors)))


def test_unnumbered_names_are_pooled_by_shape() -> None:
    letters = "abcdefghijklmno"
    names = [x + y + z for x in letters for y in letters for z in letters][:2000]
    found = fingerprint(*[named(f"{name}.w", normal((3, 2), i)) for i, name in enumerate(names)])
    assert len(to_bytes(found)) <= MAX_BYTES
    assert found.parameters == 6 * len(names)


def test_too_many_different_shapes_are_refused() -> None:
    with pytest.raises(FingerprintError, match="too many different shapes"):
        fingerprint(*[named(f"w{i}", np.zeros((i + 1, 1), np.float32)) for i in range(2500)])


def test_very_long_names_are_shortened_to_unique_ones() -> None:
    found = fingerprint(named("a" * 300_000 + ".x", normal((2,))), named("a" * 300_000 + ".y", normal((2,))))
    assert len(set(found.names)) == 2
    assert len(to_bytes(found)) < 10_000


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 1500), st.sampled_from([(2, 2), (5,), (), (600,)]), st.text(max_size=300))
def test_the_bound_holds_for_any_model(count: int, shape: tuple[int, ...], name: str) -> None:
    found = fingerprint(*[named(f"{i}.{name}", np.ones(shape, np.float32)) for i in range(count)])
    assert len(to_bytes(found)) <= MAX_BYTES
    assert found.parameters == count * math.prod(shape)
