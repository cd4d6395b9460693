"""What the inert records of a PyTorch pickle mean: tensors, modules, checkpoints.

Two questions are answered here. Which records are tensors (a storage, seen with a shape, strides and an offset)? And
which of a file's tensors are the model's weights: a checkpoint also holds optimizer moments, moving averages and
schedules, a module also holds buffers that it does not save.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mlflow_mother.errors import CorruptFileError, UnsafeFileError, UnsupportedFormatError
from mlflow_mother.weights import limits
from mlflow_mother.weights.dtypes import STORAGE, TORCH, unsupported
from mlflow_mother.weights.pickles import Inert, PersistentId

MAIN_KEYS = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params")
"""Where checkpoints keep the weights, most telling first; when one of these holds tensors, the others are copies."""

_NOT_WEIGHTS = (
    "optim", "lr", "sched", "scaler", "rng", "random", "callback", "loop", "loss", "hparam", "hyper", "config", "args",
    "metric",
)  # fmt: skip
"""How the words of checkpoint keys begin that never name weights."""

_WRAPPERS = {
    "torch._utils._rebuild_parameter": 0,
    "torch._utils._rebuild_parameter_with_state": 0,
    "torch.nn.parameter.Parameter": 0,
    "torch.nn.parameter.Buffer": 0,
}
"""Calls that wrap the tensor at this position of their arguments."""

_REASONS = {
    "torch._utils._rebuild_qtensor": "is quantised by PyTorch's eager mode (qint)",
    "torch._utils._rebuild_sparse_tensor": "is sparse",
    "torch._utils._rebuild_nested_tensor": "is a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "is on the meta device and has no values",
    "torch._utils._rebuild_wrapper_subclass": "is a tensor subclass without storage of its own",
    "torch._utils._rebuild_device_tensor_from_numpy": "is stored as a NumPy array",
    "torch._utils._rebuild_xla_tensor": "is stored as a NumPy array",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "was saved on an XLA device",
    "torch.storage._load_from_bytes": "was pickled without torch.save",
    "torch.nn.parameter.UninitializedParameter": "was never initialised (a lazy module)",
    "torch.nn.parameter.UninitializedBuffer": "was never initialised (a lazy module)",
}
"""Calls that make tensors which cannot be read, and why."""

Found = Iterator[tuple[tuple[str, ...], Inert]]
"""Tensor records with the words of their names."""


@dataclass(frozen=True)
class StorageRef:
    """A storage that a tensor views.

    Attributes:
        key: Its key in the file.
        dtype: Element type; ``U8`` for untyped storages, which count bytes.
        count: Elements.
        offset: Elements to skip at its start (views of storages in the legacy format).
    """

    key: str
    dtype: str
    count: int
    offset: int = 0


@dataclass(frozen=True)
class TensorRef:
    """A tensor as its pickle describes it.

    Attributes:
        storage: The storage it views.
        dtype: Element type.
        shape: Dimensions.
        strides: Elements to step in each dimension.
        offset: First element.
    """

    storage: StorageRef
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


def find_weights(root: Any, what: str) -> dict[str, TensorRef]:
    """The weights in an unpickled file, by name, tied ones once.

    Args:
        root: What :func:`~mlflow_mother.weights.pickles.load_pickle` returned.
        what: What to call the file in messages.

    Raises:
        UnsupportedFormatError: The file holds no tensors, or one that cannot be read.
        UnsafeFileError: It nests too deeply or describes too many objects.
    """
    found: dict[str, TensorRef] = {}
    walk = _Walk(what)
    for name, tensor in walk.checkpoint(root, (), 0):
        label = ".".join(name) or "tensor"
        if len(label) > limits.NAME_CHARACTERS or len(found) >= limits.TENSORS:
            raise UnsafeFileError(f"{what} holds absurdly many or absurdly long tensor names.", "Check its origin.")
        if label in found:
            raise CorruptFileError(f"{what} holds two tensors named {label!r}.", "Save the model again.")
        found[label] = walk.tensor(tensor, label)
    if not found:
        raise UnsupportedFormatError(
            f"{what} holds no PyTorch tensors that could be weights.", "Save the model's state dict."
        )
    return without_ties(found)


def without_ties(tensors: Mapping[str, TensorRef]) -> dict[str, TensorRef]:
    """Keeps one name of tensors that are the same view of the same storage, whatever their order in the file.

    Embeddings keep their name before output heads, as Transformers does when it saves safetensors.
    """
    names: dict[TensorRef, str] = {}
    for name, tensor in tensors.items():
        if tensor not in names or _tie_rank(name) < _tie_rank(names[tensor]):
            names[tensor] = name
    kept = set(names.values())
    return {name: tensor for name, tensor in tensors.items() if name in kept or 0 in tensor.shape}


def _tie_rank(name: str) -> tuple[int, str]:
    if "shared" in name:
        return 0, name
    return (1 if "emb" in name or "wte" in name else 2), name


class _Walk:
    """A bounded search for tensors; cycles and shared sub-objects are harmless, exponential sharing is cut off."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._visits = 0
        self._open: set[int] = set()

    def checkpoint(self, value: Any, path: tuple[str, ...], depth: int) -> Found:
        """Tensors of a file's top-level object: a module, a state dict, or a training checkpoint around them."""
        self._visit(depth)
        parts = _parts(value)
        if is_tensor(value) or not parts or _is_module(value) or _is_script(value):
            yield from self.tensors(value, path, depth)
            return
        if {"state", "param_groups"} <= parts.keys() or id(value) in self._open:
            return  # an optimizer's own state, or a cycle
        with self._opened(value):
            yield from self._checkpoint_parts(parts, path, depth)

    def _checkpoint_parts(self, parts: Mapping[str, Any], path: tuple[str, ...], depth: int) -> Found:
        candidates = {key: part for key, part in parts.items() if is_tensor(part) or _may_be_weights(key)}
        holders = {
            key: part for key, part in candidates.items() if not is_tensor(part) and self._holds_tensors(part, depth)
        }
        main = next((key for key in MAIN_KEYS if key in holders), None)
        if main is not None:
            yield from self.checkpoint(holders[main], path, depth + 1)
        elif any(is_tensor(part) for part in candidates.values()):
            yield from self.tensors(candidates, path, depth)
        else:
            for key, part in holders.items():
                yield from self.checkpoint(part, path if len(holders) == 1 else (*path, key), depth + 1)

    def tensors(self, value: Any, path: tuple[str, ...], depth: int) -> Found:
        """All tensors below an object, module structure flattened as ``state_dict`` does."""
        self._visit(depth)
        if isinstance(value, Inert) and is_tensor(value):
            yield path, value
        elif _is_module(value):
            yield from self._module(_state(value), path, depth)
        elif id(value) not in self._open:
            with self._opened(value):
                for key, part in _parts(value).items():
                    if isinstance(part, (Inert, dict, list, tuple)):
                        yield from self.tensors(part, (*path, key), depth + 1)

    def tensor(self, value: Inert, name: str) -> TensorRef:
        """Interprets a tensor record."""
        value = _unwrap(value)
        if value.path in _REASONS:
            raise UnsupportedFormatError(
                f"Tensor {name!r} of {self._what} {_REASONS[value.path]}.",
                "Save the model's dense state dict as safetensors.",
            )
        try:
            return self._rebuild(value, name)
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise CorruptFileError(
                f"Tensor {name!r} of {self._what} is described in a way that makes no sense.", "Save the model again."
            ) from error

    def _rebuild(self, value: Inert, name: str) -> TensorRef:
        args = value.args or ()
        storage = self._storage(args[0], name)
        offset, shape, strides = _natural(args[1]), _naturals(args[2]), _naturals(args[3])
        dtype = storage.dtype
        metadata = args[6] if len(args) > 6 else None
        if value.path.endswith("_v3"):
            dtype = self._dtype(args[6], name)
            metadata = args[7] if len(args) > 7 else None
        if metadata:
            raise UnsupportedFormatError(
                f"Tensor {name!r} of {self._what} is a lazily conjugated or negated view.",
                "Save it with .resolve_neg().",
            )
        return TensorRef(storage, dtype, shape, strides, offset)

    def _storage(self, value: Any, name: str) -> StorageRef:
        if isinstance(value, Inert) and value.path.endswith("storage.TypedStorage") and value.args:
            value = value.args[0]
        if isinstance(value, Inert) and value.path in _REASONS:
            raise UnsupportedFormatError(
                f"Tensor {name!r} of {self._what} {_REASONS[value.path]}.", "Save the model with torch.save."
            )
        if not isinstance(value, PersistentId) or not isinstance(value.value, tuple) or value.value[0] != "storage":
            raise TypeError
        _, kind, key, _, count, *view = value.value
        cls = kind.path.rpartition(".")[2]
        if cls not in STORAGE:
            raise unsupported(cls, name, self._what)
        dtype = STORAGE[cls]
        if view and view[0] is not None:
            _, offset, size = view[0]
            return StorageRef(str(key), dtype, _natural(size), _natural(offset))
        return StorageRef(str(key), dtype, _natural(count))

    def _dtype(self, value: Any, name: str) -> str:
        path = value.path if isinstance(value, Inert) else ""
        module, _, short = path.rpartition(".")
        if module != "torch" or short not in TORCH:
            raise unsupported(path or "unknown", name, self._what)
        return TORCH[short]

    def _module(self, state: Mapping[str, Any], path: tuple[str, ...], depth: int) -> Found:
        named = state.get("_non_persistent_buffers_set")
        transient = named if isinstance(named, (set, frozenset, list, tuple)) else ()
        for key, part in _parts(state.get("_parameters")).items():
            yield from self._leaf(part, (*path, key), depth)
        for key, part in _parts(state.get("_buffers")).items():
            if key not in transient:
                yield from self._leaf(part, (*path, key), depth)
        for key, part in _parts(state.get("_modules")).items():
            yield from self.tensors(part, (*path, key), depth + 1)

    def _leaf(self, value: Any, path: tuple[str, ...], depth: int) -> Found:
        self._visit(depth)
        if isinstance(value, Inert) and is_tensor(value):
            yield path, value

    def _holds_tensors(self, value: Any, depth: int) -> bool:
        return next(self.tensors(value, (), depth + 1), None) is not None

    @contextmanager
    def _opened(self, value: Any) -> Iterator[None]:
        self._open.add(id(value))
        try:
            yield
        finally:
            self._open.discard(id(value))

    def _visit(self, depth: int) -> None:
        self._visits += 1
        if depth > limits.NESTING:
            raise UnsafeFileError(
                f"{self._what} nests its contents more than {limits.NESTING} deep.", "Save a plain state dict."
            )
        if self._visits > limits.VISITS:
            raise UnsafeFileError(
                f"{self._what} describes more than {limits.VISITS} objects.",
                "Save the state dict without anything else.",
            )


