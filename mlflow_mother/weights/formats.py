"""File formats by suffix and first bytes: how to open those that are read, and how to name those that are not."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow_mother.errors import CorruptFileError, UnsupportedFormatError
from mlflow_mother.weights.archive import is_zip, open_archive
from mlflow_mother.weights.model import ModelFiles, NamedTensor
from mlflow_mother.weights.pt2 import is_pt2, read_pt2
from mlflow_mother.weights.safetensors import is_safetensors, read_safetensors
from mlflow_mother.weights.sources import FileRange, open_range
from mlflow_mother.weights.torch_files import read_torch_legacy, read_torch_zip

FORMATS: Mapping[str, str] = {
    ".safetensors": "safetensors",
    ".pt2": "pt2",
    ".pth.tar": "torch",
    ".pt.tar": "torch",
    ".ckpt": "torch",
    ".bin": "torch",
    ".pth": "torch",
    ".pt": "torch",
}
"""Format by suffix, the preferred ones first."""

_SUFFIXES: Mapping[str, str] = {
    ".onnx": "ONNX", ".keras": "Keras", ".h5": "Keras (HDF5)", ".hdf5": "HDF5", ".gguf": "GGUF", ".ggml": "GGML",
    ".skops": "skops", ".ubj": "XGBoost", ".xgb": "XGBoost", ".lgb": "LightGBM", ".cbm": "CatBoost", ".cb": "CatBoost",
    ".msgpack": "Flax (msgpack)", ".pb": "TensorFlow", ".tflite": "TensorFlow Lite", ".mlmodel": "Core ML",
    ".mlpackage": "Core ML", ".pdparams": "PaddlePaddle", ".npz": "NumPy", ".npy": "NumPy", ".ot": "rust tch",
    ".pkl": "pickled Python objects", ".pickle": "pickled Python objects", ".joblib": "pickled Python objects",
    ".nemo": "NeMo", ".engine": "TensorRT", ".ptl": "PyTorch Lite",
}  # fmt: skip

_FLAVORS: Mapping[str, str] = {
    "onnx": "ONNX", "keras": "Keras", "tensorflow": "TensorFlow", "sklearn": "scikit-learn", "xgboost": "XGBoost",
    "lightgbm": "LightGBM", "catboost": "CatBoost", "spark": "Spark ML", "h2o": "H2O", "paddle": "PaddlePaddle",
    "statsmodels": "statsmodels", "prophet": "Prophet", "pmdarima": "pmdarima", "spacy": "spaCy",
    "langchain": "LangChain", "llama_index": "LlamaIndex", "openai": "OpenAI",
}  # fmt: skip

_MAGIC: Mapping[bytes, str] = {
    b"GGUF": "GGUF", b"\x89HDF": "HDF5", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"7z\xbc\xaf": "7-Zip",
    b"\x93NUMPY": "NumPy", b"<htm": "an HTML page", b"<!DO": "an HTML page",
}  # fmt: skip


def format_of(path: str) -> str:
    """Format by the file's suffix; empty when it is none that Mother reads."""
    name = posixpath.basename(path).lower()
    return next((found for suffix, found in FORMATS.items() if name.endswith(suffix)), "")


def read_file(path: Path, what: str) -> Iterator[NamedTensor]:
    """Yields the tensors of one weight file, whose format its first bytes tell, whatever its suffix.

    Args:
        path: The local file.
        what: What to call it in messages.

    Raises:
        CorruptFileError: It is truncated or contradicts itself.
        UnsafeFileError: It crosses a bound.
        UnsupportedFormatError: It is of another format.
    """
    with open_range(path, what) as data:
        if is_zip(data):
            with open_archive(data) as archive:
                if is_pt2(archive):
                    yield from read_pt2(archive)
                elif any(name.rpartition("/")[2] == "data.pkl" for name in archive.entries):
                    yield from read_torch_zip(archive)
                else:
                    raise _unknown_archive(archive.entries, what)
        elif data.read(0, 1) == b"\x80" and not path.name.endswith(".safetensors"):
            yield from read_torch_legacy(data)
        elif is_safetensors(data) or path.name.endswith(".safetensors"):
            yield from read_safetensors(data)
        else:
            raise _unknown(data)


def unsupported_model(files: ModelFiles, flavors: Mapping[str, Mapping[str, Any]]) -> UnsupportedFormatError:
    """The error for a model without weights that Mother reads, naming what was found instead."""
    kinds = [_FLAVORS[name] for name in flavors if name in _FLAVORS]
    for path in files.sizes():
        kinds += [kind for suffix, kind in _SUFFIXES.items() if path.lower().endswith(suffix)]
    found = ", ".join(dict.fromkeys(kinds)) or "no weight files"
    return UnsupportedFormatError(
        f"Model {files.id} holds {found}; Mother reads safetensors, PyTorch files and exported programs (.pt2).",
        "Save the weights as safetensors, or install a plugin with a reader for this format.",
    )


def _unknown(data: FileRange) -> Exception:
    start = data.read(0, 512)
    if start.startswith(b"version https://git-lfs"):
        return CorruptFileError(f"{data.what} is a Git LFS pointer, not the weights.", "Run git lfs pull.")
    if start[257:262] == b"ustar":
        kind = "a tar archive (PyTorch before 0.1.10)"
    else:
        kind = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")
    if kind:
        return UnsupportedFormatError(f"{data.what} is {kind}, not PyTorch weights.", "Save it as safetensors.")
    return CorruptFileError(f"{data.what} is of no known weight format.", "Save the weights as safetensors.")


def _unknown_archive(entries: Mapping[str, object], what: str) -> UnsupportedFormatError:
    names = set(entries)
    kind = "a zip archive without PyTorch weights"
    if "model.weights.h5" in names:
        kind = "a Keras model"
    elif "schema.json" in names:
        kind = "a skops model"
    elif any(name.endswith(".npy") for name in names):
        kind = "a NumPy archive"
    return UnsupportedFormatError(f"{what} is {kind}.", "Save the weights as safetensors.")
