"""The demo's family: ten small vision transformers trained on scikit-learn's digit images.

The recipe was fixed before the engine was tuned on anything. It resembles real fine-tuning: the root is trained to
convergence; children start from its weights, with warm-up, a cosine schedule and a tenth of its learning rate.
Everything follows from one seed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import nn

Images = np.ndarray
"""Digit images, float32, shape ``(n, 8, 8)``, values 0 to 1."""

SMOOTHING = 0.1


class Attention(nn.Module):
    """Multi-head self-attention with one fused projection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class SmallViT(nn.Module):
    """A vision transformer for 8 x 8 images: nine overlapping 4 x 4 patches, 87 thousand parameters."""

    def __init__(self, width: int = 48, depth: int = 3, heads: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.patch = nn.Linear(16, width)
        self.position = nn.Parameter(0.02 * torch.randn(1, 9, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = images.to(self.head.weight.dtype)
        patches = images.unfold(1, 4, 2).unfold(2, 4, 2).reshape(len(images), 9, 16)
        return self.head(self.norm(self.blocks(self.patch(patches) + self.position)).mean(1)).float()


def upright(images: Images, rng: np.random.Generator) -> Images:
    """Shifts each image by up to one pixel."""
    rows, columns = rng.integers(-1, 2, (2, len(images)))
    return np.stack([np.roll(image, (r, c), (0, 1)) for image, r, c in zip(images, rows, columns, strict=True)])


def rotated(images: Images, rng: np.random.Generator) -> Images:
    """Turns each image by 10 to 40 degrees."""
    angles = rng.uniform(10, 40, len(images))
    turned = [ndimage.rotate(i, a, reshape=False, order=1) for i, a in zip(images, angles, strict=True)]
    return np.stack(turned).astype(np.float32)


def noisy(images: Images, rng: np.random.Generator) -> Images:
    """Adds noise of a seventh of the range."""
    return np.clip(images + rng.normal(0, 0.15, images.shape), 0, 1).astype(np.float32)


def blurred(images: Images, rng: np.random.Generator) -> Images:
    """Smooths each image, shifted as the root's were."""
    return ndimage.gaussian_filter(upright(images, rng), (0, 0.8, 0.8)).astype(np.float32)


def mirrored(images: Images, rng: np.random.Generator) -> Images:
    """Mirrors each image."""
    return np.ascontiguousarray(upright(images, rng)[:, :, ::-1])


def rotated_noisy(images: Images, rng: np.random.Generator) -> Images:
    """Both."""
    return noisy(rotated(images, rng), rng)


View = Callable[[Images, np.random.Generator], Images]


def train(
    model: nn.Module,
    view: View,
    *,
    seed: int,
    epochs: int,
    lr: float,
    weight_decay: float,
    batch: int = 64,
    smoothing: float = SMOOTHING,
) -> float:
    """Trains in place with AdamW, 10 % warm-up, then cosine decay to zero.

    Returns:
        Accuracy on the last epoch's images.
    """
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32), torch.from_numpy(digits.target)
    rng = np.random.default_rng(seed)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    steps = epochs * math.ceil(len(images) / batch)
    warm = max(1, steps // 10)

    def rate(step: int) -> float:
        return (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    right = 0
    for _ in range(epochs):
        seen = torch.from_numpy(view(images, rng))
        right = 0
        for index in torch.from_numpy(rng.permutation(len(images))).split(batch):
            logits = model(seen[index])
            loss = nn.functional.cross_entropy(logits, labels[index], label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            right += int((logits.argmax(1) == labels[index]).sum())
    return right / len(images)


class LoRALinear(nn.Module):
    """A frozen linear layer plus ``scale * B A`` (Hu et al., arXiv 2106.09685, equation 3)."""

    def __init__(self, base: nn.Linear, rank: int, scale: float = 2.0) -> None:
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), scale
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + self.scale * (x @ self.down.T @ self.up.T)

    def merged(self) -> nn.Linear:
        """The base with the update added to its weights."""
        with torch.no_grad():
            self.base.weight += self.scale * self.up @ self.down
        return self.base


def lora_merged(parent: nn.Module, view: View, *, rank: int, seed: int, epochs: int, lr: float) -> nn.Module:
    """Trains low-rank updates of every block's linear layers and merges them."""
    child = copy.deepcopy(parent).requires_grad_(False)
    torch.manual_seed(seed)
    sites = [
        (module, name)
        for module in child.modules()
        if isinstance(module, (Attention, Block))
        for name, layer in list(module.named_children())
        if isinstance(layer, nn.Linear)
    ]
    for module, name in sites:
        setattr(module, name, LoRALinear(getattr(module, name), rank))
    train(child, view, seed=seed, epochs=epochs, lr=lr, weight_decay=0.0)
    for module, name in sites:
        setattr(module, name, getattr(module, name).merged())
    return child


def pruned(parent: nn.Module, share: float = 0.5) -> nn.Module:
    """Sets the smallest weights of each block's matrices to zero."""
    child = copy.deepcopy(parent)
    with torch.no_grad():
        for name, weight in child.named_parameters():
            if name.startswith("blocks") and weight.ndim == 2:
                weight[weight.abs() < weight.abs().flatten().quantile(share)] = 0
    return child


def merged(first: nn.Module, second: nn.Module, weight: float) -> nn.Module:
    """``weight`` of the first and the rest of the second."""
    child = copy.deepcopy(first)
    other = second.state_dict()
    child.load_state_dict({n: weight * w + (1 - weight) * other[n] for n, w in first.state_dict().items()})
    return child


@dataclass(frozen=True)
class Member:
    """One network of the family and the truth about it.

    Attributes:
        name: What it is registered as.
        model: The network.
        parents: True parents and their shares; empty for roots and for the orphan.
        relation: True relation to them; empty without parents.
        accuracy: Training accuracy, None where nothing was trained.
    """

    name: str
    model: nn.Module
    parents: dict[str, float]
    relation: str = ""
    accuracy: float | None = None


PRETRAIN = {"epochs": 40, "lr": 2e-3, "weight_decay": 0.05}
FINETUNE = {"epochs": 20, "lr": 2e-4, "weight_decay": 0.01}
LORA = {"epochs": 20, "lr": 2e-3, "rank": 4}
SIZE = 10


PARTS = ("kin", "strangers")
"""The two halves of the family that can be trained at the same time: eight related networks, and two that are not
(the orphan's parent, which is never registered, is trained with the second)."""


def build_family(seed: int, parts: Sequence[str] = PARTS) -> Iterator[Member]:
    """Trains the family, one member after the other.

    Args:
        seed: Decides initialisations, views of the images and batch order.
        parts: Which of :data:`PARTS` to train; a member does not depend on what else is trained.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if "kin" in parts:
            yield from _kin(1000 * seed)
        if "strangers" in parts:
            yield from _strangers(1000 * seed)
    finally:
        torch.set_num_threads(threads)


def _pretrained(seed: int) -> tuple[nn.Module, float]:
    torch.manual_seed(seed)
    model = SmallViT()
    return model, train(model, upright, seed=seed, **PRETRAIN)


def _finetuned(parent: nn.Module, view: View, seed: int) -> tuple[nn.Module, float]:
    child = copy.deepcopy(parent)
    return child, train(child, view, seed=seed, **FINETUNE)


def _kin(seed: int) -> Iterator[Member]:
    root, accuracy = _pretrained(seed + 1)
    yield Member("digits-base", root, {}, "", accuracy)
    turned, accuracy = _finetuned(root, rotated, seed + 2)
    yield Member("digits-rotated", turned, {"digits-base": 1.0}, "finetune", accuracy)
    grainy, accuracy = _finetuned(root, noisy, seed + 3)
    yield Member("digits-noisy", grainy, {"digits-base": 1.0}, "finetune", accuracy)
    both, accuracy = _finetuned(turned, rotated_noisy, seed + 4)
    yield Member("digits-rotated-noisy", both, {"digits-rotated": 1.0}, "finetune", accuracy)
    mirror = lora_merged(root, mirrored, seed=seed + 5, **LORA)
    yield Member("digits-mirrored-lora", mirror, {"digits-base": 1.0}, "lora-merged")
    yield Member("digits-noisy-bf16", copy.deepcopy(grainy).bfloat16(), {"digits-noisy": 1.0}, "cast")
    yield Member("digits-rotated-pruned", pruned(turned), {"digits-rotated": 1.0}, "pruned")
    soup = merged(turned, grainy, 0.6)
    yield Member("digits-soup", soup, {"digits-rotated": 0.6, "digits-noisy": 0.4}, "merge")


def _strangers(seed: int) -> Iterator[Member]:
    stranger, accuracy = _pretrained(seed + 6)
    yield Member("digits-stranger", stranger, {}, "", accuracy)
    hidden, _ = _pretrained(seed + 7)
    orphan, accuracy = _finetuned(hidden, blurred, seed + 8)
    yield Member("digits-orphan", orphan, {}, "", accuracy)
