"""Two versions side by side."""

from __future__ import annotations

from mlflow_mother.errors import FingerprintError
from mlflow_mother.export import layout
from mlflow_mother.server.api.caller import Caller
from mlflow_mother.server.api.errors import bad_request, conflict
from mlflow_mother.server.api.lineage import with_particulars
from mlflow_mother.server.api.records import CompareAnswer, NodeId
from mlflow_mother.server.api.versions import version_infos
from mlflow_mother.types import Record


class CompareQuery(Record):
    """Which two.

    Attributes:
        a: Node id of a version.
        b: Node id of another one.
    """

    a: NodeId
    b: NodeId


def compare(caller: Caller, query: CompareQuery) -> CompareAnswer:
    """All evidence on a pair of versions, both of which the user may see."""
    from mlflow_mother.service.comparing import compare_versions

    first, second = caller.parse(query.a), caller.parse(query.b)
    if first == second:
        raise bad_request("Name two versions; this is the same one twice.")
    for ref in (first, second):
        caller.version(ref.name, ref.version)
        if caller.view.version(ref.uri) is None:
            raise conflict(f"{ref.uri} has no fingerprint yet. Wait for its analysis, or analyse it again.")
    try:
        settings = caller.service.settings
        pair = compare_versions(caller.service.store, first, second, settings.decide_probability)
    except FingerprintError as error:
        raise conflict(str(error)) from error
    told = pair.tree.model_copy(update={"edges": tuple(caller.view.told(edge) for edge in pair.tree.edges)})
    tree = with_particulars(told, version_infos(caller, [first.uri, second.uri]))
    edge = next((e for e in tree.edges if {e.parent, e.child} == {first.uri, second.uri}), None)
    return CompareAnswer(
        first=first.uri,
        second=second.uri,
        relation=edge.relation if edge else None,
        evidence=edge.evidence if edge else (),
        first_to_second=caller.view.told_evidence(pair.forward),
        second_to_first=caller.view.told_evidence(pair.backward),
        tensors=pair.comparison.tensors,
        identical=pair.comparison.identical,
        cosine=pair.comparison.cosine,
        chance=pair.comparison.chance,
        tree=tree,
        layout=layout(tree),
    )
