"""networkx' node-link JSON, which D3 and many graph viewers read."""

from __future__ import annotations

import json

from mlflow_mother.types import ModelTree


def to_node_link(tree: ModelTree) -> str:
    """The tree as node-link JSON with the keys ``nodes`` and ``edges``.

    Read it back with ``networkx.node_link_graph(json.loads(text), edges="edges")``.
    """
    import networkx as nx  # Not at the top: it takes longer to load than everything else here.

    data = nx.node_link_data(tree.to_networkx(), edges="edges")
    data["graph"] = {"schema_version": tree.schema_version, "roots": list(tree.roots)}
    return json.dumps(data, indent=2) + "\n"
