"""Element types by the names that each format uses, all mapped to safetensors' names."""

from __future__ import annotations

from collections.abc import Mapping

from mlflow_mother.errors import UnsupportedFormatError
from mlflow_mother.weights.model import BITS

TORCH: Mapping[str, str] = {
    "float64": "F64", "double": "F64", "float32": "F32", "float": "F32", "float16": "F16", "half": "F16",
    "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "long": "I64", "int32": "I32", "int": "I32", "int16": "I16", "short": "I16", "int8": "I8",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
"""``torch.<name>``; types that are not listed (complex, quantised, sub-byte) are unsupported."""

STORAGE: Mapping[str, str] = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL", "UntypedStorage": "U8",
}  # fmt: skip
"""``torch.<name>`` storage classes; an ``UntypedStorage`` counts bytes."""

SCALAR: Mapping[int, str] = {
    1: "U8", 2: "I8", 3: "I16", 4: "I32", 5: "I64", 6: "F16", 7: "F32", 8: "F64", 12: "BOOL", 13: "BF16",
    28: "U16", 29: "F8_E4M3", 30: "F8_E5M2", 34: "U32", 35: "U64",
}  # fmt: skip
"""``ScalarType`` numbers in the JSON of a ``.pt2`` archive (schema of ``torch.export``)."""


def itemsize(dtype: str) -> int:
    """Bytes of one element."""
    return BITS[dtype] // 8


def unsupported(dtype: object, tensor: str, model: str) -> UnsupportedFormatError:
    """The error for a tensor whose element type cannot be widened exactly."""
    return UnsupportedFormatError(
        f"Tensor {tensor!r} of {model} has the element type {dtype}, which Mother does not read.",
        f"Save it as one of {', '.join(sorted(BITS))}.",
    )
