"""What people do to weights without training. Every function takes state dictionaries and makes a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.zoo.networks import Architecture

State = dict[str, torch.Tensor]

GROUP = 32
"""Weights that share a scale in four bits."""


def cast(parent: State, dtype: str) -> State:
    """Rounds to ``bfloat16`` or ``float16``."""
    return {name: value.to(getattr(torch, dtype)) if _floats(value) else value for name, value in parent.items()}


def quantised(parent: State, bits: int) -> State:
    """Rounds every matrix to a symmetric grid and back: a scale a row in 8 bits, a scale a group in 4."""
    child = dict(parent)
    for name, value in parent.items():
        if _is_matrix(value):
            steps, scale = _on_grid(value, bits)
            child[name] = (steps * scale).reshape(value.shape).to(value.dtype)
    return child


def packed(parent: State, bits: int) -> State:
    """The same with integers and scales as they are stored: ``weight`` in int8 (two to a byte in 4 bits), ``scale``."""
    child: State = {}
    for name, value in parent.items():
        if not _is_matrix(value):
            child[name] = value
            continue
        steps, scale = _on_grid(value, bits)
        whole = steps.reshape(value.shape[0], -1).to(torch.int8)
        child[name] = whole if bits == 8 else ((whole[:, ::2] & 15) | (whole[:, 1::2] << 4)).to(torch.uint8)
        child[f"{name}_scale"] = scale.squeeze(-1)
    return child


def pruned(parent: State, share: float) -> State:
    """Sets the smallest weights of each matrix to zero."""
    child = dict(parent)
    for name, value in parent.items():
        if _is_matrix(value):
            least = value.float().abs().flatten().quantile(share)
            child[name] = value.masked_fill(value.abs() < least, 0)
    return child


def extended(parent: State, architecture: Architecture, rows: int, seed: int) -> State:
    """Adds rows to the token table, near its mean as tokenizers' tools do."""
    torch.manual_seed(seed)

    def longer(table: torch.Tensor) -> torch.Tensor:
        new = table.mean(0, keepdim=True) + 0.02 * torch.randn(rows, *table.shape[1:])
        return torch.cat([table, new.to(table.dtype)])

    return _resized(parent, architecture, longer)


def trimmed(parent: State, architecture: Architecture, rows: int) -> State:
    """Takes the last rows of the token table away."""
    return _resized(parent, architecture, lambda table: table[:-rows].clone())


def shallower(parent: State, architecture: Architecture, layer: int) -> State:
    """Takes one repeated layer out; those behind it move up."""
    child: State = {}
    for name, value in parent.items():
        number = _layer_of(name, architecture)
        if number is None:
            child[name] = value
        elif number != layer:
            moved = number - (number > layer)
            prefix = f"{architecture.layers}."
            child[f"{prefix}{moved}{name.removeprefix(f'{prefix}{number}')}"] = value
    return child


def soup(parents: Sequence[State], shares: Sequence[float]) -> State:
    """A weighted mean (Wortsman et al., arXiv 2203.05482)."""
    return _each(parents, lambda values: sum(s * v.double() for s, v in zip(shares, values, strict=True)))


def slerp(parents: Sequence[State], share: float) -> State:
    """Goes along the arc from the first to the second, tensor by tensor (Shoemake 1985)."""

    def between(values: Sequence[torch.Tensor]) -> torch.Tensor:
        a, b = (value.double() for value in values)
        cosine = torch.clamp((a * b).sum() / (a.norm() * b.norm() + 1e-30), -1, 1)
        angle = torch.arccos(cosine)
        if angle < 1e-6:
            return (1 - share) * a + share * b
        return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)

    return _each(parents, between)


def task_arithmetic(base: State, parents: Sequence[State], factor: float) -> State:
    """Adds the scaled changes of several fine-tunes to their base (Ilharco et al., arXiv 2212.04089)."""
    return _each(
        [base, *parents], lambda values: values[0].double() + factor * sum(v.double() - values[0] for v in values[1:])
    )


def ties(base: State, parents: Sequence[State], kept: float, factor: float) -> State:
    """Trims small changes, elects a sign for each weight, and averages what agrees (Yadav et al., arXiv 2306.01708)."""

    def merged(values: Sequence[torch.Tensor]) -> torch.Tensor:
        start = values[0].double()
        changes = torch.stack([value.double() - start for value in values[1:]])
        sizes = changes.abs().flatten(1)
        least = sizes.quantile(1 - kept, dim=1).reshape(-1, *[1] * start.ndim)
        changes = changes.masked_fill(changes.abs() < least, 0)
        sign = changes.sum(0).sign()
        agreeing = changes.masked_fill(changes.sign() != sign, 0)
        return start + factor * agreeing.sum(0) / (agreeing != 0).sum(0).clamp(min=1)

    return _each([base, *parents], merged)


