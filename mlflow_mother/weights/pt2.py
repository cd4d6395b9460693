"""``model.pt2`` of ``torch.export.save``: a zip archive of raw tensors described by JSON, read without PyTorch.

Since PyTorch 2.8, ``data/weights/<model>_weights_config.json`` maps names to storages ``data/weights/weight_<n>``;
before, the archive held ``serialized_state_dict.pt``, a file of ``torch.save``. ``data/constants`` (buffers that
``state_dict`` leaves out) and ``data/sample_inputs`` are not weights. Programs, custom objects and compiled code in
the archive are never looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlflow_mother.errors import CorruptFileError, UnsupportedFormatError
from mlflow_mother.weights import limits
from mlflow_mother.weights.archive import Archive, open_archive
from mlflow_mother.weights.dtypes import SCALAR, unsupported
from mlflow_mother.weights.model import NamedTensor
from mlflow_mother.weights.safetensors import parse_json
from mlflow_mother.weights.sources import FileRange
from mlflow_mother.weights.torch_files import read_torch_zip, view_tensors
from mlflow_mother.weights.torch_objects import StorageRef, TensorRef, without_ties

_CONFIG = "_weights_config.json"
_OLD_STATE = "serialized_state_dict.pt"


def is_pt2(archive: Archive) -> bool:
    """Whether an archive was written by ``torch.export.save``."""
    return bool(_configs(archive) or _old_states(archive))


def read_pt2(archive: Archive) -> Iterator[NamedTensor]:
    """Yields the weights of an exported program in the order of their bytes.

    Raises:
        CorruptFileError: Parts are missing or contradict each other.
        UnsafeFileError: A bound is crossed.
        UnsupportedFormatError: Several programs, or a tensor that cannot be read.
    """
    configs, old = _configs(archive), _old_states(archive)
    if len(configs) + len(old) != 1:
        raise UnsupportedFormatError(f"{archive.what} holds several exported programs.", "Export one program a file.")
    if old:
        with open_archive(archive.range(old[0])) as inner:
            yield from read_torch_zip(inner)
        return
    folder = configs[0].rpartition("/")[0]
    config = parse_json(archive.read(configs[0], limits.HEADER_BYTES), archive.what).get("config")
    if not isinstance(config, dict) or len(config) > limits.TENSORS:
        raise _broken(archive.what, "its list of weights")
    pickled = {name for name, meta in config.items() if isinstance(meta, dict) and meta.get("use_pickle")}
    for name in sorted(pickled):
        yield from _read_pickled(archive, f"{folder}/{_path(config[name], name, archive.what)}", name)
    weights = without_ties({n: _tensor(m, n, archive.what) for n, m in config.items() if n not in pickled})

    def storage(ref: StorageRef) -> FileRange:
        return archive.range(f"{folder}/{ref.key}")

    def position(ref: StorageRef) -> int:
        entry = archive.entries.get(f"{folder}/{ref.key}")
        return entry.header if entry else 0

    yield from view_tensors(weights, storage, position, archive.what)


def _configs(archive: Archive) -> list[str]:
    return sorted(name for name in archive.entries if "/weights/" in f"/{name}" and name.endswith(_CONFIG))


def _old_states(archive: Archive) -> list[str]:
    return sorted(name for name in archive.entries if name.rpartition("/")[2] == _OLD_STATE)


def _read_pickled(archive: Archive, path: str, name: str) -> Iterator[NamedTensor]:
    """A tensor subclass: a whole file of ``torch.save`` as one part, read inertly."""
    with open_archive(archive.range(path)) as inner:
        for tensor in read_torch_zip(inner):
            yield NamedTensor(
                name if tensor.name == "tensor" else f"{name}.{tensor.name}", tensor.dtype, tensor.shape, tensor.source
            )


def _tensor(meta: Any, name: str, what: str) -> TensorRef:
    path = _path(meta, name, what)
    try:
        tensor = meta["tensor_meta"]
        code = tensor["dtype"]
        shape = tuple(_integer(value) for value in tensor["sizes"])
        strides = tuple(_integer(value) for value in tensor["strides"])
        offset = _integer(tensor["storage_offset"])
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(what, f"tensor {name[:80]!r}") from error
    if type(code) is not int or code not in SCALAR:
        raise unsupported(f"ScalarType {code}", name, what)
    if len(shape) > limits.DIMENSIONS or len(name) > limits.NAME_CHARACTERS:
        raise _broken(what, f"tensor {name[:80]!r}")
    return TensorRef(StorageRef(path, SCALAR[code], 0), SCALAR[code], shape, strides, offset)


def _path(meta: Any, name: str, what: str) -> str:
    path = meta.get("path_name") if isinstance(meta, dict) else None
    if not isinstance(path, str):
        raise _broken(what, f"tensor {name[:80]!r}")
    return path


def _integer(value: Any) -> int:
    number = value["as_int"]
    if type(number) is not int or not 0 <= number <= limits.DIMENSION:
        raise ValueError
    return number


def _broken(what: str, part: str) -> CorruptFileError:
    return CorruptFileError(f"{what} describes {part} in a way that makes no sense.", "Export the model again.")
