"""The records that every package speaks in: frozen, validated, with a published JSON Schema."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import networkx as nx

SCHEMA_VERSION = "1.0"
"""Version of the tree and lineage schema; the major number changes when a reader would break."""


def _storable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


Text = Annotated[str, AfterValidator(_storable)]
"""Words for people. Lone surrogates, which undecodable file names and plugins bring, become question marks: no
document, page or database takes them."""


class Record(BaseModel):
    """Immutable, strict base of all records."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Relation(str, Enum):
    """What was done to the parent to get the child.

    The first four are Hugging Face's ``base_model_relation`` values.
    """

    FINETUNE = "finetune"
    ADAPTER = "adapter"
    QUANTIZED = "quantized"
    MERGE = "merge"
    LORA_MERGED = "lora-merged"
    PARTIAL_FINETUNE = "partial-finetune"
    CAST = "cast"
    PRUNED = "pruned"
    EXTENDED = "extended"
    COPY = "copy"
    SIBLING = "sibling"


class Status(str, Enum):
    """Where a model version's analysis stands; the value of the tag ``mother.status``."""

    PENDING = "pending"
    DONE = "done"
    UNDECIDED = "undecided"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


class Verdict(str, Enum):
    """What an audit says of one version, comparing declared and inferred parents."""

    CONFIRMED = "confirmed"
    UNDOCUMENTED = "undocumented"
    CONFLICT = "conflict"
    UNRELATED = "unrelated"
    UNDECIDED = "undecided"


class ModelVersionRef(Record):
    """A model version inside one registry (and workspace).

    Attributes:
        registry: Stable identifier of the registry, as made by ``registry.identity``.
        name: Registered model's name.
        version: Version, a decimal string as in MLflow.
    """

    registry: str
    name: str
    version: str

    @property
    def uri(self) -> str:
        """The ``models:/name/version`` address."""
        return f"models:/{self.name}/{self.version}"


class TensorSpec(Record):
    """Name, element type and shape of one tensor.

    Attributes:
        name: Dotted name as stored in the file.
        dtype: safetensors' name of the element type (``F32``, ``BF16``, ``F8_E4M3``, ``I8``, ...).
        shape: Dimensions; empty for a scalar.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


class Evidence(Record):
    """One reason for or against an edge, in plain words.

    Attributes:
        kind: Machine-readable name, e.g. ``projection``, ``digest``, ``rank``, ``zeros``, ``declared``.
        text: A sentence a person can check.
        value: The number behind it, if there is one.
        log_odds: How far it moves the edge's log-odds (natural logarithm), if it was weighed.
    """

    kind: Text
    text: Text
    value: float | None = None
    log_odds: float | None = None


class Node(Record):
    """A model of the tree, or an ancestor that the geometry demands and nobody registered.

    Attributes:
        id: Path as given, ``models:/name/version``, or ``unregistered:<n>``.
        kind: Whether somebody registered (or passed) it.
        label: Short text for pictures; the id when empty.
        status: Analysis status, when the model is a registered version.
        parameters: Number of elements over all tensors.
        format: Weight format, e.g. ``safetensors``.
        declared_parents: Ids (or free text) of the parents that the model's metadata names.
        aliases: Registry aliases.
        verdict: Declared against inferred, when audited.
        note: A remark for people, e.g. why nothing could be read.
    """

    id: str
    kind: Literal["model", "unregistered"] = "model"
    label: Text = ""
    status: Status | None = None
    parameters: int | None = None
    format: Text | None = None
    declared_parents: tuple[Text, ...] = ()
    aliases: tuple[Text, ...] = ()
    verdict: Verdict | None = None
    note: Text | None = None


class Edge(Record):
    """A directed heritage edge.

    Attributes:
        parent: Id of the parent node. An undecided edge lists its two ends sorted by id.
        child: Id of the child node.
        relation: What was done to the parent.
        probability: Probability of this directed edge.
        direction: Whether the direction is decided.
        direction_probability: Probability of this direction, given that the two are parent and child.
        weight: Share of this parent in the child: 1 for a single parent, a coefficient for merges.
        rank: Rank of the update, where it was found to be low.
        evidence: Why, strongest first.
    """

    parent: str
    child: str
    relation: Relation
    probability: float = Field(ge=0.0, le=1.0)
    direction: Literal["decided", "undecided"] = "decided"
    direction_probability: float = Field(default=1.0, ge=0.0, le=1.0)
    weight: float = 1.0
    rank: int | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def precedence(self) -> tuple[float, float, str]:
        """Orders the parents of one child: the heaviest comes last, of equally heavy ones the most probable."""
        return self.weight, self.probability, self.parent


class ModelTree(Record):
    """A recovered model tree (a forest, with several parents where models were merged).

    Attributes:
        schema_version: Version of this schema.
        nodes: All models, sorted by id, unregistered ancestors last.
        roots: Ids of the nodes without an inferred parent, sorted.
        edges: All edges, sorted by child then parent.
    """

    schema_version: str = SCHEMA_VERSION
    nodes: tuple[Node, ...] = ()
    roots: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()

    def node(self, node_id: str) -> Node:
        """Returns the node with this id.

        Raises:
            KeyError: No such node.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    def parents(self, node_id: str) -> tuple[Edge, ...]:
        """Edges of decided direction that end in ``node_id``."""
        return tuple(e for e in self.edges if e.child == node_id and e.direction == "decided")

    def children(self, node_id: str) -> tuple[Edge, ...]:
        """Edges of decided direction that start in ``node_id``."""
        return tuple(e for e in self.edges if e.parent == node_id and e.direction == "decided")

    def to_networkx(self) -> nx.DiGraph[str]:
        """A directed graph whose nodes and edges carry the records' fields as attributes."""
        import networkx as nx

        graph: nx.DiGraph[str] = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.id, **node.model_dump(mode="json", exclude={"id"}))
        for edge in self.edges:
            graph.add_edge(edge.parent, edge.child, **edge.model_dump(mode="json", exclude={"parent", "child"}))
        return graph

    def to_mermaid(self) -> str:
        """The tree as a Mermaid flowchart."""
        from mlflow_mother.export.mermaid import to_mermaid

        return to_mermaid(self)

    def _repr_html_(self) -> str:
        from mlflow_mother.export.svg import to_svg

        return to_svg(self)


class Lineage(ModelTree):
    """The part of a tree that concerns one subject: what ``lineage.json`` holds.

    Attributes:
        subject: Id of the node this lineage is about.
        subject_digest: Digest of the subject's weights, so that a copied tag or file is recognised as foreign.
        spec: Version of the fingerprint spec behind it.
        mother_version: Release of mlflow-mother that made it.
    """

    subject: str
    subject_digest: str
    spec: str
    mother_version: str


def tree_json_schema() -> dict[str, Any]:
    """The JSON Schema of :class:`ModelTree` (``tree --format json``)."""
    return ModelTree.model_json_schema()


def lineage_json_schema() -> dict[str, Any]:
    """The JSON Schema of :class:`Lineage` (``lineage.json``)."""
    return Lineage.model_json_schema()
