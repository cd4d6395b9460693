"""safetensors: a JSON header and one block of contiguous tensors; parsed here, so that reading needs no library.

Format: https://huggingface.co/docs/safetensors. An 8-byte little-endian header length, a JSON object that maps names to
``{"dtype", "shape", "data_offsets"}``, then the data, which the tensors must cover without gaps or overlaps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from mlflow_mother.errors import CorruptFileError, UnsafeFileError
from mlflow_mother.weights import limits
from mlflow_mother.weights.dtypes import unsupported
from mlflow_mother.weights.model import BITS, NamedTensor
from mlflow_mother.weights.sources import FileRange

_AGAIN = "Copy or save the file again."


def is_safetensors(data: FileRange) -> bool:
    """Whether the first bytes look like a safetensors header."""
    start = data.read(0, 9)
    return len(start) == 9 and start[8:] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= data.length - 8


def read_safetensors(data: FileRange) -> Iterator[NamedTensor]:
    """Yields the tensors of one file in the order of their bytes.

    Raises:
        CorruptFileError: The header is not valid, or contradicts the file's length.
        UnsafeFileError: The header is longer than any real one.
        UnsupportedFormatError: A tensor has an element type that Mother does not read.
    """
    length = int.from_bytes(data.part(0, 8).read(0, 8), "little")
    if length > limits.HEADER_BYTES:
        raise UnsafeFileError(
            f"{data.what} announces a header of {length} bytes; at most {limits.HEADER_BYTES} are read.",
            "Check where the file comes from; split the model into shards if it is sound.",
        )
    if length > data.length - 8:
        raise CorruptFileError(
            f"{data.what} is truncated: its header alone needs {length + 8} bytes, the file holds {data.length}.",
            _AGAIN,
        )
    header = parse_json(data.read(8, length), data.what)
    header.pop("__metadata__", None)
    body = data.part(8 + length, data.length - 8 - length)
    entries = _sorted_entries(header, data.what)
    _check_cover(entries, body)
    for name, dtype, shape, begin, end in entries:
        yield NamedTensor(name, dtype, shape, body.part(begin, end - begin, f"Tensor {name!r} of {data.what}"))


def _check_cover(entries: list[tuple[str, str, tuple[int, ...], int, int]], body: FileRange) -> None:
    covered = 0
    for name, _, _, begin, end in entries:
        if begin != covered:
            raise CorruptFileError(f"{body.what}: tensor {name!r} overlaps another or leaves a gap.", _AGAIN)
        covered = end
    if covered > body.length:
        raise CorruptFileError(
            f"{body.what} is truncated: its tensors need {covered} bytes, it holds {body.length}.", _AGAIN
        )
    if covered < body.length:
        raise CorruptFileError(f"{body.what}: {body.length - covered} bytes belong to no tensor.", _AGAIN)


def parse_json(raw: bytes, what: str) -> dict[str, Any]:
    """A JSON object without repeated keys.

    Raises:
        CorruptFileError: It is something else.
    """
    try:
        parsed = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{what} has a header that is not valid JSON ({error}).", _AGAIN) from error
    if not isinstance(parsed, dict):
        raise CorruptFileError(f"{what} has a header that is not a JSON object.", _AGAIN)
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _sorted_entries(header: dict[str, Any], what: str) -> list[tuple[str, str, tuple[int, ...], int, int]]:
    if len(header) > limits.TENSORS:
        raise UnsafeFileError(
            f"{what} lists {len(header)} tensors; at most {limits.TENSORS} are read.", "Check where it comes from."
        )
    entries = [_entry(name, value, what) for name, value in header.items()]
    return sorted(entries, key=lambda entry: (entry[3], entry[4], entry[0]))


def _entry(name: str, value: Any, what: str) -> tuple[str, str, tuple[int, ...], int, int]:
    if not isinstance(value, dict) or not {"dtype", "shape", "data_offsets"} <= value.keys():
        raise _broken_entry(name, what)
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise _broken_entry(name, what)
    if len(shape) > limits.DIMENSIONS or len(name) > limits.NAME_CHARACTERS:
        raise UnsafeFileError(f"{what}: tensor {name[:80]!r} has an absurd name or shape.", "Check the file's origin.")
    if dtype not in BITS:
        raise unsupported(dtype, name, what)
    begin, end = offsets
    if end - begin != math.prod(shape) * BITS[dtype] // 8:
        raise _broken_entry(name, what)
    return name, dtype, tuple(shape), begin, end


def _broken_entry(name: str, what: str) -> CorruptFileError:
    return CorruptFileError(f"{what}: the header's entry for tensor {name[:80]!r} is not valid.", _AGAIN)


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v <= limits.DIMENSION for v in values)
