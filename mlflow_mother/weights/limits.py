"""Every bound that the readers keep, each with its reason. A file that crosses one is not read any further.

The bounds are far above what real models need (the reasons name them) and far below what would hurt the process that
reads: a registration must survive any file.
"""

from __future__ import annotations

FILES = 200_000
"""Most files of one model folder: those with the most, sharded checkpoints with a tokenizer, hold some hundreds."""

FOLDERS_DEEP = 64
"""Deepest folder that is looked into: models nest three or four."""

HEADER_BYTES = 32 << 20
"""Longest JSON header or index: the largest published ones (100,000 tensors in one file) take about 15 MB."""

METADATA_BYTES = 4 << 20
"""Longest configuration or model card that is parsed: MLmodel files with large signatures stay under 1 MB."""

YAML_BYTES = 1 << 20
"""Longest YAML that is parsed: the parser takes some ten seconds for a megabyte, real files hold a few kilobytes."""

TENSORS = 1_000_000
"""Most tensors of one model: the largest mixtures of experts hold about 100,000 with their quantisation scales."""

NAME_CHARACTERS = 2_048
"""Longest tensor name; names travel into fingerprints, messages and pages."""

DIMENSIONS = 64
"""Most dimensions of one tensor: PyTorch's own limit."""

DIMENSION = (1 << 63) - 1
"""Largest single dimension, stride or offset: a signed 64-bit integer, as in every format."""

ZIP_ENTRIES = 1_000_000
"""Most entries of one zip archive: one a tensor storage, plus a few."""

ZIP_DIRECTORY_BYTES = 256 << 20
"""Longest zip directory: about 100 bytes an entry, and twice that for long names."""

INFLATED_RATIO = 200
"""Largest factor by which compressed entries may grow: weights hardly shrink, a bomb grows a thousandfold."""

INFLATED_SLACK = 64 << 20
"""Growth that is always allowed, so that small files full of zeros are read."""

VIEW_RATIO = 16
"""How many times tensors may exceed the storages they are views of (expanded and overlapping tensors)."""

VIEW_SLACK = 64 << 20
"""Bytes of views that are always allowed, so that small expanded buffers are read."""

PICKLE_BYTES = 256 << 20
"""Longest pickle program: whole modules with a large tokenizer inside take about 30 MB."""

PICKLE_OPCODES = 10_000_000
"""Most pickle instructions: about 30 a tensor; 10 million take some five seconds and describe at most 1 GB."""

PICKLE_MEMO = 2_500_000
"""Most objects that a pickle may remember, one a tensor, name and container."""

NESTING = 256
"""Deepest nesting of modules and dictionaries: real networks stay under 40."""

VISITS = 1_000_000
"""Most containers looked at in search of tensors: a few for each; a small pickle can describe exponentially many."""
