"""The verbs for the registry: addresses, and the service's answers cut to what was asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from mlflow_mother.api.local import Progress
from mlflow_mother.api.results import Relative, Relatives
from mlflow_mother.errors import MotherError, RegistryError
from mlflow_mother.fingerprint.format import from_bytes
from mlflow_mother.fingerprint.record import Fingerprint
from mlflow_mother.registry.identity import sqlite_file
from mlflow_mother.registry.versions import RegisteredVersion, get_version, list_versions
from mlflow_mother.service import Service
from mlflow_mother.store import Kin
from mlflow_mother.types import Edge, ModelTree, ModelVersionRef

PREFIX = "models:/"
"""How the address of a registered model begins."""


def current_service() -> Service:
    """The service of the registry that MLflow's own calls would use now.

    Raises:
        RegistryError: It is a database file that does not exist; opening it would create one.
    """
    service = Service()
    file = sqlite_file(service.registry.uri)
    if file is not None and not file.exists():
        raise RegistryError(
            f"There is no registry at {service.registry.address}.",
            "Set MLFLOW_TRACKING_URI or MLFLOW_REGISTRY_URI to the registry's address.",
        )
    return service


def version_at(service: Service, uri: str) -> ModelVersionRef:
    """The version that ``models:/name/version`` or ``models:/name@alias`` names.

    Raises:
        RegistryError: The address has another form, or the registry holds no such version.
    """
    ref = service.registry.parse(uri)
    if service.store.version(ref) is None:
        get_version(service.registry, ref)
    return ref


def is_address(address: str) -> bool:
    """Whether this is the address of something in the registry rather than a path."""
    return address.startswith(PREFIX)


def tree_of_models(service: Service, addresses: Sequence[str]) -> ModelTree:
    """The known tree of registered models and their families.

    Args:
        service: The registry's service.
        addresses: ``models:/name`` each, or ``models:/`` for the whole registry.

    Raises:
        RegistryError: Nothing is known of them.
    """
    names = {_model_name(service, address) for address in addresses}
    found = service.tree(None if "" in names else names)
    if not found.nodes:
        raise RegistryError(
            f"Nothing is known of {', '.join(addresses)} in {service.registry.address}.",
            "Check the name and the registry, then run `mlflow-mother reconcile`.",
        )
    return found


def fingerprint_version(service: Service, ref: ModelVersionRef) -> Fingerprint:
    """A registered version's fingerprint, from the store or from its weights.

    Raises:
        RegistryError: The version or its artifacts cannot be reached.
        WeightsError: Its weights cannot be read.
    """
    data = service.store.get_fingerprint(service.fingerprint_version(ref))
    if data is None:
        raise RegistryError(f"The fingerprint of {ref.uri} was deleted just now.", "Try again.")
    return from_bytes(data)


def fingerprint_addresses(
    service: Service, addresses: Sequence[str], progress: Progress | None = None
) -> tuple[dict[str, Fingerprint], dict[str, MotherError], dict[str, float]]:
    """Fingerprints of all versions that addresses name; one that cannot be read does not stop the others.

    Returns:
        Fingerprints, errors, and registration times in unix seconds, each by the version's address.

    Raises:
        RegistryError: The registry cannot be reached, or holds none of a model.
    """
    versions = {version.ref: version for address in addresses for version in _versions_at(service, address)}
    found: dict[str, Fingerprint] = {}
    failed: dict[str, MotherError] = {}
    for done, ref in enumerate(versions):
        try:
            found[ref.uri] = fingerprint_version(service, ref)
        except MotherError as error:
            failed[ref.uri] = error
        if progress is not None:
            progress("reading the registry", done + 1, len(versions))
    return found, failed, {ref.uri: version.created for ref, version in versions.items()}


def ancestors_of(service: Service, ref: ModelVersionRef) -> Relatives:
    """What a version descends from.

    Raises:
        RegistryError: The version has no lineage yet.
    """
    return _relatives(service, ref, service.ancestors(ref), ModelTree.parents)


def descendants_of(service: Service, ref: ModelVersionRef) -> Relatives:
    """What descends from a version.

    Raises:
        RegistryError: The version has no lineage yet.
    """
    return _relatives(service, ref, service.descendants(ref), ModelTree.children)


def _relatives(
    service: Service, ref: ModelVersionRef, kin: Collection[Kin], step: Callable[[ModelTree, str], tuple[Edge, ...]]
) -> Relatives:
    # For its error only: a lineage is cut in very large families, so the edges come from the whole tree.
    service.show(ref)
    whole = service.tree([ref.name])
    nodes, edges, level = {ref.uri}, set[Edge](), [ref.uri]
    while level:
        new = {edge for name in level for edge in step(whole, name)}
        edges |= new
        level = sorted({end for edge in new for end in (edge.parent, edge.child)} - nodes)
        nodes.update(level)
    children = {edge.child for edge in edges}
    tree = ModelTree(
        nodes=tuple(node for node in whole.nodes if node.id in nodes),
        roots=tuple(node.id for node in whole.nodes if node.id in nodes - children),
        edges=tuple(edge for edge in whole.edges if edge in edges),
    )
    found = tuple(Relative(uri=one.ref.uri, generations=one.depth) for one in kin)
    return Relatives(subject=ref.uri, relatives=found, tree=tree)


def _versions_at(service: Service, address: str) -> list[RegisteredVersion]:
    if _is_version(address):
        return [get_version(service.registry, service.registry.parse(address))]
    found = [v for v in list_versions(service.registry, address.removeprefix(PREFIX) or None) if not v.ignored]
    if not found:
        raise RegistryError(f"{service.registry.address} holds no versions of {address}.", "Check the name.")
    return found


def _model_name(service: Service, address: str) -> str:
    """The registered model of an address, which may name a version or an alias; empty for the whole registry."""
    path = address.removeprefix(PREFIX)
    return service.registry.parse(address).name if _is_version(address) else path


def _is_version(address: str) -> bool:
    # MLflow forbids both characters in the names of models.
    return "/" in address.removeprefix(PREFIX) or "@" in address
