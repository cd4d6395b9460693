"""One tree from its plan: a folder of safetensors files, and ``truth.json`` beside them when it is whole.

A network is made from its parents' *files*, so that half precision is what it was in life, and a folder that was
left half full is gone on with.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.zoo import edits, learning
from benchmarks.zoo.edits import State
from benchmarks.zoo.networks import ARCHITECTURES, Architecture
from benchmarks.zoo.plans import Node, Plan

TRUTH = "truth.json"
"""What a whole tree's folder has."""

# What the engine's relations are to be; none where there is no parent.
_RELATIONS = {
    "cast": "cast",
    "quantised": "quantized",
    "packed": "quantized",
    "pruned": "pruned",
    "trimmed": "pruned",  # of rows and of layers: what is called structured pruning
    "shallower": "pruned",
    "extended": "extended",
    "permuted": "copy",  # the same function: nothing was learnt and nothing lost
    "lora": "lora-merged",
    "adapter": "adapter",
    **dict.fromkeys(("soup", "slerp", "task-arithmetic", "ties", "frankenmerge"), "merge"),
}


def grow(plan: Plan, folder: Path) -> None:
    """Makes what is missing of a tree, and says anew what is true of it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for node in plan.nodes:
        if not path_of(node, folder).exists():
            _make(plan, node, folder)
    unfinished = folder / f"{TRUTH}.new"
    unfinished.write_text(json.dumps(truth_of(plan), indent=1))
    unfinished.replace(folder / TRUTH)


def path_of(node: Node, folder: Path) -> Path:
    """A network's file; an adapter's folder."""
    return folder / (node.name if node.change.kind == "adapter" else f"{node.name}.safetensors")


def truth_of(plan: Plan) -> dict[str, Any]:
    """What is true of every network of a tree, by name, and of the tree."""
    order = [node.name for node in plan.nodes]
    if plan.late_root:
        order = [*order[1:], order[0]]
    return {
        "architecture": plan.architecture,
        "shape": plan.shape,
        "registered": order,
        "networks": {node.name: _fact(node) for node in plan.nodes},
    }


def _fact(node: Node) -> dict[str, Any]:
    kind, how = node.change.kind, node.change.how
    relation = _RELATIONS.get(kind)
    if kind == "finetune":
        relation = "finetune" if how.get("trained", "all") == "all" else "partial-finetune"
    return {
        "parents": _shares(node),
        "relation": relation,
        "rank": how.get("rank"),
        "change": str(node.change),
        "kind": kind,
        "resembles": node.of or None,
    }


def _shares(node: Node) -> dict[str, float | None]:
    """The parents' shares where a child is a linear mixture of them, else None.

    Between fine-tunes of one root the arc of SLERP is as good as straight: its shares are off by less than 0.01.
    """
    kind, how = node.change.kind, node.change.how
    if kind == "soup":
        return dict(zip(node.parents, how["shares"], strict=True))
    if kind == "slerp":
        return dict(zip(node.parents, (1 - how["share"], how["share"]), strict=True))
    if kind == "task-arithmetic":
        base, *tuned = node.parents
        return {base: 1 - how["factor"] * len(tuned), **dict.fromkeys(tuned, how["factor"])}
    return dict.fromkeys(node.parents, 1.0 if len(node.parents) == 1 else None)


def seed_of(plan: Plan, node: Node) -> int:
    """What a network's training follows from, besides its parents, its change and its task."""
    return plan.seed * 1009 + zlib.crc32(node.name.encode()) % 1009


