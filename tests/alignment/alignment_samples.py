"""Models as :class:`Source`, and small trained networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.zoo import learning
from benchmarks.zoo.edits import State
from benchmarks.zoo.networks import ARCHITECTURES
from mlflow_mother.alignment import Alignment, Source
from mlflow_mother.weights import LocalFiles, open_weights

STEPS = {"mlp": (300, 200), "vit": (30, 100)}
"""Of a root and of a child: enough for networks that know something, in a few seconds."""


@dataclass(frozen=True)
class Family:
    """Trained networks of one architecture; tensors by name.

    Attributes:
        name: Architecture.
        root: Trained from nothing.
        child: Fine-tuned from it.
        stranger: Trained like the root, from another seed.
    """

    name: str
    root: State
    child: State
    stranger: State


def family(name: str) -> Family:
    steps, child_steps = STEPS[name]
    architecture = replace(ARCHITECTURES[name], steps=steps, child_steps=child_steps)
    root, stranger = learning.pretrain(architecture, 1), learning.pretrain(architecture, 2)
    child = learning.finetune(architecture, root, learning.Recipe(), 5, 3)
    return Family(name, *({k: v.clone() for k, v in net.state_dict().items()} for net in (root, child, stranger)))


def source(state: Mapping[str, torch.Tensor | np.ndarray], path: Path) -> Source:
    tensors = {name: torch.as_tensor(value).contiguous() for name, value in state.items()}
    save_file(tensors, path)
    return Source(open_weights(LocalFiles(path)))


def aligned(first: State, second: State, folder: Path) -> Alignment:
    return Alignment(source(first, folder / "first.safetensors"), source(second, folder / "second.safetensors"))
