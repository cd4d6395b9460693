"""Small tensors are done in batches, and no batch shows: each has the fingerprint that it would have alone."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fingerprint_samples import DTYPES, fingerprint, named, normal, raw

from mlflow_mother.fingerprint import compute, small
from mlflow_mother.fingerprint.format import to_bytes
from mlflow_mother.weights import BITS, NamedTensor

VECTORS = [(), (1,), (7,), (8,), (64,), (65,), (512,)]
MATRICES = [(1, 1), (3, 5), (64, 64), (100, 3), (2, 1024), (4, 4, 3, 3), (0, 3)]
KINDS = {"matrix": (3, 4), "vector": (5,), "scalar": ()}


def patterns(dtype: str, seed: int) -> list[NamedTensor]:
    """Tensors of all bit patterns, NaN and infinities among them, and tensors of values that round."""
    rng = np.random.default_rng(seed)
    found = []
    for index, shape in enumerate(VECTORS + MATRICES):
        count = math.prod(shape)
        found.append(raw(f"{dtype}.{seed}.{index}.any", rng.bytes(count * BITS[dtype] // 8), shape, dtype))
        if dtype in {"F64", "F32", "F16", "BF16"}:
            values = rng.standard_normal(shape) * 10.0 ** rng.integers(-4, 4)
            found.append(named(f"{dtype}.{seed}.{index}.some", values, dtype))
            found.append(named(f"{dtype}.{seed}.{index}.zeros", np.where(values > 0, 0.0, -0.0), dtype))
    return found


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_change_no_byte(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = patterns(dtype, 3) + patterns("F32", 4)
    batched = to_bytes(fingerprint(*tensors))
    assert to_bytes(fingerprint(*reversed(tensors))) == batched
    monkeypatch.setattr(small, "MAX_TENSORS", 3)
    assert to_bytes(fingerprint(*tensors)) == batched
    monkeypatch.setattr(compute, "is_small", lambda _: False)
    assert to_bytes(fingerprint(*tensors)) == batched


def test_a_batch_never_outgrows_its_buffer() -> None:
    tensors = [named(f"w{index}", normal((63, 65), index)) for index in range(150)]
    assert fingerprint(*tensors).parameters == 150 * 63 * 65


def test_many_tiny_tensors_cost_few_turns_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []
    submit = ThreadPoolExecutor.submit

    def counted(self: ThreadPoolExecutor, *arguments: object, **named: object) -> object:
        turns.append(arguments)
        return submit(self, *arguments, **named)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", counted)
    found = fingerprint(*[named(f"{i}.{kind}", normal(shape, i)) for i in range(600) for kind, shape in KINDS.items()])
    assert found.parameters == 600 * (12 + 5 + 1)
    assert len(turns) < 20