def _make(plan: Plan, node: Node, folder: Path) -> None:
    architecture = ARCHITECTURES[plan.architecture]
    seed = seed_of(plan, node)
    parents = [load_file(folder / f"{name}.safetensors") for name in (node.parents or ((node.of,) if node.of else ()))]
    kind, how = node.change.kind, dict(node.change.how)
    if kind == "adapter":
        _, tensors = learning.adapt(architecture, _network(architecture, parents[0]), seed=seed, **how)
        _save_adapter(path_of(node, folder), tensors, how["rank"])
        return
    made = _trained(architecture, kind, how, parents, seed, plan.seed * 1009 + zlib.crc32(b"root") % 1009)
    if made is not None:
        state = _own(made.state_dict())
        state = edits.cast(state, plan.dtype) if plan.dtype != "float32" else state
    else:
        state = _edited(architecture, kind, how, parents, seed)
    _save(state, path_of(node, folder))


def _trained(
    architecture: Architecture, kind: str, how: dict[str, Any], parents: list[State], seed: int, root_seed: int
) -> nn.Module | None:
    """What is made by training; None for what is not."""
    if kind in {"root", "other-seed"}:
        return learning.pretrain(architecture, seed)
    if kind == "same-start":
        return learning.pretrain(architecture, seed, init=root_seed)
    if kind == "student":
        return learning.distil(architecture, _network(architecture, parents[0]), seed)
    if kind == "same-table":
        torch.manual_seed(seed)
        network = architecture.make()
        own = network.state_dict()
        own[architecture.embedding].copy_(parents[0][architecture.embedding])
        return learning.pretrain(architecture, seed, network=network)
    if kind == "finetune":
        task = how.pop("task")
        return learning.finetune(architecture, _network(architecture, parents[0]), learning.Recipe(**how), task, seed)
    if kind == "lora":
        return learning.adapt(architecture, _network(architecture, parents[0]), seed=seed, **how)[0]
    return None


def _edited(architecture: Architecture, kind: str, how: dict[str, Any], parents: list[State], seed: int) -> State:
    first = parents[0]
    makers: Mapping[str, Any] = {
        "cast": lambda: edits.cast(first, **how),
        "quantised": lambda: edits.quantised(first, **how),
        "packed": lambda: edits.packed(first, **how),
        "pruned": lambda: edits.pruned(first, **how),
        "extended": lambda: edits.extended(first, architecture, seed=seed, **how),
        "trimmed": lambda: edits.trimmed(first, architecture, **how),
        "shallower": lambda: edits.shallower(first, architecture, **how),
        "soup": lambda: edits.soup(parents, **how),
        "slerp": lambda: edits.slerp(parents, **how),
        "task-arithmetic": lambda: edits.task_arithmetic(first, parents[1:], **how),
        "ties": lambda: edits.ties(first, parents[1:], **how),
        "frankenmerge": lambda: edits.frankenmerge(parents, architecture),
        "permuted": lambda: edits.permuted(first, edits.hidden_pairs(first, architecture), seed),
    }
    return makers[kind]()


def _network(architecture: Architecture, state: State) -> nn.Module:
    network = architecture.make()
    missing, unknown = network.load_state_dict(
        {n: v.float() if v.is_floating_point() else v for n, v in state.items()}, strict=False
    )
    tied = set(network.state_dict()) - set(_own(network.state_dict()))
    assert not unknown and set(missing) <= tied, (missing, unknown)
    return network


def _own(state: Mapping[str, torch.Tensor]) -> State:
    """Every tensor once: tied ones under their first name."""
    seen: set[int] = set()
    own: State = {}
    for name, value in state.items():
        if value.data_ptr() not in seen:
            own[name] = value.detach().clone()
            seen.add(value.data_ptr())
    return own


def _save(state: State, path: Path) -> None:
    unfinished = path.with_suffix(".new")
    save_file({name: value.contiguous() for name, value in state.items()}, unfinished)
    unfinished.replace(path)


def _save_adapter(folder: Path, tensors: State, rank: int) -> None:
    unfinished = folder.with_suffix(".new")
    unfinished.mkdir(exist_ok=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, unfinished / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": "all-linear"}
    (unfinished / "adapter_config.json").write_text(json.dumps(config))
    unfinished.replace(folder)
