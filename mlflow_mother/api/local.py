"""The verbs for files and folders: fingerprint each model once, then compare fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mlflow_mother.api.discover import LocalModel
from mlflow_mother.errors import MotherError, UnsupportedFormatError, WeightsError
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import recover
from mlflow_mother.plugins import plugins
from mlflow_mother.settings import load_settings
from mlflow_mother.types import ModelTree, Node, Status

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def fingerprint_local(model: LocalModel, progress: Progress | None = None) -> Fingerprint:
    """Fingerprints one model of this machine.

    Raises:
        WeightsError: Its weights cannot be read.
        FingerprintError: They make no fingerprint.
    """
    from mlflow_mother.fingerprint.compute import fingerprint_model

    settings = load_settings()
    try:
        return fingerprint_model(
            model.files,
            readers=plugins().weight_readers(),
            device=settings.device,
            threads=settings.threads,
            progress=stage(progress, f"reading {model.path.name or model.id}"),
        )
    except OSError as error:
        raise WeightsError(f"Model {model.id} cannot be read: {error}.", "Check its files and permissions.") from error


def fingerprint_all(
    models: Sequence[LocalModel], progress: Progress | None = None
) -> tuple[dict[str, Fingerprint], dict[str, MotherError]]:
    """Fingerprints several models; one that cannot be read does not stop the others.

    Returns:
        Fingerprints and errors, each by the model's id.
    """
    found: dict[str, Fingerprint] = {}
    failed: dict[str, MotherError] = {}
    for model in models:
        try:
            found[model.id] = fingerprint_local(model, progress)
        except MotherError as error:  # noqa: PERF203
            failed[model.id] = error
    return found, failed


def recover_tree(
    fingerprints: Mapping[str, Fingerprint],
    failed: Mapping[str, MotherError],
    progress: Progress | None = None,
    times: Mapping[str, float] | None = None,
) -> ModelTree:
    """The tree of fingerprinted models; models that could not be read stand in it alone, with the reason.

    Args:
        fingerprints: Fingerprints by id.
        failed: Errors by the ids of models that have no fingerprint.
        progress: Called while pairs are compared.
        times: Registration times in unix seconds, by id, where there are any.

    Raises:
        WeightsError: None of the models could be read.
    """
    if failed and not fingerprints:
        first = next(iter(failed.values()))
        if len(failed) == 1:
            raise first
        raise WeightsError(f"None of {len(failed)} models could be read. First: {first.what}", first.remedy)
    hooks = plugins()
    tree = recover(
        fingerprints,
        times=times,
        extra_evidence=hooks.extra_evidence,
        veto=hooks.vetoes,
        decide_probability=load_settings().decide_probability,
        progress=stage(progress, "comparing"),
    )
    unread = [Node(id=name, status=_status(error), note=str(error)) for name, error in failed.items()]
    if not unread:
        return tree
    models = sorted([*(n for n in tree.nodes if n.kind == "model"), *unread], key=lambda node: node.id)
    ancestors = [node for node in tree.nodes if node.kind == "unregistered"]
    roots = sorted([*tree.roots, *failed])
    return tree.model_copy(update={"nodes": (*models, *ancestors), "roots": tuple(roots)})


def stage(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    """A progress callback of one kind of work."""
    return None if progress is None else lambda done, total: progress(what, done, total)


def _status(error: MotherError) -> Status:
    return Status.UNSUPPORTED if isinstance(error, UnsupportedFormatError) else Status.FAILED
