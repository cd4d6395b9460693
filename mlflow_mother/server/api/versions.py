"""What is told of a version beside the tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mlflow_mother.registry.versions import RegisteredVersion
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.records import DecisionInfo, Declared, FingerprintInfo, VersionInfo
from mlflow_mother.store import Decision, FingerprintFacts, StoredVersion


def version_infos(
    caller: Caller, ids: Iterable[str], registered: Mapping[str, RegisteredVersion] | None = None
) -> dict[str, VersionInfo]:
    """Everything that is known of some versions, by node id.

    Args:
        caller: Who asks.
        ids: Node ids of versions that they may see.
        registered: What the registry says of those that were looked up already.
    """
    registered = registered or {}
    view, names = caller.view, list(ids)
    known = {uri: version for uri in names if (version := view.version(uri))}
    digests = {one.digest for one in known.values() if one.digest}
    facts = caller.service.forests.facts(digests)
    return {uri: _info(caller, uri, known.get(uri), registered.get(uri), facts) for uri in names}


def decision_info(decision: Decision) -> DecisionInfo:
    """A decision as the API tells it."""
    return DecisionInfo(
        kind=decision.kind, parent=decision.parent, by=decision.by or None, at=decision.at, note=decision.note
    )


def _info(
    caller: Caller,
    uri: str,
    known: StoredVersion | None,
    registered: RegisteredVersion | None,
    facts: Mapping[str, FingerprintFacts],
) -> VersionInfo:
    ref, view = caller.parse(uri), caller.view
    model = caller.find_model(ref.name)
    row = view.row(uri)
    return VersionInfo(
        id=uri,
        name=ref.name,
        version=ref.version,
        status=known.status if known else None,
        ignored=registered.ignored if registered else bool(known and known.ignored),
        reason=view.reason(known) if known else "",
        aliases=model.aliases.get(ref.version, ()) if model else (),
        stage=registered.stage if registered else model.stages.get(ref.version) if model else None,
        registered_at=(known.registered_at if known else None) or (registered.created if registered else None),
        declared=tuple(Declared(parent=said.parent, source=said.source) for said in view.declared(uri)),
        decisions=tuple(decision_info(decision) for decision in view.decisions(uri)),
        verdict=row.verdict if row else None,
        fingerprint=_fingerprint(known, facts),
    )


def _fingerprint(known: StoredVersion | None, facts: Mapping[str, FingerprintFacts]) -> FingerprintInfo | None:
    found = facts.get(known.digest) if known and known.digest else None
    if known is None or known.digest is None or known.spec is None or found is None:
        return None
    return FingerprintInfo(
        digest=known.digest,
        parameters=found.parameters,
        tensors=found.tensors,
        format=found.format,
        spec=known.spec,
    )