def frankenmerge(parents: Sequence[State], architecture: Architecture) -> State:
    """Takes the first layers of the first and the rest of the second; networks without layers are cut at the middle."""
    names = list(parents[0])
    numbers = {name: _layer_of(name, architecture) for name in names}
    last = max((n for n in numbers.values() if n is not None), default=None)
    if last is None:
        return {name: parents[place >= len(names) // 2][name] for place, name in enumerate(names)}
    cut = (last + 1) / 2
    first_behind = max(place for place, name in enumerate(names) if numbers[name] is not None)
    return {
        name: parents[(numbers[name] or 0) >= cut if numbers[name] is not None else place > first_behind][name]
        for place, name in enumerate(names)
    }


def permuted(parent: State, pairs: Sequence[tuple[str, str]], seed: int) -> State:
    """Puts hidden units into another order: the same function, other numbers at every place.

    Args:
        parent: The weights.
        pairs: For each hidden layer the beginnings of the names of the layer before it and of the one behind it.
        seed: Of the orders.
    """
    generator = torch.Generator().manual_seed(seed)
    child = dict(parent)
    for before, behind in pairs:
        units = _units(child, before)
        order = torch.randperm(units, generator=generator)
        for name in [name for name in child if name.startswith(f"{before}.")]:
            if child[name].ndim:
                child[name] = child[name].index_select(_axis(child[name], units, first=True), order)
        name = f"{behind}.weight"
        child[name] = child[name].index_select(_axis(child[name], units, first=False), order)
    return child


def hidden_pairs(state: Mapping[str, torch.Tensor], architecture: Architecture) -> list[tuple[str, str]]:
    """Which layers share hidden units that may change places."""
    if architecture.name == "mlp":
        return [("features.1", "features.3"), ("features.3", "features.5"), ("features.5", "classifier")]
    if architecture.name == "cnn":
        return [("features.2", "classifier")]
    inner = {
        "vit": ("mlp.fc1", "mlp.fc2"),
        "gpt": ("mlp.c_fc", "mlp.c_proj"),
        "bert": ("intermediate.dense", "output.dense"),
    }[architecture.name]
    layers = sorted({n for name in state if (n := _layer_of(name, architecture)) is not None})
    return [(f"{architecture.layers}.{n}.{inner[0]}", f"{architecture.layers}.{n}.{inner[1]}") for n in layers]


def _units(state: State, layer: str) -> int:
    bias = state.get(f"{layer}.bias")
    return len(bias) if bias is not None else len(state[f"{layer}.1.bias"])


def _axis(value: torch.Tensor, units: int, *, first: bool) -> int:
    """The axis that counts the units: the outputs' of the layer before, the inputs' of the one behind."""
    axes = [axis for axis, length in enumerate(value.shape[:2]) if length == units]
    return axes[0] if first else axes[-1]


def _resized(parent: State, architecture: Architecture, change: Any) -> State:
    rows = len(parent[architecture.embedding])
    tied = [
        name for name, value in parent.items() if value.ndim and len(value) == rows and _by_letter(name, value, parent)
    ]
    return {name: change(value) if name in tied else value for name, value in parent.items()}


def _by_letter(name: str, value: torch.Tensor, parent: State) -> bool:
    return value.ndim == 2 or name.endswith(("predictions.bias", "decoder.bias"))


def _layer_of(name: str, architecture: Architecture) -> int | None:
    if not architecture.layers or not name.startswith(f"{architecture.layers}."):
        return None
    return int(name.removeprefix(f"{architecture.layers}.").partition(".")[0])


def _each(states: Sequence[State], change: Any) -> State:
    """Applies a change to every tensor of floats; others are the first's."""
    first = states[0]
    return {
        name: change([state[name] for state in states]).to(value.dtype) if _floats(value) else value
        for name, value in first.items()
    }


def _on_grid(value: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole steps and their size, ``(rows, groups, weights)`` and ``(rows, groups, 1)``."""
    rows = value.float().reshape(value.shape[0], -1)
    group = GROUP if bits == 4 and rows.shape[1] % GROUP == 0 else rows.shape[1]
    groups = rows.reshape(len(rows), -1, group)
    most = 2 ** (bits - 1) - 1
    scale = groups.abs().amax(-1, keepdim=True).clamp(min=1e-12) / most
    return torch.round(groups / scale).clamp(-most, most), scale


def _floats(value: torch.Tensor) -> bool:
    return value.is_floating_point()


def _is_matrix(value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.ndim >= 2 and value.numel() >= 1024
