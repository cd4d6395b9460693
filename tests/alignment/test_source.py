"""Tensors by name: any order, every type, a bounded memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from alignment_samples import source

from mlflow_mother.alignment import source as module
from mlflow_mother.alignment.source import encoded
from mlflow_mother.errors import WeightsError


def test_tensors_come_in_any_order_and_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY_BYTES", 200)
    state = {f"t{i}": torch.full((10, 2), float(i)) for i in range(6)}
    model = source(state, tmp_path / "m.safetensors")
    for name in ("t3", "t1", "t5", "t1", "t0", "t5"):
        np.testing.assert_array_equal(model.array(name), state[name].numpy())
    assert len(model._known) == 2
    with pytest.raises(WeightsError, match="holds no tensor 'x'"):
        model.array("x")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_floating_type_is_read_and_written_exactly(dtype: torch.dtype, tmp_path: Path) -> None:
    values = torch.randn(7, 5, dtype=torch.float64).to(dtype)
    model = source({"a": values}, tmp_path / "m.safetensors")
    read = model.array("a")
    np.testing.assert_array_equal(read, values.double().numpy())
    assert encoded(read, model.specs["a"].dtype) == bytes(model.tensor("a").tobytes())


def test_integers_are_refused_and_what_is_not_finite_is_zero(tmp_path: Path) -> None:
    state = {"n": torch.arange(4), "x": torch.tensor([1.0, float("nan"), float("inf")])}
    model = source(state, tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match="no floating point"):
        model.array("n")
    assert model.array("x").tolist() == [1.0, 0.0, 0.0]
