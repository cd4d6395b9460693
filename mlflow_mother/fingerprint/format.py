"""A fingerprint as bytes: a safetensors file, written the same way every time, read as untrusted input.

The written description is ``docs/fingerprint.md``. Offsets into the ragged columns are not stored: they follow from
the shapes, and a file whose columns do not have exactly the lengths that follow is refused.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlflow_mother.errors import FingerprintError, SpecMismatchError
from mlflow_mother.fingerprint.layout import DISTINCT_VALUES, WIDTHS, offsets, sample_length, sketch_length
from mlflow_mother.fingerprint.record import SPEC, STATS, Fingerprint
from mlflow_mother.weights.model import BITS

MAX_BYTES = 1_000_000
"""No fingerprint is larger."""

METADATA_KEY = "mother-fingerprint"
DIGEST_BYTES = 16
MAX_NAME = 1024
MAX_DIMENSIONS = 64
_MAX_COUNT = 1 << 60
_MANTISSA_BITS = 23
_CODES = {"<i8": "I64", "<f8": "F64", "<i4": "I32", "<f4": "F32", "|u1": "U8"}
_HEADER_LENGTH = 8
_REMEDY = "Recompute the fingerprint from the weights."


def to_bytes(fingerprint: Fingerprint) -> bytes:
    """Serialises a fingerprint; equal fingerprints give equal bytes.

    Raises:
        FingerprintError: It would be larger than a fingerprint may be.
    """
    metadata = {
        "adapter": fingerprint.adapter,
        "declared": list(fingerprint.declared),
        "dtypes": list(fingerprint.dtypes),
        "format": fingerprint.format,
        "k": fingerprint.k,
        "names": list(fingerprint.names),
        "shapes": [list(shape) for shape in fingerprint.shapes],
        "spec": fingerprint.spec,
    }
    columns = _columns(fingerprint)
    header: dict[str, Any] = {"__metadata__": {METADATA_KEY: _dump(metadata)}}
    header |= _layout({name: (column.dtype.str, column.shape) for name, column in columns.items()})
    text = _dump(header).encode()
    text += b" " * (-len(text) % _HEADER_LENGTH)
    data = b"".join(
        [len(text).to_bytes(_HEADER_LENGTH, "little"), text, *(column.tobytes() for column in columns.values())]
    )
    if len(data) > MAX_BYTES:
        raise FingerprintError(
            f"A fingerprint of {len(data)} bytes is larger than the bound of {MAX_BYTES}.",
            "Fold it to a smaller width first.",
        )
    return data


def from_bytes(data: bytes) -> Fingerprint:
    """Reads a fingerprint from bytes that anyone may have written.

    Raises:
        SpecMismatchError: It follows another version of the spec.
        FingerprintError: It is damaged, inconsistent or too large; nothing of it is used.
    """
    if len(data) > MAX_BYTES:
        raise _refusal(f"it has {len(data)} bytes, more than {MAX_BYTES}")
    header, start = _header(data)
    metadata = _metadata(header.pop("__metadata__", None))
    names, dtypes, shapes, k = _tensors(metadata)
    sketch_offsets = offsets([sketch_length(shape, k) for shape in shapes])
    sample_offsets = offsets([sample_length(shape, k) for shape in shapes])
    expected = _layout(_expected_columns(len(names), int(sketch_offsets[-1]), int(sample_offsets[-1])))
    if header != expected:
        raise _refusal("its columns do not have the names, types, lengths and places that follow from its shapes")
    last = max(entry["data_offsets"][1] for entry in expected.values())
    if len(data) != start + last:
        raise _refusal(f"it has {len(data)} bytes where {start + last} follow from its shapes")
    columns = {
        name: np.frombuffer(
            data, _numpy_dtype(entry["dtype"]), math.prod(entry["shape"]), start + entry["data_offsets"][0]
        )
        for name, entry in expected.items()
    }
    stats = np.zeros(len(names), STATS)
    for field in STATS.names or ():
        stats[field] = columns[f"stats.{field}"]
    _check_stats(stats, shapes)
    for column in ("sketch", "sample"):
        if not np.isfinite(columns[column]).all():
            raise _refusal(f"its column {column!r} holds values that are not finite")
    raw = columns["digests"].tobytes()
    return Fingerprint(
        names=names,
        dtypes=dtypes,
        shapes=shapes,
        digests=tuple(raw[i : i + DIGEST_BYTES] for i in range(0, len(raw), DIGEST_BYTES)),
        stats=stats,
        k=k,
        sketch=columns["sketch"].astype(np.float32),
        sketch_offsets=sketch_offsets,
        sample=columns["sample"].astype(np.float32),
        sample_offsets=sample_offsets,
        format=metadata["format"],
        adapter=metadata["adapter"],
        declared=tuple(metadata["declared"]),
        spec=metadata["spec"],
    )


def header_bytes(data: bytes) -> int:
    """How many of a serialised fingerprint's bytes :func:`describe` needs, from the first eight.

    Raises:
        FingerprintError: There are fewer than eight, or they promise more than a fingerprint may have.
    """
    if len(data) < _HEADER_LENGTH:
        raise _refusal("it is shorter than a header")
    length = _HEADER_LENGTH + int.from_bytes(data[:_HEADER_LENGTH], "little")
    if length > MAX_BYTES:
        raise _refusal(f"its header is longer than {MAX_BYTES} bytes")
    return length


def describe(data: bytes) -> tuple[str, int]:
    """Weight format and number of tensors of a serialised fingerprint, from its header alone.

    Args:
        data: At least its first :func:`header_bytes` bytes.

    Raises:
        FingerprintError: The header is damaged or follows another version of the spec.
    """
    header, _ = _header(data)
    metadata = _metadata(header.get("__metadata__"))
    names, *_ = _tensors(metadata)
    return metadata["format"], len(names)


def save(fingerprint: Fingerprint, path: Path) -> None:
    """Writes a fingerprint to a file, which appears whole or not at all."""
    data = to_bytes(fingerprint)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> Fingerprint:
    """Reads a fingerprint from a file that anyone may have written.

    Raises:
        FingerprintError: As :func:`from_bytes`, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FingerprintError(f"The fingerprint {path} cannot be read: {error}.", "Check the path.") from error
    return from_bytes(data)


