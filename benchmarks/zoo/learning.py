"""Training: roots, fine-tunes of all kinds, LoRA, distillation. Everything follows from a seed, on one thread."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize
from transformers.pytorch_utils import Conv1D

from benchmarks.zoo.data import Batch, batches
from benchmarks.zoo.networks import Architecture

SGD_FACTOR = 30.0
"""SGD's learning rate relative to AdamW's for updates of about the same size."""

ADAPTED = (nn.Linear, nn.Conv2d, Conv1D)


@dataclass(frozen=True)
class Recipe:
    """How a child is trained.

    Attributes:
        optimizer: Which one.
        weight_decay: Decoupled, for AdamW.
        decayed: Whether ``all`` tensors decay or only ``matrices``: no biases, no norm gains.
        rate: Learning rate relative to the usual one of a child.
        trained: ``all`` of it, the ``second-half`` of its tensors, its repeated ``layers``, or its ``head`` alone.
    """

    optimizer: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.01
    decayed: Literal["all", "matrices"] = "all"
    rate: float = 1.0
    trained: Literal["all", "second-half", "layers", "head"] = "all"


def pretrain(
    architecture: Architecture, seed: int, *, init: int | None = None, network: nn.Module | None = None
) -> nn.Module:
    """A root.

    Args:
        architecture: Its kind.
        seed: Decides what it is shown.
        init: Seed of its initialisation, when that is not ``seed``.
        network: An initialised network, to be changed, when it is not to be made.
    """
    torch.manual_seed(seed if init is None else init)
    network = architecture.make() if network is None else network
    shown = batches(architecture.domain, 0, architecture.steps, seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=architecture.lr, weight_decay=0.01)
    _run(architecture, network, optimizer, shown, architecture.steps)
    return network


def finetune(architecture: Architecture, parent: nn.Module, recipe: Recipe, task: int, seed: int) -> nn.Module:
    """A child that is trained further."""
    torch.manual_seed(seed)
    child = copy.deepcopy(parent)
    named = [(name, p) for name, p in child.named_parameters()]
    half = len(named) // 2
    chosen = {
        "all": [p for _, p in named],
        "second-half": [p for _, p in named[half:]],
        "layers": [p for name, p in named if name.startswith(architecture.layers)],
        "head": [p for name, p in named if name.startswith(architecture.head)],
    }[recipe.trained]
    lr = architecture.child_lr * recipe.rate
    least = 2 if recipe.decayed == "matrices" else 0
    decayed, exempt = ([p for p in chosen if (p.ndim >= least) == wanted] for wanted in (True, False))
    optimizer: torch.optim.Optimizer = (
        torch.optim.AdamW(
            [{"params": decayed}, {"params": exempt, "weight_decay": 0.0}], lr=lr, weight_decay=recipe.weight_decay
        )
        if recipe.optimizer == "adamw"
        else torch.optim.SGD(chosen, lr=SGD_FACTOR * lr, momentum=0.9)
    )
    frozen = {id(p) for _, p in named} - {id(p) for p in chosen}
    for _, parameter in named:
        parameter.requires_grad_(id(parameter) not in frozen)
    steps = architecture.child_steps
    _run(architecture, child, optimizer, batches(architecture.domain, task, steps, seed), steps, still=bool(frozen))
    return child.requires_grad_(True)


class LowRank(nn.Module):
    """Adds ``scale * B A`` to a layer's weight (Hu et al., arXiv 2106.09685, equation 3)."""

    def __init__(self, layer: nn.Module, rank: int) -> None:
        super().__init__()
        self.turned = isinstance(layer, Conv1D)
        outputs, inputs = _flat(layer.weight.T if self.turned else layer.weight).shape
        self.scale = 2.0
        self.a = nn.Parameter(torch.randn(rank, inputs) / math.sqrt(inputs))
        self.b = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        update = self.scale * self.b @ self.a
        return weight + (update.T if self.turned else update).reshape(weight.shape)


def _flat(weight: torch.Tensor) -> torch.Tensor:
    """A convolution as the matrix that it is."""
    return weight.flatten(1)


def adapt(
    architecture: Architecture, parent: nn.Module, rank: int, task: int, seed: int
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """A LoRA of all repeated layers' matrices: the merged child, and the adapter's tensors as PEFT names them."""
    child = copy.deepcopy(parent).requires_grad_(False)
    torch.manual_seed(seed)
    layers = [
        (name, module)
        for name, module in child.named_modules()
        if isinstance(module, ADAPTED)
        and not name.startswith(architecture.head)
        and min(_flat(module.weight).shape) > rank
        and name.startswith(architecture.layers)
    ]
    for _, layer in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer, rank))
    own = [p for _, layer in layers for p in layer.parametrizations["weight"][0].parameters()]
    steps = architecture.child_steps
    optimizer = torch.optim.AdamW([p.requires_grad_(True) for p in own], lr=architecture.lr, weight_decay=0.0)
    _run(architecture, child, optimizer, batches(architecture.domain, task, steps, seed), steps, still=True)
    adapter = {}
    for name, layer in layers:
        low = layer.parametrizations["weight"][0]
        adapter[f"base_model.model.{name}.lora_A.weight"] = low.a.detach().clone()
        adapter[f"base_model.model.{name}.lora_B.weight"] = low.b.detach().clone()
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return child.requires_grad_(True), adapter


def distil(architecture: Architecture, teacher: nn.Module, seed: int) -> nn.Module:
    """A student of the same shape with an initialisation of its own: it learns the teacher's answers alone."""
    torch.manual_seed(seed)
    student = architecture.make()
    optimizer = torch.optim.AdamW(student.parameters(), lr=architecture.lr, weight_decay=0.01)
    shown = batches(architecture.domain, 0, architecture.steps, seed)
    _run(architecture, student, optimizer, shown, architecture.steps, teacher=teacher)
    return student


def _run(
    architecture: Architecture,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    shown: Iterator[Batch],
    steps: int,
    *,
    teacher: nn.Module | None = None,
    still: bool = False,
) -> None:
    """Trains with 10 % warm-up, then a cosine to zero; ``still`` leaves running statistics alone."""
    warm = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
        ),
    )
    network.train(not still)
    for inputs, targets in shown:
        logits, wanted = _aligned(architecture, _logits(network, inputs), targets)
        if teacher is None:
            loss = functional.cross_entropy(logits.flatten(0, -2), wanted.flatten())
        else:
            with torch.no_grad():
                told, _ = _aligned(architecture, _logits(teacher, inputs), targets)
            loss = functional.kl_div(logits.log_softmax(-1), told.softmax(-1), reduction="batchmean") / math.prod(
                logits.shape[1:-1]
            )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    network.eval()


def _logits(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    answer: Any = network(inputs)
    return answer if isinstance(answer, torch.Tensor) else answer.logits


def _aligned(
    architecture: Architecture, logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Answers beside what they should have been; text is continued by one letter."""
    return (logits[:, :-1], targets[:, 1:]) if architecture.domain == "causal" else (logits, targets)
