"""Statistics are those of float64 numpy, for every element type and for values that are no numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fingerprint_samples import DTYPES, fingerprint, named, normal, raw, widened
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_mother.errors import FingerprintError
from mlflow_mother.fingerprint import kernels, seeds
from mlflow_mother.fingerprint.widening import elements, finite_limit
from mlflow_mother.weights.model import BITS, NamedTensor

SUMS = {"sum": 1, "sumsq": 2, "sum3": 3, "sum4": 4}


def finite_values(tensor: NamedTensor) -> np.ndarray:
    values = widened(tensor)
    return values[np.abs(values) <= finite_limit(tensor.dtype)]


def power_sum(values: np.ndarray, power: int) -> float:
    """Of float64 values, each power rounded, their sum exact."""
    return math.fsum((values**power).tolist())


def expected_stats(tensor: NamedTensor) -> dict[str, float]:
    values = widened(tensor)
    finite = np.abs(values) <= finite_limit(tensor.dtype)
    clean = finite_values(tensor)
    bits = np.bitwise_or.reduce(clean.astype(np.float32).view(np.uint32)) & 0x7FFFFF if clean.size else 0
    stats = {name: power_sum(clean, power) for name, power in SUMS.items()}
    head = np.where(finite, values, 0.0)[:4096]
    return stats | {
        "count": values.size,
        "abs": power_sum(np.abs(clean), 1),
        "min": clean.min(initial=np.inf) if clean.size else 0.0,
        "max": clean.max(initial=-np.inf) if clean.size else 0.0,
        "zeros": int(np.count_nonzero(clean == 0)),
        "nonfinite": int(np.count_nonzero(~finite)),
        "mantissa": 23 - next((i for i in range(23) if bits >> i & 1), 23),
        "distinct": len(set(head.tolist())),
    }


def check(tensor: NamedTensor, rel: float = 1e-13) -> None:
    found = fingerprint(tensor)
    expected = expected_stats(tensor)
    finite = finite_values(tensor)
    scale = {name: power_sum(np.abs(finite), power) for name, power in SUMS.items()}
    for name, value in expected.items():
        tolerance = rel * max(abs(value), scale.get(name, 0.0))
        assert found.stats[name][0] == pytest.approx(value, rel=0, abs=tolerance), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(37, 53), (1200, 300), (1,), (3000,), (300_000,), (), (5, 3, 2, 2), (1, 1), (3, 2000)]
)
def test_every_element_type_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(shape) + BITS[dtype])
    if dtype in {"U8", "I8", "U16", "I16", "U32", "I32"}:
        check(raw("w", rng.bytes(math.prod(shape) * BITS[dtype] // 8), shape, dtype))
    else:
        least = 0 if dtype in {"BOOL", "U64"} else -127
        check(named("w", np.round(rng.standard_normal(shape) * 40).clip(least, 127), dtype))


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F8_E4M3", "F8_E5M2"])
@pytest.mark.parametrize("repeats", [1, 1025])
def test_every_code_of_the_small_float_types(dtype: str, repeats: int) -> None:
    codes = np.arange(1 << BITS[dtype], dtype=np.uint8 if BITS[dtype] == 8 else np.uint16)
    data = np.tile(codes, repeats if BITS[dtype] == 8 else min(repeats, 4)).tobytes()
    count = len(data) * 8 // BITS[dtype]
    with np.errstate(over="ignore"):
        check(raw("w", data, (count // 64, 64), dtype))
        check(raw("w", data, (count,), dtype))


@pytest.mark.parametrize("dtype", ["F32", "F64", "F16", "BF16"])
@pytest.mark.parametrize("shape", [(40, 30), (1000,), (100,), (2000, 600), ()])
def test_values_that_are_no_numbers_count_as_zero(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.array(2.0 + normal(shape, 1) ** 2)
    spoilt = values.copy()
    flat = spoilt.reshape(-1)
    flat[:: 1 + flat.size // 4] = [np.nan, np.inf, -np.inf, np.nan, np.nan][: len(flat[:: 1 + flat.size // 4])]
    tensor = named("w", spoilt, dtype)
    check(tensor)
    zeroed = fingerprint(named("w", np.where(np.isfinite(spoilt), values, 0.0), dtype))
    found = fingerprint(tensor)
    np.testing.assert_array_equal(found.sketch, zeroed.sketch)
    np.testing.assert_array_equal(found.sample, zeroed.sample)
    assert found.digests != zeroed.digests


def test_nothing_but_nan_leaves_zeros() -> None:
    found = fingerprint(named("w", np.full((10, 10), np.nan)))
    assert found.stats["nonfinite"][0] == 100
    assert not any(found.stats[name][0] for name in ("sum", "sumsq", "min", "max", "zeros", "mantissa"))
    assert not found.sketch.any()


def test_float64_values_beyond_float32_count_as_infinite() -> None:
    check(named("w", np.array([[1e300, 1.0], [-1e39, 3.4028234e38]]), "F64"))


def test_tiny_float64_values_are_not_zeros() -> None:
    check(named("w", np.array([1e-300, 0.0, -0.0, 1.0]), "F64"))


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (2, 0, 3)])
def test_tensors_without_elements(shape: tuple[int, ...]) -> None:
    found = fingerprint(named("w", np.zeros(shape, np.float32)))
    assert found.stats["count"][0] == 0
    assert not found.stats["min"][0]
    assert not found.sketch.any()
    assert found.sample.size == 0


def test_energies_of_nearly_equal_tensors_differ_by_the_exact_amount() -> None:
    a = normal((2000, 900), 0, 0.02)
    b = (a + normal(a.shape, 1, 2e-8)).astype(np.float32)
    energy = [float(fingerprint(named("w", v)).stats["sumsq"][0]) for v in (a, b)]
    exact = power_sum(b.astype(np.float64).ravel(), 2) - power_sum(a.astype(np.float64).ravel(), 2)
    assert energy[1] - energy[0] == pytest.approx(exact, abs=2e-15 * energy[0])


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=8, max_size=4000), st.sampled_from(DTYPES))
def test_any_bytes_of_any_type(data: bytes, dtype: str) -> None:
    if dtype == "BOOL":
        data = bytes(byte & 1 for byte in data)
    size = BITS[dtype] // 8
    count = len(data) // size
    with np.errstate(over="ignore", invalid="ignore"):
        check(raw("w", data[: count * size], (count,), dtype), rel=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_portable_operations_equal_those_of_the_host(dtype: str) -> None:
    tensor = named("w", np.abs(np.round(normal((300, 1100), 5) * 9)), dtype)
    device = torch.device("cpu")
    values = elements(np.frombuffer(tensor.tobytes(), np.uint8).copy(), dtype, device)
    portable, host = (cls(device) for cls in (kernels.Workspace, kernels.HostWorkspace))
    for run in (lambda w: w.matrix(values, dtype, 0, 1100), lambda w: w.vector(values, dtype, 0)):
        one, other = run(portable), run(host)
        assert one.moments == other.moments
        np.testing.assert_allclose(one.sketch, other.sketch, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("count", [1, 5, 255, 256, 257, 4096, 4097, 1_000_000])
def test_sampled_values_sit_at_the_positions_of_the_spec(count: int) -> None:
    values = normal((count,), 2)
    positions = seeds.sample_positions(count)
    assert len(set(positions.tolist())) == len(positions) == min(count, 256)
    np.testing.assert_array_equal(fingerprint(named("w", values)).sample, values[positions])


def test_an_unknown_element_type_is_refused() -> None:
    with pytest.raises(FingerprintError, match="'w' has the unknown element type 'F4'"):
        fingerprint(raw("w", b"", (0,), "F4"))
