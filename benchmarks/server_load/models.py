"""The models that are registered: families whose trees are known, each model made from its number alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

SHAPES = ((64, 4), (64, 4), (96, 3), (48, 8))
"""Width and number of layers, a family each; two are of one shape."""

CHILDREN = 4
"""Fine-tunes of a model, and of each of them, and so on."""

UPDATE = 0.3
"""Size of a fine-tune's update relative to the weights."""

MLMODEL = "flavors:\n  python_function:\n    loader_module: nobody.loads.this\n"


def family(number: int) -> int:
    """A model's family."""
    return number % len(SHAPES)


def parent(number: int) -> int | None:
    """The model that this one is a fine-tune of; None for a family's root."""
    place = number // len(SHAPES)
    return None if place == 0 else (place - 1) // CHILDREN * len(SHAPES) + family(number)


def weights(number: int) -> dict[str, npt.NDArray[np.float32]]:
    """A model's tensors."""
    above, random = parent(number), np.random.default_rng(number)
    if above is None:
        width, layers = SHAPES[family(number)]
        shape = (width, width)
        made = {f"layers.{i}.weight": random.standard_normal(shape) / np.sqrt(width) for i in range(layers)}
    else:
        made = {k: w + UPDATE * np.std(w) * random.standard_normal(w.shape) for k, w in weights(above).items()}
    return {name: tensor.astype(np.float32) for name, tensor in made.items()}


def write(number: int, folder: Path) -> Path:
    """Writes a model as MLflow does, into a new folder."""
    (folder / "model").mkdir(parents=True)
    (folder / "MLmodel").write_text(MLMODEL)
    save_file(weights(number), folder / "model" / "model.safetensors")
    return folder
