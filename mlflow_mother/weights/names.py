"""Normal names: what wrappers add to a tensor's name is removed, so that the same weights carry the same names.

Training wrappers (``DataParallel``, ``torch.compile``, FSDP, Lightning, PEFT) put words into names that say nothing of
the network. They are removed wherever they stand; then the words with which *all* names begin are removed too. A name
that would collide with another keeps its stored form.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

ANYWHERE = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "base_layer"})
"""Words of wrappers around single layers, removed wherever they stand."""

LEADING = frozenset({"module", "model", "_forward_module", "base_model"})
"""Words of wrappers around whole networks, removed from the front."""

LORA = ("lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector")
"""PEFT's parameters, which are followed by the adapter's name in a live model and not in a saved adapter."""


def normalise(names: Iterable[str]) -> dict[str, str]:
    """Maps each stored name to its normal name.

    The result depends on the set of names only, not on their order; it is unique: distinct stored names get distinct
    normal names.

    Args:
        names: Stored tensor names of one model, dotted.

    Returns:
        Normal name by stored name, in the order given.
    """
    stored = list(dict.fromkeys(names))
    words = [_without_adapter_names(_without_wrappers(name.split("."))) for name in stored]
    while True:  # an unknown wrapper may hide known words, and the other way round
        stripped = [_without_leading(split) for split in words]
        shared = _shared(stripped)
        if stripped == words and not shared:
            break
        words = [split[shared:] for split in stripped]
    return _unique({name: ".".join(split) for name, split in zip(stored, words, strict=True)})


def _without_wrappers(words: list[str]) -> list[str]:
    return [word for word in words[:-1] if word not in ANYWHERE] + words[-1:]


def _without_leading(words: list[str]) -> list[str]:
    start = 0
    while start < len(words) - 1 and words[start] in LEADING:
        start += 1
    return words[start:]


def _without_adapter_names(words: list[str]) -> list[str]:
    kept: list[str] = []
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        if before in LORA and not (position == len(words) - 1 and word in {"weight", "bias"}):
            continue
        if before == "modules_to_save" and position < len(words) - 1 and kept[-1] == before:
            kept.pop()
            continue
        kept.append(word)
    return kept


def _shared(lists: Sequence[list[str]]) -> int:
    """How many leading words all names share; a name always keeps its last word."""
    if not lists or any(word in LORA for words in lists for word in words):
        return 0  # an adapter touches few layers: what its names share is the network's own naming
    first, last = min(lists), max(lists)
    limit = min(len(words) for words in lists) - 1
    shared = 0
    while shared < limit and first[shared] == last[shared]:
        shared += 1
    return shared


def _unique(wanted: Mapping[str, str]) -> dict[str, str]:
    names = dict(wanted)
    while True:
        holders: defaultdict[str, list[str]] = defaultdict(list)
        for stored, normal in names.items():
            holders[normal].append(stored)
        clashing = [stored for group in holders.values() if len(group) > 1 for stored in group]
        if not clashing:
            return names
        names.update((stored, stored) for stored in clashing)
