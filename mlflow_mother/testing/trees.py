"""Synthetic networks whose heritage is known: what to test evidence, vetoes, exporters and engines with.

Weights are ``dict[str, torch.Tensor]`` like a ``state_dict``. Each function derives a child from its parent as practice
does, from a seed alone, so that a test states the truth in one line::

    base = root(1)
    child = lora_merged(finetuned(base, 2), 3, rank=4)
    tree = recover({"base": fingerprint(base), "child": fingerprint(child)})

:func:`tree` makes a whole family with its truth. The weights are noise of the right sizes: no statistic that depends on
what training learns can be tested with them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mlflow_mother.fingerprint.compute import fingerprint_tensors
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.types import Relation
from mlflow_mother.weights.dtypes import TORCH
from mlflow_mother.weights.model import NamedTensor

Weights = dict[str, torch.Tensor]
"""Tensors by name."""

_UPDATE_SPREAD = 0.5


def root(seed: int, *, width: int = 48, depth: int = 4, classes: int = 10) -> Weights:
    """A freshly initialised network of ``depth`` blocks with norm gains, biases, and an embedding and a head.

    Args:
        seed: Decides all values.
        width: Width of the blocks.
        depth: Number of blocks.
        classes: Rows of the head.
    """
    random = np.random.default_rng(seed)
    weights = {"embedding.weight": _normal(random, (96, width), 1.0)}
    for block in range(depth):
        for name, rows, columns in (("mix", width, width), ("up", 2 * width, width), ("down", width, 2 * width)):
            weights[f"blocks.{block}.{name}.weight"] = _normal(random, (rows, columns), 1 / math.sqrt(columns))
            weights[f"blocks.{block}.{name}.bias"] = _normal(random, (rows,), 0.02)
        weights[f"blocks.{block}.norm.weight"] = 1 + _normal(random, (width,), 0.1)
    weights["head.weight"] = _normal(random, (classes, width), 1 / math.sqrt(width))
    weights["head.bias"] = _normal(random, (classes,), 0.02)
    return weights


def finetuned(
    parent: Weights, seed: int, *, size: float = 0.2, shrink: float = 0.0, frozen: Callable[[str], bool] | None = None
) -> Weights:
    """Adds an update orthogonal to each tensor, whose relative size differs from tensor to tensor.

    Args:
        parent: The parent.
        seed: Decides the update.
        size: Median of the updates' norms relative to the tensors'.
        shrink: Share by which weight decay shrinks matrices before the update is added.
        frozen: Tells by name which tensors stay untouched.
    """
    random = np.random.default_rng(seed)
    child = {}
    for name, value in parent.items():
        relative = size * math.exp(_UPDATE_SPREAD * random.standard_normal())
        noise = _normal(random, tuple(value.shape), 1.0)
        if not value.is_floating_point() or (frozen and frozen(name)):
            child[name] = value.clone()
            continue
        start = value.double() - _start(name)
        update = _orthogonal(noise.double(), start)
        decayed = start * (1.0 - shrink if value.ndim >= 2 else 1.0)
        moved = _start(name) + decayed + relative * start.norm() / update.norm().clamp_min(1e-300) * update
        child[name] = moved.to(value.dtype)
    return child


def lora_merged(
    parent: Weights, seed: int, *, rank: int, size: float = 0.2, targets: Sequence[str] = ("mix", "up", "down")
) -> Weights:
    """Adds an update of exactly this rank and a relative size of about ``size`` to the matrices of ``targets``."""
    random = np.random.default_rng(seed)
    child = dict(parent)
    for name, value in parent.items():
        if value.ndim == 2 and name.split(".")[-2] in targets:
            up = _normal(random, (value.shape[0], rank), 1.0).double()
            update = up @ _normal(random, (rank, value.shape[1]), 1.0).double()
            relative = size * math.exp(_UPDATE_SPREAD * random.standard_normal())
            child[name] = (value + relative * value.norm() / update.norm() * update).to(value.dtype)
    return child


def adapter(parent: Weights, seed: int, *, rank: int = 4, targets: Sequence[str] = ("mix",)) -> Weights:
    """An unmerged LoRA adapter of a network, with PEFT's names."""
    random = np.random.default_rng(seed)
    found = {}
    for name, value in parent.items():
        if value.ndim == 2 and name.split(".")[-2] in targets:
            layer = f"base_model.model.{name.removesuffix('.weight')}"
            found[f"{layer}.lora_A.weight"] = _normal(random, (rank, value.shape[1]), 0.1)
            found[f"{layer}.lora_B.weight"] = _normal(random, (value.shape[0], rank), 0.1)
    return found


def cast(parent: Weights, dtype: torch.dtype) -> Weights:
    """Rounds all floating-point tensors to an element type."""
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in parent.items()}


