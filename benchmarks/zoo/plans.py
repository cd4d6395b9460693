"""Which trees there are: five architectures, eight shapes, a spread of changes over them, and a pretrained family.

Not every combination exists. The trained changes are a list of cells (:data:`CELLS`), dealt out like cards: every
tree gets a shuffled deck, so that over the zoo all cells occur about equally often. ``python -m benchmarks.zoo
--counts`` prints how often.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from benchmarks.zoo.networks import ARCHITECTURES

RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Learning rates of children relative to the usual one: two decades."""

RANKS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Change:
    """What makes a network of its parents.

    Attributes:
        kind: What :mod:`~benchmarks.zoo.growing` does.
        how: Its parameters.
    """

    kind: str
    how: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"{name}={value}" for name, value in self.how.items() if name != "task")])


@dataclass(frozen=True)
class Node:
    """A network to be.

    Attributes:
        name: Within its tree.
        change: What makes it.
        parents: Names of its true parents; empty for roots and negatives.
        of: The network that a negative resembles without descending from it.
    """

    name: str
    change: Change
    parents: tuple[str, ...] = ()
    of: str = ""


@dataclass(frozen=True)
class Plan:
    """A tree to be.

    Attributes:
        name: Unique in the zoo.
        architecture: Of all its networks.
        shape: For people.
        seed: Everything follows from it.
        nodes: Parents before children.
        dtype: What all its networks are stored in.
        late_root: Whether the root is registered last.
    """

    name: str
    architecture: str
    shape: str
    seed: int
    nodes: tuple[Node, ...]
    dtype: str = "float32"
    late_root: bool = False


def full(**how: Any) -> Change:
    """A fine-tune of everything, unless told otherwise."""
    return Change("finetune", how)


CELLS: tuple[Change, ...] = (
    *(full(optimizer="adamw", weight_decay=decay, rate=rate) for decay in (0.0, 0.01, 0.1) for rate in RATES),
    *(full(optimizer="sgd", weight_decay=0.0, rate=rate) for rate in RATES),
    *(full(optimizer="adamw", weight_decay=0.01, rate=rate, task=0) for rate in (0.3, 1.0, 3.0)),
    *(full(trained="second-half", rate=rate) for rate in (0.3, 1.0, 3.0)),
    full(trained="head"),
    *(Change("lora", {"rank": rank}) for rank in RANKS),
)
"""The trained changes; task 0 continues the root's own training."""


def zoo(*, small: bool = False) -> tuple[Plan, ...]:
    """All plans; with ``small`` a handful of small trees that show each kind of thing."""
    if small:
        return tuple(_small())
    trained_here = [name for name, architecture in ARCHITECTURES.items() if architecture.steps]
    plans = [plan for number, name in enumerate(trained_here) for plan in _of_one(name, 1000 * (number + 1))]
    halves = [
        _half(name, dtype, 9000 + 10 * i + j)
        for i, name in enumerate(("vit", "gpt"))
        for j, dtype in enumerate(("bfloat16", "float16"))
    ]
    return (*plans, *halves, _pretrained("minilm", 10000))


def _of_one(architecture: str, seed: int) -> Iterator[Plan]:
    yield Plan(f"{architecture}-balanced", architecture, "balanced 1-4-16", seed, _balanced(seed))
    yield Plan(f"{architecture}-chain", architecture, "chain", seed + 1, _grown(seed + 1, [*range(8)]))
    yield Plan(f"{architecture}-star", architecture, "star on one task", seed + 2, _star(10, seed + 2))
    yield Plan(f"{architecture}-uneven", architecture, "uneven", seed + 3, _grown(seed + 3, _uneven(13, seed + 3)))
    late = _grown(seed + 4, [0, 0, 1, 1, 1, 2, 2, 2])
    yield Plan(f"{architecture}-late-root", architecture, "root registered last", seed + 4, late, late_root=True)
    yield Plan(f"{architecture}-forest", architecture, "three roots", seed + 5, _forest(seed + 5))
    yield Plan(f"{architecture}-edits", architecture, "edits", seed + 6, _edits(architecture))
    yield Plan(f"{architecture}-strangers", architecture, "strangers", seed + 7, _strangers(architecture))


