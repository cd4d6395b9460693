"""Trees that the export tests draw."""

from __future__ import annotations

from hypothesis import strategies as st

from mlflow_mother.types import Edge, Evidence, ModelTree, Node, Relation, Status, Verdict

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "]]><!-- --><![CDATA[",
    "javascript:alert(1)",
    "&lt;b&gt;&#x3c;script&#x3e;",
    "null\x00bell\x07escape\x1b[31mred",
    "right\u202eto left \u2066isolate",
    "line\nbreak\ttab\u2028separator",
    "lone surrogate \ud800 and noncharacter \uffff",
    "识别模型 نموذج модель मॉडल 🤖",
    "n" * 5000,
    "9" * 5000,
)


REASONS = (
    Evidence(kind="projection", text="The projection is 0.02 +- 0.01.", value=0.02, log_odds=3.5),
    Evidence(kind="digest", text="3 of 148 tensors are untouched.", value=3),
)


def uri(version: int, name: str = "fraud-detector") -> str:
    return f"models:/{name}/{version}"


def tree(nodes: list[Node | str], edges: list[Edge]) -> ModelTree:
    records = [n if isinstance(n, Node) else Node(id=n, status=Status.DONE, parameters=11_700_000) for n in nodes]
    children = {edge.child for edge in edges if edge.direction == "decided"}
    return ModelTree(
        nodes=tuple(records), edges=tuple(edges), roots=tuple(sorted(n.id for n in records if n.id not in children))
    )


def edge(parent: str, child: str, relation: Relation = Relation.FINETUNE, probability: float = 0.97, **more) -> Edge:
    more.setdefault("evidence", REASONS)
    return Edge(parent=parent, child=child, relation=relation, probability=probability, **more)


def everything() -> ModelTree:
    """A tree with each sign that a picture knows: a merge, an unregistered ancestor, a conflict, a failure, a loner."""
    return tree(
        [
            *(uri(i) for i in range(1, 8)),
            Node(
                id=uri(1, "churn"),
                aliases=("champion",),
                parameters=420_000,
                verdict=Verdict.CONFLICT,
                declared_parents=("models:/other/1",),
                status=Status.DONE,
            ),
            uri(2, "churn"),
            Node(id=uri(1, "broken"), status=Status.FAILED, note="The file ends after 17 of 64 bytes."),
            uri(1, "ocr"),
            uri(2, "ocr"),
            uri(1, "unrelated"),
            Node(id="unregistered:1", kind="unregistered"),
        ],
        [
            edge(uri(1), uri(2)),
            edge(uri(1), uri(3), Relation.PARTIAL_FINETUNE, 0.88),
            edge(uri(1), uri(4), Relation.CAST, 1.0),
            edge(uri(2), uri(5), Relation.LORA_MERGED, 0.993, rank=8),
            edge(uri(3), uri(6), Relation.MERGE, 0.93, weight=0.6),
            edge(uri(5), uri(6), Relation.MERGE, 0.91, weight=0.4),
            edge(uri(4), uri(7), Relation.PRUNED, 0.74),
            edge("unregistered:1", uri(1, "churn"), Relation.FINETUNE, 0.86),
            edge("unregistered:1", uri(2, "churn"), Relation.FINETUNE, 0.9),
            edge(
                uri(1, "ocr"), uri(2, "ocr"), Relation.FINETUNE, 0.55, direction="undecided", direction_probability=0.6
            ),
        ],
    )


def chain(length: int) -> ModelTree:
    return tree([uri(i) for i in range(length)], [edge(uri(i), uri(i + 1)) for i in range(length - 1)])


def star(leaves: int) -> ModelTree:
    return tree([uri(i) for i in range(leaves + 1)], [edge(uri(0), uri(i)) for i in range(1, leaves + 1)])


def hostile(text: str) -> ModelTree:
    """A tree that says ``text`` in every place where a tree can say something."""
    reason = (Evidence(kind=text, text=text), Evidence(kind=text, text=text))
    return ModelTree(
        nodes=(
            Node(id=f"a{text}", label=text, note=text, format=text, aliases=(text,), declared_parents=(text,)),
            Node(id=f"b{text}", verdict=Verdict.CONFLICT, declared_parents=(text,), status=Status.FAILED),
            Node(id=f"c{text}", kind="unregistered", note=text),
        ),
        roots=(f"a{text}",),
        edges=(
            Edge(parent=f"a{text}", child=f"b{text}", relation=Relation.MERGE, probability=0.5, evidence=reason),
            Edge(
                parent=f"b{text}",
                child=f"c{text}",
                relation=Relation.FINETUNE,
                probability=0.5,
                direction="undecided",
                evidence=reason,
            ),
        ),
    )


@st.composite
def trees(draw: st.DrawFn, most: int = 24) -> ModelTree:
    """Any graph: forests, merges, undecided edges in any number, cycles, dangling ends."""
    count = draw(st.integers(1, most))
    ends = st.integers(0, count)  # one past the end: a node that does not exist
    found: dict[tuple[int, int], Edge] = {}
    for _ in range(draw(st.integers(0, 2 * count))):
        a, b = draw(ends), draw(ends)
        if draw(st.integers(0, 4)):
            a, b = min(a, b), max(a, b)
        found[a, b] = edge(
            uri(a),
            uri(b),
            draw(st.sampled_from(Relation)),
            draw(st.floats(0, 1)),
            direction="undecided" if draw(st.integers(0, 3)) == 0 else "decided",
            weight=draw(st.sampled_from([0.4, 0.6, 1.0])),
            evidence=(),
        )
    return tree([uri(i) for i in range(count)], list(found.values()))


@st.composite
def long_trees(draw: st.DrawFn) -> ModelTree:
    """Deep and narrow graphs, which are folded: a few chains with links between them."""
    lengths = draw(st.lists(st.integers(14, 30), min_size=1, max_size=3))
    nodes = [(c, i) for c, length in enumerate(lengths) for i in range(length)]
    edges = {((c, i), (c, i + 1)) for c, i in nodes if i + 1 < lengths[c]}
    for _ in range(draw(st.integers(0, 4))):
        a, b = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        if a[1] < b[1]:
            edges.add((a, b))
    return tree(
        [uri(i, f"chain{c}") for c, i in nodes],
        [
            edge(uri(a[1], f"chain{a[0]}"), uri(b[1], f"chain{b[0]}"), Relation.MERGE, evidence=())
            for a, b in sorted(edges)
        ],
    )