def is_tensor(value: Any) -> bool:
    """Whether a record describes a tensor, readable or not."""
    if not isinstance(value, Inert) or value.args is None:
        return False
    path = _unwrap(value).path
    return path in _REASONS or path in {
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
    }


def _may_be_weights(key: str) -> bool:
    return not any(word.startswith(_NOT_WEIGHTS) for word in re.split("[^a-z]+", key.lower()))


def _unwrap(value: Inert) -> Inert:
    """The innermost call behind parameters and tensor subclasses."""
    for _ in range(limits.NESTING):
        args = value.args or ()
        if value.path in _WRAPPERS and args and isinstance(args[0], Inert):
            value = args[0]
        elif value.path in {"torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type"}:
            if len(args) < 3 or not isinstance(args[0], Inert) or not isinstance(args[2], tuple):
                return value
            value = Inert(args[0].path, args[2])
        else:
            return value
    return value


def _state(value: Any) -> Mapping[str, Any]:
    """An object's attributes."""
    state = value.state if isinstance(value, Inert) else None
    if isinstance(state, tuple) and len(state) == 2:  # attributes and slots
        state = {**(state[0] if isinstance(state[0], dict) else {}), **(state[1] if isinstance(state[1], dict) else {})}
    return state if isinstance(state, dict) else {}


def _is_module(value: Any) -> bool:
    state = _state(value)
    return "_parameters" in state and "_modules" in state


def _is_script(value: Any) -> bool:
    """Whether this is a TorchScript module, whose attributes are its parameters, buffers and submodules."""
    return isinstance(value, Inert) and value.path.startswith("__torch__.")


def _parts(value: Any) -> dict[str, Any]:
    """The named parts of a container or plain object."""
    if isinstance(value, dict):
        return {str(key): part for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return {str(index): part for index, part in enumerate(value)}
    if isinstance(value, Inert) and not is_tensor(value):
        pairs = {str(key): part for key, part in value.items or () if isinstance(key, (str, int))}
        return {**pairs, **{str(key): part for key, part in _state(value).items()}}
    return {}


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= limits.DIMENSION:
        raise ValueError
    return value


def _naturals(values: Any) -> tuple[int, ...]:
    if not isinstance(values, (tuple, list)) or len(values) > limits.DIMENSIONS:
        raise ValueError
    return tuple(_natural(value) for value in values)
