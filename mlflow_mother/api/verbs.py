"""The verbs themselves."""

from __future__ import annotations

from datetime import datetime
from os import PathLike, fspath
from typing import Literal, overload

from mlflow_mother.api import registered
from mlflow_mother.api.discover import find_models
from mlflow_mother.api.local import Progress, fingerprint_all, fingerprint_local, recover_tree, stage
from mlflow_mother.api.results import Audit, Deep, Pair, Relatives
from mlflow_mother.errors import WeightsError
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.heritage import explain
from mlflow_mother.plugins import plugins
from mlflow_mother.service import Plan, Report
from mlflow_mother.types import Lineage, ModelTree


def tree(*paths: str | PathLike[str], progress: Progress | None = None) -> ModelTree:
    """Recovers the model tree of files, folders and registered models.

    Files need no registry, and nothing is written. A model that cannot be read stands alone in the tree, with the
    reason as its note. Registered models alone give what Mother knows of them and their families; together with files
    they are compared with these.

    Args:
        paths: Weight files, model directories, folders of both; ``models:/name``, ``models:/name/version``, or
            ``models:/`` for the whole registry.
        progress: Called with what is being done, how much of it is done, and how much there is.

    Raises:
        WeightsError: A path does not exist, a folder holds no model, or no model could be read.
        RegistryError: The registry cannot be reached, or knows nothing of a model.
    """
    given = [fspath(path) for path in paths]
    addresses = [path for path in given if registered.is_address(path)]
    models = find_models([path for path in given if not registered.is_address(path)], plugins().weight_readers())
    if not models and not addresses:
        raise WeightsError("No path was given.", "Name files, folders or registered models.")
    if not models:
        return registered.tree_of_models(registered.current_service(), addresses)
    found, failed = fingerprint_all(models, progress)
    times: dict[str, float] = {}
    if addresses:
        more, errors, times = registered.fingerprint_addresses(registered.current_service(), addresses, progress)
        found, failed = found | more, failed | errors
    return recover_tree(found, failed, progress, times)


def fingerprint_model(model: str | PathLike[str], *, progress: Progress | None = None) -> Fingerprint:
    """Fingerprints one model.

    Args:
        model: A weight file, a model directory, or ``models:/name/version``.
        progress: Called while weights are read.

    Raises:
        WeightsError: It cannot be read, or the folder holds several models.
        RegistryError: The version or its artifacts cannot be reached.
    """
    address = fspath(model)
    if registered.is_address(address):
        service = registered.current_service()
        return registered.fingerprint_version(service, service.registry.parse(address))
    found = find_models([address], plugins().weight_readers())
    if len(found) > 1:
        some = ", ".join(one.id for one in found[:3])
        raise WeightsError(f"The folder {address!r} holds {len(found)} models: {some}, ...", "Name one of them.")
    return fingerprint_local(found[0], progress)


def compare(
    first: str | PathLike[str], second: str | PathLike[str], *, deep: bool = False, progress: Progress | None = None
) -> Pair:
    """Compares two models and says everything that is known of the pair.

    Args:
        first: A weight file, a model directory, or ``models:/name/version``.
        second: Another one.
        deep: Also read the full weights for a copy or fine-tune whose hidden units were permuted, rescaled, flipped
            or rotated. Takes seconds for small models, hours for those of billions of parameters.
        progress: Called while weights are read.

    Raises:
        WeightsError: One cannot be read.
        RegistryError: A version or its artifacts cannot be reached.
    """
    a, b = fspath(first), fspath(second)
    if a == b:
        raise WeightsError(f"{a!r} was given twice.", "Name two models.")
    one, other = fingerprint_model(a, progress=progress), fingerprint_model(b, progress=progress)
    comparison, forward = explain(one, other)
    _, backward = explain(other, one)
    return Pair(
        first=a,
        second=b,
        comparison=comparison,
        first_to_second=forward.evidence,
        second_to_first=backward.evidence,
        tree=recover_tree({a: one, b: other}, {}),
        deep=_deep(a, b, one, progress) if deep else None,
    )


def _deep(first: str, second: str, fingerprint: Fingerprint, progress: Progress | None) -> Deep:
    from mlflow_mother.api.deep import compare_deeply

    return compare_deeply(first, second, fingerprint, progress)


def show(uri: str) -> Lineage:
    """The part of the registry's tree that concerns one version, as it is known now.

    Args:
        uri: ``models:/name/version`` or ``models:/name@alias``.

    Raises:
        RegistryError: There is no such version, or it has no lineage yet.
    """
    service = registered.current_service()
    return service.show(registered.version_at(service, uri))


def ancestors(uri: str) -> Relatives:
    """The registered versions that a version descends from, nearest first.

    Args:
        uri: ``models:/name/version`` or ``models:/name@alias``.

    Raises:
        RegistryError: There is no such version, or it has no lineage yet.
    """
    service = registered.current_service()
    return registered.ancestors_of(service, registered.version_at(service, uri))


def descendants(uri: str) -> Relatives:
    """The registered versions that descend from a version, nearest first.

    Args:
        uri: ``models:/name/version`` or ``models:/name@alias``.

    Raises:
        RegistryError: There is no such version, or it has no lineage yet.
    """
    service = registered.current_service()
    return registered.descendants_of(service, registered.version_at(service, uri))


def audit() -> Audit:
    """Compares declared with inferred parents for every version of the registry that is not exempt.

    Raises:
        RegistryError: The registry cannot be reached.
    """
    service = registered.current_service()
    rows, tree = service.audit(), service.tree()
    verdicts = {row.uri: row.verdict for row in rows}
    nodes = tuple(node.model_copy(update={"verdict": verdicts.get(node.id)}) for node in tree.nodes)
    return Audit(rows=rows, tree=tree.model_copy(update={"nodes": nodes}))


@overload
def reconcile(
    *,
    dry_run: Literal[True],
    since: datetime | None = None,
    model: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Plan: ...


@overload
def reconcile(
    *,
    dry_run: Literal[False] = False,
    since: datetime | None = None,
    model: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Report: ...


def reconcile(
    *,
    dry_run: bool = False,
    since: datetime | None = None,
    model: str | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Plan | Report:
    """Does everything in the registry that is not done yet, or says how much that is.

    Args:
        dry_run: Only say; nothing is changed.
        since: Only versions registered at or after this time; local time where it has no zone.
        model: Only this registered model.
        limit: At most this many versions.
        progress: Called with the versions done and all to do.

    Raises:
        RegistryError: The registry cannot be reached.
        StoreError: Mother's tables cannot be used.
    """
    seconds = None if since is None else since.timestamp()
    service = registered.current_service()
    if dry_run:
        return service.reconcile(dry_run=True, since=seconds, model=model, limit=limit)
    return service.reconcile(since=seconds, model=model, limit=limit, progress=stage(progress, "reconciling"))
