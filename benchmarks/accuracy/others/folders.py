"""A network of the zoo as people publish theirs: a folder with ``config.json``, weights and, for text, a tokenizer."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from safetensors import safe_open
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from benchmarks.zoo.data import LENGTH, LETTERS
from benchmarks.zoo.networks import Architecture

MASK = "[MASK]"


def publish(file: Path, architecture: Architecture, folder: Path) -> Path:
    """Writes a network's folder, and says of it only what is true.

    A network that is none of transformers' gets its weights alone, one that reads no text has no tokenizer, and
    depth and vocabulary are those of the file.

    Args:
        file: Its weights.
        architecture: What they are of.
        folder: Where to; one that is there already is left as it is.
    """
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    shutil.copy(file, folder / "model.safetensors")
    network = architecture.make()
    if isinstance(network, PreTrainedModel):
        config = network.config
        config.architectures = [type(network).__name__]
        with safe_open(file, "np") as tensors:
            layers = re.compile(rf"{re.escape(architecture.layers)}\.(\d+)\.")
            found = [int(match[1]) for match in map(layers.match, tensors.keys()) if match]
            config.num_hidden_layers = max(found) + 1
            if architecture.embedding:
                config.vocab_size = tensors.get_slice(architecture.embedding).get_shape()[0]
        config.save_pretrained(folder)
    if architecture.domain in ("causal", "masked"):
        _tokenizer().save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """Letter by letter, as the zoo's texts are read."""
    numbers = {letter: number for number, letter in enumerate((*LETTERS, MASK))}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=MASK))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token=MASK, model_max_length=LENGTH)
