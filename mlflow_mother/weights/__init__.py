"""Open a model's files and yield named tensors as raw bytes; never execute anything.

The way in is :func:`open_weights`: it asks the plugins' readers, then :mod:`layout` chooses the weight files of the
model (one format, no optimizer states, every component once), and :mod:`formats` opens each by its first bytes:

* :mod:`safetensors`: a bounded header parser;
* :mod:`torch_files`: zip and legacy files of ``torch.save``. :mod:`pickles` turns the pickle into inert records,
  :mod:`torch_objects` finds the tensors among them, :mod:`archive` finds their bytes;
* :mod:`pt2`: exported programs.

Bytes are read with ``pread`` through :mod:`sources`, as far as possible without a copy in memory. Every bound is in
:mod:`limits`, and every refusal is a :class:`~mlflow_mother.errors.WeightsError` that says what to do.
:mod:`names` makes the names of the same tensor agree between wrappers and files. No torch, no MLflow.
"""

from mlflow_mother.weights.model import (
    BITS,
    AdapterConfig,
    ByteSource,
    LocalFiles,
    ModelFiles,
    NamedTensor,
    WeightReader,
    WeightsInfo,
)
from mlflow_mother.weights.names import normalise
from mlflow_mother.weights.readers import OpenWeights, builtin_readers, open_weights

__all__ = [
    "BITS",
    "AdapterConfig",
    "ByteSource",
    "LocalFiles",
    "ModelFiles",
    "NamedTensor",
    "OpenWeights",
    "WeightReader",
    "WeightsInfo",
    "builtin_readers",
    "normalise",
    "open_weights",
]
