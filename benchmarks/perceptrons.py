"""Where direction is known to be hard: ``python -m benchmarks.perceptrons [--seeds 100-105]``.

Three-layer ReLU perceptrons learn scikit-learn's digits until they are over-confident; children are fine-tuned on the
inverted and on the transposed digits, at two learning rates. In such networks the update first shrinks the root's
logits: it runs against the weights instead of across them, and the plain projection statistic points the wrong way.
With weight decay their dead units tell the direction all the same; without, nothing does. The same networks with
LayerNorm stand beside them. What is wanted is a link whose direction is right or left open. Seeds 0 to 3 were looked at
while the engine was made.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks.demo.family import Images, train, upright
from mlflow_mother.fingerprint.compute import fingerprint_model
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import compare, recover
from mlflow_mother.weights.model import LocalFiles

OUTCOMES = ("right", "undecided", "wrong", "siblings", "unlinked")
RATES = (2e-4, 5e-4)


def perceptron(norm: bool) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (64, 128, 128):
        layers += [nn.Linear(inputs, 128), *([nn.LayerNorm(128)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 10))


def inverted(images: Images, rng: np.random.Generator) -> Images:
    return 1 - upright(images, rng)


def transposed(images: Images, rng: np.random.Generator) -> Images:
    return np.ascontiguousarray(upright(images, rng).transpose(0, 2, 1))


def families(norm: bool, seeds: Iterable[int], weight_decay: float) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Pairs of a root and a child fine-tuned from it."""
    for seed in seeds:
        torch.manual_seed(seed)
        root = perceptron(norm)
        train(root, upright, seed=seed, epochs=25, lr=2e-3, weight_decay=weight_decay, smoothing=0)
        for view in (inverted, transposed):
            for lr in RATES:
                child = copy.deepcopy(root)
                train(child, view, seed=seed + 100, epochs=10, lr=lr, weight_decay=weight_decay, smoothing=0)
                yield root, child


def fingerprint(model: nn.Module) -> Fingerprint:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_file({name: value.clone() for name, value in model.state_dict().items()}, path)
        return fingerprint_model(LocalFiles(path), threads=1)


def outcome(root: Fingerprint, child: Fingerprint) -> tuple[str, float]:
    """What the engine says of the pair, and the probability of its edge."""
    edges = recover({"b": root, "a": child}).edges
    if not edges:
        return "unlinked", 0.0
    edge = edges[0]
    if edge.parent not in ("a", "b"):
        return "siblings", edge.probability
    if edge.direction == "undecided":
        return "undecided", edge.probability
    return ("right" if edge.parent == "b" else "wrong"), edge.probability


def plain_median_is_right(root: Fingerprint, child: Fingerprint) -> bool:
    """Whether the median projection alone, without anything the engine adds, points from the root to the child."""
    groups = compare(root, child).projections
    tensors = sum(group.tensors for group in groups)
    return sum(group.tensors * group.median for group in groups) / tensors < 0.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.perceptrons", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seeds", default="100-105", help="first-last: a root each, four children (default: %(default)s)"
    )
    first, _, last = parser.parse_args().seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    torch.set_num_threads(1)
    print(f"{'networks':22} {'edges':>5} {'plain t':>8} " + " ".join(f"{name:>9}" for name in OUTCOMES) + "  wrong at")
    for name, norm, weight_decay in (
        ("plain", False, 0.01),
        ("plain, no decay", False, 0.0),
        ("LayerNorm", True, 0.01),
        ("LayerNorm, no decay", True, 0.0),
    ):
        counts: Counter[str] = Counter()
        plain, surest = 0, 0.0
        for root, child in families(norm, seeds, weight_decay):
            pair = fingerprint(root), fingerprint(child)
            said, probability = outcome(*pair)
            counts[said] += 1
            plain += plain_median_is_right(*pair)
            surest = max(surest, probability if said == "wrong" else 0.0)
        row = " ".join(f"{counts[kind]:>9}" for kind in OUTCOMES)
        print(
            f"{name:22} {sum(counts.values()):>5} {plain:>8} {row}  {f'p <= {surest:.2f}' if surest else '-'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