def _small() -> Iterator[Plan]:
    yield Plan("vit-small", "vit", "uneven", 1, _grown(1, [0, 0, 1]))
    yield Plan("gpt-small", "gpt", "chain", 2, _grown(2, [0, 1]))
    edits = ("root", "tuned", "other", "bfloat16", "int8", "pruned", "soup", "permuted")
    yield Plan("cnn-edits-small", "cnn", "edits", 3, tuple(node for node in _edits("cnn") if node.name in edits))
    chosen = ("root", "other-seed", "same-start")
    yield Plan("mlp-strangers-small", "mlp", "strangers", 4, tuple(n for n in _strangers("mlp") if n.name in chosen))


def _deck(seed: int) -> Iterator[Change]:
    """Cells without end, each once before any comes again; each on a task of its own, unless it says otherwise."""
    rng = np.random.default_rng(seed)
    while True:
        for place in rng.permutation(len(CELLS)):
            cell = CELLS[place]
            yield replace(cell, how={"task": int(rng.integers(1, 1000)), **cell.how})


def _grown(seed: int, parents: Sequence[int], prefix: str = "") -> tuple[Node, ...]:
    """A root, and node ``i + 1`` as the child of node ``parents[i]``."""
    deck = _deck(seed)
    nodes = [Node(f"{prefix}0", Change("root"))]
    nodes += [Node(f"{prefix}{i}", next(deck), (f"{prefix}{parent}",)) for i, parent in enumerate(parents, 1)]
    return tuple(nodes)