def quantised(parent: Weights, *, levels: int = 255, least: int = 4096) -> Weights:
    """Rounds matrices of at least ``least`` elements to a symmetric grid of ``levels`` values and widens them again."""
    child = dict(parent)
    for name, value in parent.items():
        if value.ndim >= 2 and value.numel() >= least:
            step = value.abs().max() / (levels // 2)
            child[name] = torch.round(value / step) * step
    return child


def pruned(parent: Weights, *, share: float = 0.5) -> Weights:
    """Sets the smallest weights of every matrix to zero."""
    child = dict(parent)
    for name, value in parent.items():
        if value.ndim >= 2:
            child[name] = torch.where(value.abs() < torch.quantile(value.abs().flatten(), share), 0.0, value)
    return child


def retrained(parent: Weights, seed: int, *, size: float = 0.1) -> Weights:
    """Fine-tunes a pruned network without reviving its zeros."""
    child = finetuned(parent, seed, size=size)
    return {name: torch.where(parent[name] == 0, 0.0, value) for name, value in child.items()}


def merged(parents: Sequence[tuple[Weights, float]]) -> Weights:
    """The weighted sum of several networks."""
    return {
        name: sum((share * weights[name].double() for weights, share in parents), torch.zeros(())).to(value.dtype)
        for name, value in parents[0][0].items()
    }


def extended(parent: Weights, seed: int, *, rows: int = 16, tensor: str = "embedding.weight") -> Weights:
    """Appends freshly initialised rows to one tensor."""
    value = parent[tensor]
    fresh = _normal(np.random.default_rng(seed), (rows, *value.shape[1:]), float(value.std()))
    return {**parent, tensor: torch.cat([value, fresh.to(value.dtype)])}


def renamed(weights: Weights, rename: Callable[[str], str]) -> Weights:
    """The same tensors under other names."""
    return {rename(name): value for name, value in weights.items()}


def wrapped(weights: Weights, prefix: str = "module.") -> Weights:
    """The same tensors as a training wrapper names them."""
    return renamed(weights, lambda name: prefix + name)


def shuffled(weights: Weights, seed: int) -> Weights:
    """The same tensors in another order."""
    names = sorted(weights)
    return {names[i]: weights[names[i]] for i in np.random.default_rng(seed).permutation(len(names))}


@dataclass(frozen=True)
class Member:
    """One network of a family and the truth about it.

    Attributes:
        weights: The network.
        parents: True parents and their shares; empty for a root.
        relation: True relation to them.
    """

    weights: Weights
    parents: Mapping[str, float]
    relation: Relation | None = None


def tree(seed: int, parents: Mapping[str, str | None], *, size: float = 0.2) -> dict[str, Member]:
    """A family of full fine-tunes.

    Args:
        seed: Decides all values.
        parents: Each member's parent or None for a root, parents before their children.
        size: Median relative size of the updates.
    """
    found: dict[str, Member] = {}
    for place, (name, parent) in enumerate(parents.items()):
        if parent is None:
            found[name] = Member(root(1000 * seed + place), {})
        else:
            weights = finetuned(found[parent].weights, 1000 * seed + place, size=size)
            found[name] = Member(weights, {parent: 1.0}, Relation.FINETUNE)
    return found


def fingerprint(weights: Weights, *, base: str = "", rank: int | None = None) -> Fingerprint:
    """The fingerprint of weights in memory.

    Args:
        weights: Tensors by name.
        base: Name of the base, if the weights are those of an unmerged adapter.
        rank: The adapter's rank.
    """
    made = fingerprint_tensors([_named(name, value) for name, value in weights.items()], threads=1)
    return replace(made, adapter={"kind": "LORA", "base": base, "rank": rank, "alpha": None}) if base else made


@dataclass(frozen=True)
class _Memory:
    data: memoryview

    def readinto(self, offset: int, buffer: memoryview, /) -> None:
        """Fills ``buffer`` with the bytes from ``offset`` on."""
        buffer[:] = self.data[offset : offset + buffer.nbytes]


def _named(name: str, value: torch.Tensor) -> NamedTensor:
    data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
    dtype = TORCH[str(value.dtype).removeprefix("torch.")]
    return NamedTensor(name, dtype, tuple(value.shape), _Memory(memoryview(data)))


def _start(name: str) -> float:
    """Where a tensor's initialisation is centred."""
    return 1.0 if name.endswith("norm.weight") else 0.0


def _normal(random: np.random.Generator, shape: tuple[int, ...], scale: float) -> torch.Tensor:
    return torch.from_numpy((scale * random.standard_normal(shape)).astype(np.float32))


def _orthogonal(noise: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
    energy = float((to * to).sum())
    return noise - (float((noise * to).sum()) / energy if energy else 0.0) * to
