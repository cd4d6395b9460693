"""The built-in readers and the door of the package: :func:`open_weights`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlflow_mother.errors import CorruptFileError, UnsafeFileError, UnsupportedFormatError
from mlflow_mother.weights import limits
from mlflow_mother.weights.dtypes import unsupported
from mlflow_mother.weights.formats import read_file
from mlflow_mother.weights.layout import Plan, WeightFile, plan
from mlflow_mother.weights.model import BITS, ModelFiles, NamedTensor, WeightReader, WeightsInfo

MIXED = "mixed"
"""Format name of a model whose components are of different formats."""


@dataclass(frozen=True)
class BuiltinReader:
    """Reads the models whose weight files are all of one format, or (``mixed``) of several.

    Attributes:
        name: Format name.
    """

    name: str

    def detect(self, files: ModelFiles, /) -> WeightsInfo | None:
        """Chooses the weight files; None when there are none, or of another format.

        Raises:
            WeightsError: A shard is missing, or a description is broken or unsafe.
        """
        try:
            chosen = plan(files)
        except UnsupportedFormatError:
            return None
        return _info(files, chosen) if _format(chosen) == self.name else None

    def tensors(self, files: ModelFiles, info: WeightsInfo, /) -> Iterator[NamedTensor]:
        """Yields every tensor once, one file open at a time.

        Raises:
            WeightsError: A file is truncated, unsafe or unreadable.
        """
        for file in plan(files).files:
            yield from _file_tensors(files, file)


def builtin_readers() -> list[WeightReader]:
    """The readers that come with Mother, in the order in which they are asked."""
    return [BuiltinReader(name) for name in ("safetensors", "pt2", "torch", MIXED)]


@dataclass(frozen=True)
class OpenWeights:
    """A model whose reader is known.

    Attributes:
        info: What the reader found.
        files: The model's files.
        reader: Who reads them.
    """

    info: WeightsInfo
    files: ModelFiles
    reader: WeightReader

    def tensors(self) -> Iterator[NamedTensor]:
        """Yields every tensor once; a tensor may be read only until the next one is asked for.

        Whatever the reader, names are unique, element types known and numbers bounded.

        Raises:
            CorruptFileError: A file is truncated, contradicts itself or holds no tensors.
            UnsafeFileError: A bound is crossed.
            UnsupportedFormatError: A tensor cannot be read.
        """
        seen: set[str] = set()
        for tensor in self.reader.tensors(self.files, self.info):
            if tensor.name in seen:
                raise CorruptFileError(f"Model {self.files.id} holds two tensors {tensor.name!r}.", "Save it again.")
            if tensor.dtype not in BITS:
                raise unsupported(tensor.dtype, tensor.name, self.files.id)
            seen.add(tensor.name)
            if len(seen) > limits.TENSORS:
                raise UnsafeFileError(f"Model {self.files.id} holds too many tensors.", "Check where it comes from.")
            yield tensor
        if not seen:
            raise CorruptFileError(f"Model {self.files.id} holds no tensors.", "Save the model with its weights.")


def open_weights(files: ModelFiles, readers: Sequence[WeightReader] = ()) -> OpenWeights:
    """Finds the reader of a model.

    Args:
        files: The model's files.
        readers: Readers of plugins, asked before the built-in ones.

    Raises:
        UnsupportedFormatError: No reader knows the format; the message names it.
        UnsafeFileError: A path leads out of the model.
        CorruptFileError: A shard is missing, or a description is broken.
    """
    for reader in readers:
        info = reader.detect(files)
        if info is not None:
            return OpenWeights(info, files, reader)
    chosen = plan(files)
    return OpenWeights(_info(files, chosen), files, BuiltinReader(_format(chosen)))


def _format(chosen: Plan) -> str:
    formats = {file.format for file in chosen.files}
    return formats.pop() if len(formats) == 1 else MIXED


def _info(files: ModelFiles, chosen: Plan) -> WeightsInfo:
    sizes = files.sizes()
    paths = tuple(dict.fromkeys(file.path for file in chosen.files))
    return WeightsInfo(
        format=_format(chosen),
        files=paths,
        nbytes=sum(sizes[path] for path in paths),
        adapter=chosen.adapter,
        declared=chosen.declared,
    )


def _file_tensors(files: ModelFiles, file: WeightFile) -> Iterator[NamedTensor]:
    missing = set(file.expected)
    with files.local(file.path) as local:
        for tensor in read_file(local, files.id if files.id.endswith(file.path) else f"{file.path} of {files.id}"):
            missing.discard(tensor.name)
            name = f"{file.prefix}.{tensor.name}" if file.prefix else tensor.name
            yield NamedTensor(name, tensor.dtype, tensor.shape, tensor.source)
    if missing:
        raise CorruptFileError(
            f"{file.path} of {files.id} lacks {len(missing)} tensors that the index promises, first {min(missing)!r}.",
            "Save the model again.",
        )