def _balanced(seed: int) -> tuple[Node, ...]:
    return _grown(seed, [0] * 4 + [1 + i // 4 for i in range(16)])


def _uneven(children: int, seed: int) -> list[int]:
    """Parents that have children get more of them."""
    rng = np.random.default_rng(seed)
    parents: list[int] = []
    for count in range(1, children + 1):
        weights = np.array([1.0 + 2 * parents.count(node) for node in range(count)])
        parents.append(int(rng.choice(count, p=weights / weights.sum())))
    return parents


def _star(children: int, seed: int) -> tuple[Node, ...]:
    task = int(np.random.default_rng(seed).integers(1, 1000))
    same = full(task=task, optimizer="adamw", weight_decay=0.01, rate=1.0)
    return (Node("0", Change("root")), *(Node(f"child-{i}", same, ("0",)) for i in range(1, children + 1)))


def _forest(seed: int) -> tuple[Node, ...]:
    return tuple(node for tree in range(3) for node in _grown(seed + 100 * tree, [0, 0, 1], f"{'abc'[tree]}"))


def _edits(architecture: str) -> tuple[Node, ...]:
    usual = {"optimizer": "adamw", "weight_decay": 0.01, "rate": 1.0}
    nodes = [
        Node("root", Change("root")),
        *(
            Node(name, full(task=task, **usual), ("root",))
            for task, name in enumerate(("tuned", "other", "third", "fourth"), 5)
        ),
        Node("bfloat16", Change("cast", {"dtype": "bfloat16"}), ("tuned",)),
        Node("float16", Change("cast", {"dtype": "float16"}), ("root",)),
        *(Node(f"int{bits}", Change("quantised", {"bits": bits}), ("tuned",)) for bits in (8, 4)),
        *(Node(f"packed{bits}", Change("packed", {"bits": bits}), ("root",)) for bits in (8, 4)),
        Node("pruned", Change("pruned", {"share": 0.5}), ("tuned",)),
        Node("pruned-lightly", Change("pruned", {"share": 0.2}), ("other",)),
        Node("soup", Change("soup", {"shares": (0.6, 0.4)}), ("tuned", "other")),
        Node("soup-of-4", Change("soup", {"shares": (0.4, 0.3, 0.2, 0.1)}), ("tuned", "other", "third", "fourth")),
        Node("soup-of-3", Change("soup", {"shares": (1 / 3, 1 / 3, 1 / 3)}), ("tuned", "third", "fourth")),
        Node("slerp", Change("slerp", {"share": 0.3}), ("other", "third")),
        Node("arithmetic", Change("task-arithmetic", {"factor": 0.4}), ("root", "tuned", "other")),
        Node("ties", Change("ties", {"kept": 0.3, "factor": 1.0}), ("root", "third", "fourth")),
        Node("franken", Change("frankenmerge"), ("tuned", "fourth")),
        Node("permuted", Change("permuted"), ("other",)),
        Node("adapter", Change("adapter", {"rank": 8, "task": 11}), ("root",)),
    ]
    if ARCHITECTURES[architecture].layers:
        nodes.append(Node("shallower", Change("shallower", {"layer": 1}), ("third",)))
    else:
        nodes = [node for node in nodes if node.name != "adapter"]
    if ARCHITECTURES[architecture].embedding:
        nodes.append(Node("extended", Change("extended", {"rows": 8}), ("tuned",)))
        nodes.append(Node("trimmed", Change("trimmed", {"rows": 5}), ("other",)))
    return tuple(nodes)


def _strangers(architecture: str) -> tuple[Node, ...]:
    usual = {"optimizer": "adamw", "weight_decay": 0.01, "rate": 1.0}
    nodes = [
        Node("root", Change("root")),
        *(Node(f"tuned-{task}", full(task=task, **usual), ("root",)) for task in (1, 2)),
        *(Node(f"other-seed{more}", Change("other-seed"), of="root") for more in ("", "-too")),
        *(Node(f"same-start{more}", Change("same-start"), of="root") for more in ("", "-too")),
        *(Node(f"student{more}", Change("student"), of="root") for more in ("", "-too")),
    ]
    if ARCHITECTURES[architecture].embedding:
        nodes += [Node(f"same-table{more}", Change("same-table"), of="root") for more in ("", "-too")]
    return tuple(nodes)


def _half(architecture: str, dtype: str, seed: int) -> Plan:
    """A family that is stored in half precision: merged LoRAs of all ranks beside fine-tunes."""
    deck = (cell for cell in _deck(seed) if cell.kind == "finetune")
    nodes = [Node("0", Change("root"))]
    nodes += [Node(f"lora-{r}", Change("lora", {"rank": r, "task": 20 + r}), ("0",)) for r in RANKS]
    nodes += [Node(str(i), next(deck), ("0",)) for i in range(1, 4)]
    return Plan(f"{architecture}-{dtype}", architecture, f"stored in {dtype}", seed, tuple(nodes), dtype)


def _pretrained(architecture: str, seed: int) -> Plan:
    """A family that starts from others' network, with the recipe that most people use."""

    def usual(task: int, **how: Any) -> Change:
        recipe = {"optimizer": "adamw", "weight_decay": 0.01, "decayed": "matrices", "rate": 1.0}
        return full(**{"task": task, **recipe, **how})

    nodes = (
        Node("root", Change("root")),
        *(Node(name, usual(task), ("root",)) for task, name in enumerate(("tuned", "other"), 1)),
        Node("no-decay", usual(3, weight_decay=0.0), ("root",)),
        Node("faster", usual(4, rate=2.5), ("tuned",)),
        Node("slower", usual(5, rate=0.5), ("tuned",)),
        Node("further", usual(6), ("faster",)),
        Node("furthest", usual(7), ("further",)),
        Node("again", usual(2), ("other",)),
        Node("frozen-embeddings", usual(8, trained="layers"), ("other",)),
        Node("lora", Change("lora", {"rank": 8, "task": 9}), ("no-decay",)),
        Node("bfloat16", Change("cast", {"dtype": "bfloat16"}), ("other",)),
        Node("soup", Change("soup", {"shares": (0.5, 0.5)}), ("tuned", "other")),
    )
    return Plan(f"{architecture}-pretrained", architecture, "pretrained", seed, nodes)
