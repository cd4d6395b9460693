"""Rearranged copies against strangers: ``python -m benchmarks.obfuscation [--cache .cache/zoo]``.

Networks of the zoo are rearranged without changing what they compute, and compared in depth with the network that they
were, and with its parent and siblings. The zoo's strangers are compared as they are and with hidden units permuted.
Prints what was found beside what the ordinary comparison of fingerprints finds, and false alarms with the rule of
three's upper bound. Strangers of the same start do share an ancestor, the initialisation; they are counted apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import ortho_group

from benchmarks.zoo import edits
from benchmarks.zoo.edits import State
from benchmarks.zoo.growing import TRUTH
from benchmarks.zoo.networks import ARCHITECTURES, HEADS, WIDTH
from mlflow_mother.alignment import Alignment, DeepComparison, Source
from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.heritage import compare
from mlflow_mother.weights import LocalFiles, open_weights

Change = Callable[[State, str, np.random.Generator], State]
_ATTENTION = {
    "vit": [f"attention.{x}_proj" for x in "qkvo"],
    "bert": ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"],
    "gpt": ["attn.c_attn", "attn.c_proj"],
}


def permuted(state: State, name: str, rng: np.random.Generator) -> State:
    """Hidden units in another order."""
    return edits.permuted(state, edits.hidden_pairs(state, ARCHITECTURES[name]), int(rng.integers(1 << 30)))


def rescaled(state: State, name: str, rng: np.random.Generator) -> State:
    """Units of ReLU layers, or of attention heads, times factors that spread by e, undone behind."""
    if name in _ATTENTION:
        return _in_heads(state, name, lambda: np.diag(np.exp(rng.normal(size=WIDTH))))
    child = dict(state)
    layers = [f"features.{i}" for i in ((0, 1, 2) if name == "cnn" else (1, 3, 5))]
    for before, after in itertools.pairwise([*layers, "classifier"]):
        gain = f"{before}.1.weight" if name == "cnn" else f"{before}.weight"
        bias = gain.replace("weight", "bias")
        follower = f"{after}.0.weight" if f"{after}.0.weight" in child else f"{after}.weight"
        factors = torch.from_numpy(np.exp(rng.normal(size=len(child[bias])))).float()
        for one in (gain, bias):
            child[one] = child[one] * factors.reshape(-1, *[1] * (child[one].ndim - 1))
        child[follower] = child[follower] / factors.reshape(1, -1, *[1] * (child[follower].ndim - 2))
    return child


def flipped(state: State, name: str, rng: np.random.Generator) -> State:
    """Signs changed inside of attention heads."""
    return _in_heads(state, name, lambda: np.diag(rng.choice([-1.0, 1.0], WIDTH)))


def rotated(state: State, name: str, rng: np.random.Generator) -> State:
    """Each attention head's spaces turned."""
    return _in_heads(state, name, lambda: _per_head(lambda n: ortho_group.rvs(n, random_state=rng)))


def transformed(state: State, name: str, rng: np.random.Generator) -> State:
    """Each attention head's spaces under an invertible map of condition 10 or so."""

    def one(n: int) -> np.ndarray:
        left, right = ortho_group.rvs(n, size=2, random_state=rng)
        return left @ np.diag(np.exp(rng.uniform(-1.2, 1.2, n))) @ right

    return _in_heads(state, name, lambda: _per_head(one))


def _per_head(make: Callable[[int], np.ndarray]) -> np.ndarray:
    size = WIDTH // HEADS
    whole = np.zeros((WIDTH, WIDTH))
    for head in range(HEADS):
        inside = slice(head * size, (head + 1) * size)
        whole[inside, inside] = make(size)
    return whole


def _in_heads(state: State, name: str, make: Callable[[], np.ndarray]) -> State:
    """Queries times a matrix and keys times its inverse transpose; values and outputs likewise."""
    child = {key: value.double() if value.is_floating_point() else value for key, value in state.items()}
    layers = sorted({key.rpartition(_ATTENTION[name][0])[0] for key in state if f".{_ATTENTION[name][0]}." in key})
    for layer in layers:
        inner, outer = (torch.from_numpy(make()) for _ in range(2))
        maps = [inner, torch.linalg.inv(inner).T, outer]
        last = f"{layer}{_ATTENTION[name][-1]}.weight"
        back = torch.linalg.inv(outer)
        if name == "gpt":
            fused, whole = f"{layer}attn.c_attn", torch.block_diag(*maps)
            child[f"{fused}.weight"] = child[f"{fused}.weight"] @ whole.T
            child[f"{fused}.bias"] = whole @ child[f"{fused}.bias"]
            child[last] = back.T @ child[last]
            continue
        for part, one in zip(_ATTENTION[name][:3], maps, strict=True):
            for kind in ("weight", "bias"):
                child[f"{layer}{part}.{kind}"] = one @ child[f"{layer}{part}.{kind}"]
        child[last] = child[last] @ back
    return {key: value.to(state[key].dtype) for key, value in child.items()}


