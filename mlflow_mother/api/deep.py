"""The deep comparison of two models' full weights, and the ordinary one of what it has aligned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mlflow_mother.alignment import Alignment, Source, aligned_tensors
from mlflow_mother.api import registered
from mlflow_mother.api.discover import find_models
from mlflow_mother.api.local import Progress, recover_tree, stage
from mlflow_mother.api.results import Deep
from mlflow_mother.errors import WeightsError
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import explain
from mlflow_mother.plugins import plugins
from mlflow_mother.registry.versions import get_version
from mlflow_mother.service.reading import open_files
from mlflow_mother.settings import load_settings
from mlflow_mother.weights import ModelFiles, open_weights


class _Kept:
    """A model's files, each fetched once and kept for as long as the context lasts."""

    def __init__(self, files: ModelFiles, stack: ExitStack) -> None:
        self._files, self._stack = files, stack
        self._known: dict[str, Path] = {}

    @property
    def id(self) -> str:
        return self._files.id

    def sizes(self) -> Mapping[str, int]:
        return self._files.sizes()

    @contextmanager
    def local(self, path: str, /) -> Iterator[Path]:
        if path not in self._known:
            self._known[path] = self._stack.enter_context(self._files.local(path))
        yield self._known[path]


def compare_deeply(first: str, second: str, fingerprint: Fingerprint, progress: Progress | None) -> Deep:
    """Looks for rearranged hidden units, and compares what remains once they are put back.

    Args:
        first: A weight file, a model directory, or ``models:/name/version``.
        second: Another one.
        fingerprint: The first one's.
        progress: Called while tensors are aligned.

    Raises:
        WeightsError: One cannot be read.
        RegistryError: A version or its artifacts cannot be reached.
    """
    try:
        return _compared(first, second, fingerprint, progress)
    except OSError as error:
        raise WeightsError(f"{first} and {second} cannot be read: {error}.", "Check their files.") from error


def _compared(first: str, second: str, fingerprint: Fingerprint, progress: Progress | None) -> Deep:
    readers = plugins().weight_readers()
    with ExitStack() as stack:
        one, other = (Source(open_weights(_Kept(_files(given), stack), readers)) for given in (first, second))
        alignment = Alignment(one, other, stage(progress, "aligning"))
        result = alignment.result
        if not result.spaces or not result.only_moved:
            return Deep(**result.model_dump())
        from mlflow_mother.fingerprint.compute import fingerprint_tensors

        settings = load_settings()
        aligned = fingerprint_tensors(
            aligned_tensors(alignment), model=second, device=settings.device, threads=settings.threads
        )
    comparison, forward = explain(fingerprint, aligned)
    _, backward = explain(aligned, fingerprint)
    return Deep(
        **result.model_dump(),
        comparison=comparison,
        first_to_second=forward.evidence,
        second_to_first=backward.evidence,
        tree=recover_tree({first: fingerprint, second: aligned}, {}),
    )


def _files(given: str) -> ModelFiles:
    if registered.is_address(given):
        service = registered.current_service()
        return open_files(service.registry, get_version(service.registry, service.registry.parse(given)))
    return find_models([given], plugins().weight_readers())[0].files
