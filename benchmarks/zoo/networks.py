"""Small networks of five architectures and a pretrained one, with the names and layouts that people's models have."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    ViTConfig,
    ViTForImageClassification,
)

from benchmarks.zoo.data import LENGTH, VOCABULARY, Domain
from benchmarks.zoo.pretrained import sentence_encoder

WIDTH = 96
DEPTH = 3
HEADS = 4
INNER = 192


@dataclass(frozen=True)
class Architecture:
    """A kind of network and how it learns.

    Attributes:
        name: For people.
        domain: What it learns from.
        make: An initialised network, from torch's random state; or one that others have trained.
        head: Beginning of the names of the tensors that only the task needs.
        layers: Beginning of the names of its repeated layers; empty when it has none.
        embedding: The token table; empty when it has none.
        lr: AdamW's learning rate for a root and for LoRA.
        steps: A root's training steps; none where others have trained it.
        child_lr: AdamW's usual learning rate for a child.
        child_steps: A child's training steps.
    """

    name: str
    domain: Domain
    make: Callable[[], nn.Module]
    head: str
    layers: str = ""
    embedding: str = ""
    lr: float = 2e-3
    steps: int = 500
    child_lr: float = 3e-4
    child_steps: int = 200


class ConvNet(nn.Module):
    """Three convolutions with batch normalisation, averaged."""

    def __init__(self) -> None:
        super().__init__()
        widths = (1, 32, 64, 96)
        self.features = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in itertools.pairwise(widths)
            )
        )
        self.classifier = nn.Linear(widths[-1], 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images).mean((2, 3)))


class Perceptron(nn.Module):
    """Three hidden layers without normalisation: the hard case for directions."""

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 256, 192, 128)
        self.features = nn.Sequential(
            nn.Flatten(),
            *(layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())),
        )
        self.classifier = nn.Linear(widths[-1], 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images))


def _vit() -> nn.Module:
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=WIDTH,
            num_hidden_layers=DEPTH,
            num_attention_heads=HEADS,
            intermediate_size=INNER,
            image_size=8,
            patch_size=2,
            num_channels=1,
            num_labels=10,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


def _gpt() -> nn.Module:
    return GPT2LMHeadModel(
        GPT2Config(
            n_embd=WIDTH,
            n_layer=DEPTH,
            n_head=HEADS,
            n_inner=INNER,
            n_positions=LENGTH,
            vocab_size=VOCABULARY,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def _bert() -> nn.Module:
    return BertForMaskedLM(
        BertConfig(
            hidden_size=WIDTH,
            num_hidden_layers=DEPTH,
            num_attention_heads=HEADS,
            intermediate_size=INNER,
            max_position_embeddings=LENGTH,
            vocab_size=VOCABULARY,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )


ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("vit", "digits", _vit, "classifier", "vit.layers"),
        Architecture("cnn", "digits", ConvNet, "classifier"),
        Architecture(
            "gpt",
            "causal",
            _gpt,
            "transformer.ln_f",
            "transformer.h",
            "transformer.wte.weight",
            steps=350,
            child_steps=140,
        ),
        Architecture(
            "bert",
            "masked",
            _bert,
            "cls",
            "bert.encoder.layer",
            "bert.embeddings.word_embeddings.weight",
            steps=350,
            child_steps=140,
        ),
        Architecture("mlp", "digits", Perceptron, "classifier"),
        Architecture(
            "minilm",
            "pairs",
            sentence_encoder,
            "pooler",
            "encoder.layer",
            "embeddings.word_embeddings.weight",
            lr=2e-4,
            steps=0,
            child_lr=2e-5,
            child_steps=20,
        ),
    )
}