def both(change: Change) -> Change:
    """Hidden units permuted as well."""
    return lambda state, name, rng: change(permuted(state, name, rng), name, rng)


NAMES = ("vit", "cnn", "gpt", "bert", "mlp")

CHANGES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "permuted": (permuted, NAMES),
    "rescaled": (rescaled, NAMES),
    "permuted, rescaled": (both(rescaled), NAMES),
    "permuted, signs flipped": (both(flipped), tuple(_ATTENTION)),
    "permuted, rotated": (both(rotated), tuple(_ATTENTION)),
    "permuted, linear": (both(transformed), tuple(_ATTENTION)),
}
"""What is done, and which architectures compute the same afterwards."""


@dataclass(frozen=True)
class Outcome:
    """What two comparisons say of a pair.

    Attributes:
        deep: The deep one.
        ordinary: Probability of being related from the fingerprints.
    """

    deep: DeepComparison
    ordinary: float


def judge(first: Path, state: State) -> Outcome:
    """Compares a file with a rearranged network."""
    with tempfile.TemporaryDirectory() as folder:
        second = Path(folder, "rearranged.safetensors")
        save_file({name: value.contiguous() for name, value in state.items()}, second)
        files = LocalFiles(first), LocalFiles(second)
        deep = Alignment(*(Source(open_weights(one)) for one in files)).result
        one, other = (fingerprint_model(one, threads=1) for one in files)
    return Outcome(deep, compare(one, other).related)


def pairs(cache: Path) -> Iterator[tuple[str, str, Path, Path, str, Change | None]]:
    """Group, architecture, file, file to change, its kind in the zoo, and the change; None to leave it as it is."""
    for name in NAMES:
        tree = cache / f"{name}-edits"
        if (tree / TRUTH).exists():
            yield "the zoo's permuted copies", name, *_files(tree, "other", "permuted"), "copy", None
            for what, (change, fitting) in CHANGES.items():
                if name in fitting:
                    yield f"copies {what}", name, *_files(tree, "other", "other"), "copy", change
                    for kin in ("root", "tuned"):
                        yield f"kin {what}", name, *_files(tree, kin, "other"), "kin", change
        tree = cache / f"{name}-balanced"
        if (tree / TRUTH).exists():
            for child, fact in json.loads((tree / TRUTH).read_text())["networks"].items():
                for parent in fact["parents"]:
                    yield "children permuted (all rates)", name, *_files(tree, parent, child), fact["change"], permuted
        tree = cache / f"{name}-strangers"
        if (tree / TRUTH).exists():
            facts = json.loads((tree / TRUTH).read_text())["networks"]
            for stranger in (n for n, fact in facts.items() if fact["resembles"]):
                kind = facts[stranger]["kind"]
                for one in ("root", "tuned-1", "tuned-2"):
                    yield f"stranger: {kind}", name, *_files(tree, one, stranger), kind, None
                    yield f"stranger: {kind}, permuted", name, *_files(tree, one, stranger), kind, permuted


def _files(tree: Path, one: str, other: str) -> tuple[Path, Path]:
    return tree / f"{one}.safetensors", tree / f"{other}.safetensors"


def main() -> None:
    """Judges all pairs and prints a line a group."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where the zoo is kept")
    parser.add_argument("--only", default="", help="only groups whose names contain this")
    options = parser.parse_args()
    groups: defaultdict[str, list[tuple[str, Outcome]]] = defaultdict(list)
    rng = np.random.default_rng(0)
    for group, name, first, second, kind, change in pairs(options.cache):
        if options.only in group:
            state = load_file(second)
            outcome = judge(first, change(state, name, rng) if change else state)
            groups[group].append((f"{name} {first.stem} {second.stem}: {kind}", outcome))
    print(f"  {'':34}{'pairs':>6}{'found':>7}{'copies':>8}{'ordinary':>10}   median spectral distance (least, largest)")
    for group, judged in sorted(groups.items()):
        results = [outcome.deep for _, outcome in judged]
        found = [result.verdict != "nothing-hidden" for result in results]
        distances = [result.spectral_distance for result in results if result.spectral_distance is not None]
        print(
            f"  {group:34}{len(judged):6}{sum(found):7}{sum(r.verdict == 'copy' for r in results):8}"
            f"{sum(outcome.ordinary >= 0.5 for _, outcome in judged):10}   "
            f"{np.median(distances):.2g} ({min(distances):.2g}, {max(distances):.2g})"
        )
        related = not group.startswith("stranger")
        for (what, outcome), said in zip(judged, found, strict=True):
            deep = outcome.deep
            if said != related or (group.startswith("copies") and deep.verdict != "copy"):
                print(
                    f"      {what}: {deep.verdict}; {deep.transformation}; relative distance left {deep.residual:.2g}"
                )
        if group.startswith("stranger") and not any(found):
            print(f"      no false alarm: below {3 / len(judged):.3f} with 95 % confidence")


if __name__ == "__main__":
    main()
