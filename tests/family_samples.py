"""The family of models behind the fixtures ``family``, ``checkpoints`` and ``registered_family``."""

from __future__ import annotations

import numpy as np

Weights = dict[str, np.ndarray]

PARENTS = {"tuned": "base", "further": "tuned", "other": "base"}
"""Child to parent."""

VERSIONS = {
    "other": "models:/family/1",
    "tuned": "models:/family/2",
    "further": "models:/family/3",
    "base": "models:/family/4",
    "stranger": "models:/stranger/1",
}
"""Addresses in the registry; children are registered before the root."""


def root(seed: int) -> Weights:
    random = np.random.default_rng(seed)
    weights = {f"layers.{i}.weight": random.standard_normal((96, 96)) / 10 for i in range(12)}
    biases = {f"layers.{i}.bias": random.standard_normal(96) / 100 for i in range(12)}
    return {name: value.astype(np.float32) for name, value in {**weights, **biases}.items()}


def finetuned(parent: Weights, seed: int, size: float) -> Weights:
    random = np.random.default_rng(seed)
    return {
        name: (value + size * value.std() * random.uniform(0.5, 1.5) * random.standard_normal(value.shape)).astype(
            np.float32
        )
        for name, value in parent.items()
    }
