"""One hierarchy of errors; each message says what was wrong, with which model, file or tensor, and what to do."""

from __future__ import annotations


class MotherError(Exception):
    """Base of every error that Mother raises on purpose.

    Messages name files and tensors, whose names anyone may have chosen, and end in terminals, logs and tags: white
    space becomes plain spaces, and what cannot be printed is replaced.

    Args:
        what: What is wrong, naming the model, file or tensor.
        remedy: What the reader can do about it, as an imperative sentence.
    """

    def __init__(self, what: str, remedy: str) -> None:
        self.what = _printable(what)
        self.remedy = _printable(remedy)
        super().__init__(f"{self.what} {self.remedy}")


def _printable(text: str) -> str:
    return "".join(" " if c.isspace() else c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class WeightsError(MotherError):
    """A model's weights could not be read."""


class UnsupportedFormatError(WeightsError):
    """No reader knows this model's format; ends as ``mother.status = unsupported``."""


class UnsafeFileError(WeightsError):
    """A file crosses a safety bound (size, nesting, path, encoding); it is not read any further."""


class CorruptFileError(WeightsError):
    """A file is truncated or contradicts itself."""


class FingerprintError(MotherError):
    """A fingerprint could not be computed, read or compared."""


class SpecMismatchError(FingerprintError):
    """Two fingerprints of different specs were compared; one of them must be recomputed."""


class StoreError(MotherError):
    """Mother's own tables could not be read or written."""


class SchemaOutdatedError(StoreError):
    """The database holds another schema revision than this release needs."""


class RegistryError(MotherError):
    """MLflow's registry or an artifact could not be reached or did not hold what was asked for."""


class SettingsError(MotherError):
    """A setting has a value that makes no sense."""


class PluginError(MotherError):
    """A plugin broke its contract."""
