"""Tasks without end, from data that ships with packages.

A *domain* is what networks of one kind learn from: digit images (scikit-learn), or text (Python's own documentation,
``pydoc_data.topics``), letter by letter or in pairs of neighbouring sentences. A *task* is a number: 0 is what roots
are trained on, every other one turns, blurs, stretches or stains the images in a way of its own, or takes a part of
the text. The text differs a little between Python's releases.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pydoc_data.topics import topics
from typing import Literal

import numpy as np
import torch
from scipy import ndimage
from sklearn.datasets import load_digits

from benchmarks.zoo import pretrained

Domain = Literal["digits", "causal", "masked", "pairs"]
"""Images to classify; text to continue; text with gaps; sentences to pair with what follows them."""

Batch = tuple[torch.Tensor, torch.Tensor]
"""Inputs and targets: images ``(n, 1, 8, 8)`` and classes, letters ``(n, LENGTH)`` twice (-100 is no target), or
tokens of both halves ``(2, n, TOKENS)`` and each pair's place."""

LETTERS = "\n" + "".join(map(chr, range(32, 127)))
GAP = len(LETTERS)
"""The mark of a gap; the last of :data:`VOCABULARY` letters."""

VOCABULARY = GAP + 1
LENGTH = 48
PARTS = 12
"""Parts of the text; a task reads one of them."""

TOKENS = 16
"""Of a sentence."""

_GAPS = 0.15
_DIGITS_AT_ONCE = 64
_TEXTS_AT_ONCE = 24
_PAIRS_AT_ONCE = 8
_FEWEST_WORDS = 5
"""Of what counts as a sentence."""


def batches(domain: Domain, task: int, steps: int, seed: int) -> Iterator[Batch]:
    """What a network is shown.

    Args:
        domain: Kind of data.
        task: Number of the task; 0 for a root's.
        steps: How many batches.
        seed: Decides their order and noise.
    """
    rng = np.random.default_rng([seed, task])
    for _ in range(steps):
        if domain == "digits":
            yield _images(task, rng)
        elif domain == "pairs":
            yield _neighbours(task, rng)
        else:
            yield _texts(domain, task, rng)


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    digits = load_digits()
    return (digits.images / 16).astype(np.float32), digits.target


def _images(task: int, rng: np.random.Generator) -> Batch:
    images, labels = _digits()
    chosen = rng.integers(len(images), size=_DIGITS_AT_ONCE)
    rows, columns = rng.integers(-1, 2, (2, len(chosen)))
    shown = np.stack([np.roll(images[i], (r, c), (0, 1)) for i, r, c in zip(chosen, rows, columns, strict=True)])
    if task:
        shown = _altered(shown, np.random.default_rng(task), rng)
    return torch.from_numpy(shown.astype(np.float32)[:, None]), torch.from_numpy(labels[chosen])


def _altered(images: np.ndarray, task: np.random.Generator, rng: np.random.Generator) -> np.ndarray:
    angle, blur, noise = task.uniform(-45, 45), task.uniform(0, 0.8), task.uniform(0, 0.2)
    contrast, mirrored = task.uniform(0.6, 1.4), task.random() < 0.3
    turned = ndimage.rotate(images, angle, axes=(1, 2), reshape=False, order=1)
    blurred = ndimage.gaussian_filter(turned, (0, blur, blur))
    stained = np.clip(contrast * blurred + rng.normal(0, noise, images.shape), 0, 1)
    return np.ascontiguousarray(stained[:, :, ::-1] if mirrored else stained)


def _topics(task: int) -> tuple[str, ...]:
    """Names of the topics that a task reads."""
    names = tuple(sorted(topics))
    return names[task % PARTS :: PARTS] if task else names


@cache
def _text(names: tuple[str, ...]) -> torch.Tensor:
    number = {letter: i for i, letter in enumerate(LETTERS)}
    return torch.tensor([number[letter] for name in names for letter in topics[name] if letter in number])


def _texts(domain: Domain, task: int, rng: np.random.Generator) -> Batch:
    text = _text(_topics(task))
    begins = rng.integers(len(text) - LENGTH, size=_TEXTS_AT_ONCE)
    shown = torch.stack([text[i : i + LENGTH] for i in begins])
    if domain == "causal":
        return shown, shown
    gaps = torch.from_numpy(rng.random(shown.shape) < _GAPS)
    return shown.masked_fill(gaps, GAP), shown.masked_fill(~gaps, -100)


@cache
def _pairs(names: tuple[str, ...]) -> torch.Tensor:
    """Tokens of sentences and of those that follow them in a paragraph, ``(2, pairs, TOKENS)``."""
    found: list[tuple[str, str]] = []
    for paragraph in (paragraph for name in names for paragraph in re.split(r"\n\s*\n", topics[name])):
        sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z])", " ".join(paragraph.split()))
        found += itertools.pairwise(said for said in sentences if len(said.split()) >= _FEWEST_WORDS)
    return torch.stack([pretrained.tokens(half, TOKENS) for half in zip(*found, strict=True)])


def _neighbours(task: int, rng: np.random.Generator) -> Batch:
    pairs = _pairs(_topics(task))
    chosen = rng.choice(pairs.shape[1], _PAIRS_AT_ONCE, replace=False)
    return pairs[:, chosen], torch.arange(_PAIRS_AT_ONCE)