def _refusal(reason: str) -> FingerprintError:
    return FingerprintError(f"These bytes are no sound fingerprint: {reason}.", _REMEDY)


def _dump(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _numpy_dtype(code: str) -> np.dtype[Any]:
    return np.dtype(next(name for name, known in _CODES.items() if known == code))


def _columns(fingerprint: Fingerprint) -> dict[str, npt.NDArray[Any]]:
    tensors = len(fingerprint.names)
    digests = np.frombuffer(b"".join(fingerprint.digests), np.uint8).reshape(tensors, DIGEST_BYTES)
    columns = {f"stats.{field}": np.ascontiguousarray(fingerprint.stats[field]) for field in STATS.names or ()}
    columns |= {"sketch": fingerprint.sketch, "sample": fingerprint.sample, "digests": digests}
    return {name: columns[name] for name in _expected_columns(0, 0, 0)}


def _expected_columns(tensors: int, sketch: int, sample: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name, type and shape of every column, in the order of their bytes: wide types first keeps all aligned."""
    fields = [(field, STATS[field].str) for field in STATS.names or ()]
    columns: dict[str, tuple[str, tuple[int, ...]]] = {}
    for width in ("8", "4"):
        columns |= {f"stats.{field}": (code, (tensors,)) for field, code in fields if code.endswith(width)}
    return columns | {
        "sketch": ("<f4", (sketch,)),
        "sample": ("<f4", (sample,)),
        "digests": ("|u1", (tensors, DIGEST_BYTES)),
    }


def _layout(columns: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, dict[str, Any]]:
    """The safetensors header entries of columns that follow each other without gaps."""
    layout: dict[str, dict[str, Any]] = {}
    end = 0
    for name, (code, shape) in columns.items():
        start, end = end, end + math.prod(shape) * np.dtype(code).itemsize
        layout[name] = {"dtype": _CODES[code], "shape": list(shape), "data_offsets": [start, end]}
    return layout


def _parse(text: bytes | str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"its {what} is not JSON") from error
    if not isinstance(value, dict):
        raise _refusal(f"its {what} is no JSON object")
    return value


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < _HEADER_LENGTH:
        raise _refusal("it is shorter than a header")
    start = _HEADER_LENGTH + int.from_bytes(data[:_HEADER_LENGTH], "little")
    if start > len(data):
        raise _refusal("its header is longer than the file")
    return _parse(data[_HEADER_LENGTH:start], "header"), start


def _metadata(stored: object) -> dict[str, Any]:
    text = stored.get(METADATA_KEY) if isinstance(stored, dict) else None
    if not isinstance(text, str):
        raise _refusal(f"its metadata has no text {METADATA_KEY!r}")
    metadata = _parse(text, "metadata")
    if metadata.get("spec") != SPEC:
        found = metadata.get("spec")
        raise SpecMismatchError(
            f"A fingerprint follows the spec {found if isinstance(found, str) else None!r:.40}, not {SPEC!r}.", _REMEDY
        )
    if set(metadata) != {"adapter", "declared", "dtypes", "format", "k", "names", "shapes", "spec"}:
        raise _refusal("its metadata has missing or unknown fields")
    if not isinstance(metadata["format"], str) or not _is_texts(metadata["declared"]):
        raise _refusal("its format or declared parents are not text")
    adapter = metadata["adapter"]
    known = {"kind": (str,), "base": (str,), "rank": (int, type(None)), "alpha": (int, float, type(None))}
    if not isinstance(adapter, dict) or not all(
        key in known and type(value) in known[key] and _is_bounded(value) for key, value in adapter.items()
    ):
        raise _refusal("its adapter is not described as the spec says")
    return metadata


def _is_bounded(value: object) -> bool:
    return not isinstance(value, (int, float)) or abs(value) < _MAX_COUNT


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _tensors(
    metadata: dict[str, Any],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[int, ...], ...], int]:
    names, dtypes, shapes, k = (metadata[field] for field in ("names", "dtypes", "shapes", "k"))
    if type(k) is not int or k not in WIDTHS:
        raise _refusal("its sketch width is none of 8, 16, 32, 64")
    if not _is_texts(names) or not _is_texts(dtypes) or not isinstance(shapes, list):
        raise _refusal("its names, types or shapes are no lists")
    if not len(names) == len(dtypes) == len(shapes) or len(set(names)) != len(names):
        raise _refusal("its names, types and shapes disagree in length, or a name is repeated")
    if any(len(name) > MAX_NAME for name in names) or any(dtype not in BITS for dtype in dtypes):
        raise _refusal("a tensor has too long a name or an unknown element type")
    for shape in shapes:
        sound = isinstance(shape, list) and len(shape) <= MAX_DIMENSIONS
        if not sound or not all(type(size) is int and 0 <= size < _MAX_COUNT for size in shape):
            raise _refusal("a shape is no list of sizes")
        if math.prod(shape) >= _MAX_COUNT:
            raise _refusal("a tensor has more elements than any could")
    return tuple(names), tuple(dtypes), tuple(tuple(shape) for shape in shapes), k


def _check_stats(stats: npt.NDArray[np.void], shapes: tuple[tuple[int, ...], ...]) -> None:
    count = stats["count"]
    if not all(np.isfinite(stats[field]).all() for field in STATS.names or () if STATS[field].kind == "f"):
        raise _refusal("its statistics hold values that are not finite")
    if not np.array_equal(count, np.array([math.prod(shape) for shape in shapes], dtype=np.int64)):
        raise _refusal("its counts do not fit its shapes")
    sound = (
        (stats["zeros"] >= 0)
        & (stats["nonfinite"] >= 0)
        & (stats["zeros"] <= count)
        & (stats["nonfinite"] <= count - np.minimum(stats["zeros"], count))
        & (stats["min"] <= stats["max"])
        & (stats["sumsq"] >= 0)
        & (stats["sum4"] >= 0)
        & (stats["abs"] >= 0)
        & (stats["mantissa"] >= 0)
        & (stats["mantissa"] <= _MANTISSA_BITS)
        & (stats["distinct"] >= 0)
        & (stats["distinct"] <= np.minimum(count, DISTINCT_VALUES))
    )
    if not sound.all():
        raise _refusal("its statistics contradict each other")
