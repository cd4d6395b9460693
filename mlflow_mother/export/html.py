"""The page ``lineage.html``: picture, edges with their evidence, declared against inferred parents.

The page is self-contained and has no script, since MLflow shows it in a sandboxed frame; its own security policy
forbids every load, so that a name that slipped through the escaping would still be inert.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlflow_mother.export.layout import layout
from mlflow_mother.export.structure import nodes_by_id
from mlflow_mother.export.svg import RELATION_COLOURS, draw, style_sheet
from mlflow_mother.export.text import (
    VERDICT_WORDS,
    counted,
    edge_label,
    edge_sentence,
    escape,
    node_details,
    node_name,
    probability_text,
    share_text,
    split_uri,
)
from mlflow_mother.types import Edge, ModelTree, Node, Status, Verdict

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--text:#11171c;--soft:#566773;--line:#dde3e9;--card:#f6f8fa}
:root{--focus:#1f6fb2;--alarm:#c0264b;--warn:#8a5a00;--good:#1d8348}
@media (prefers-color-scheme:dark){
:root{--bg:#11171c;--text:#e8ecf0;--soft:#9dafbc;--line:#37444f;--card:#1a2229}
:root{--focus:#5aa9e6;--alarm:#ff7d92;--warn:#e3b341;--good:#52c182}
}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);line-height:1.5;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;font-size:14px}
main{max-width:1280px;margin:0 auto;padding:24px}
h1{font-size:22px;line-height:1.3;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:16px;margin:32px 0 8px}
p{margin:4px 0;max-width:75ch}
ul{margin:4px 0;padding-left:20px}
.soft,footer{color:var(--soft)}
.lead{font-size:15px;overflow-wrap:anywhere}
.picture{overflow:auto;max-height:80vh;margin:16px 0 0;border:1px solid var(--line);border-radius:8px}
.picture svg{display:block;margin:0 auto}
.picture svg{max-width:100%;height:auto}
#fit~.picture svg{max-width:none}
#fit:checked~.picture svg{max-width:100%;min-width:0}
.fit{display:inline-block;margin-top:16px;color:var(--soft);font-size:13px}
#fit{margin:18px 6px 0 0;vertical-align:-1px;accent-color:var(--focus)}
.table{overflow-x:auto}
table{border-collapse:collapse;width:100%;min-width:700px}
th{color:var(--soft);font-weight:500;font-size:12px;text-align:left;white-space:nowrap}
th,td{padding:8px 16px 8px 0;border-bottom:1px solid var(--line);vertical-align:top}
td{overflow-wrap:anywhere;min-width:8ch}
td.number{font-variant-numeric:tabular-nums}
summary{cursor:pointer}summary::marker{color:var(--focus)}
details ul{margin-top:6px}
.tag{display:inline-block;white-space:nowrap;font-weight:600}
.tag::before{content:"";display:inline-block;width:8px;height:8px;border-radius:50%;background:currentColor;
margin-right:6px}
.conflict{color:var(--alarm)}.undocumented{color:var(--warn)}.confirmed{color:var(--good)}
.unrelated,.undecided{color:var(--soft)}
.counts{display:flex;flex-wrap:wrap;gap:12px 32px;margin:12px 0 0;padding:0;list-style:none}
.counts b{font-size:20px;font-weight:600;display:block;line-height:1.2;color:var(--text)}
.counts li{width:20ch}
.counts .soft{font-size:12px;line-height:1.35;margin-top:2px}
footer{margin-top:40px;padding-top:12px;border-top:1px solid var(--line);font-size:12px}
@media print{.picture{max-height:none;overflow:visible}.picture svg{max-width:100%;height:auto}}
"""

_PAGE_WIDTH = 1190
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def to_html(tree: ModelTree, *, title: str, subject: str | None = None) -> str:
    """A self-contained page about a tree.

    Args:
        tree: The tree.
        title: Heading of the page.
        subject: Id of the node that the page is about; pointed out in the picture and summed up in words.
    """
    nodes = nodes_by_id(tree)
    body = [f"<h1>{escape(title)}</h1>", _lead(tree, nodes, subject), picture(tree, subject), _edges(tree, nodes)]
    body.append(_declared(tree))
    return page(title, "\n".join(part for part in body if part))


def page(title: str, body: str) -> str:
    """A whole document around a body; both style sheets included.

    Args:
        title: The document's title, unescaped.
        body: HTML.
    """
    relations = "".join(f".r-{r.value}{{color:{light}}}" for r, (light, _) in RELATION_COLOURS.items())
    dark = "".join(f".r-{r.value}{{color:{dark}}}" for r, (_, dark) in RELATION_COLOURS.items())
    style = f"{_STYLE}{relations}\n@media (prefers-color-scheme:dark){{{dark}}}\n{style_sheet()}"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(title)}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
<footer>Inferred from the weights by mlflow-mother. A probability is that of the whole statement: this parent, in this
direction. A dotted line joins two related models of which the weights do not say which came first.</footer>
</main>
</body>
</html>
"""


def picture(tree: ModelTree, subject: str | None = None) -> str:
    """The tree in a frame that scrolls, with a switch that fits it to the page's width."""
    plan = layout(tree)
    drawing = draw(tree, plan, current=subject, embed_css=False)
    switch = '<input type="checkbox" id="fit"><label class="fit" for="fit">Fit to width</label>\n'
    return f'<div>{switch if plan.width > _PAGE_WIDTH else ""}<div class="picture" tabindex="0">\n{drawing}</div></div>'


def full_name(node: Node) -> str:
    """Name and version of a node, e.g. ``fraud-detector v12``."""
    _, version = split_uri(node.id)
    return f"{node_name(node)} v{version}" if version else node_name(node)


def _name(nodes: dict[str, Node], node_id: str) -> str:
    return full_name(nodes[node_id]) if node_id in nodes else node_id


def _lead(tree: ModelTree, nodes: dict[str, Node], subject: str | None) -> str:
    """What is known of the subject, in sentences."""
    if subject is None or subject not in nodes:
        counts = f"{counted(len(nodes), 'model')}, {counted(len(tree.edges), 'edge')}"
        return f'<p class="lead soft">{counts}, {len(tree.roots)} without a parent.</p>' if nodes else ""
    touching = [e for e in tree.edges if subject in (e.parent, e.child)]
    parents = [e for e in touching if e.child == subject and e.direction == "decided"]
    children = [e for e in touching if e.parent == subject and e.direction == "decided"]
    undecided = [e for e in touching if e.direction == "undecided"]
    sentences = [
        edge_sentence(e, (_name(nodes, e.parent), _name(nodes, e.child)))[:-1]
        + f" (probability {probability_text(e.probability)})."
        for e in [*(parents if len(parents) == 1 else ()), *undecided]
    ]
    if len(parents) > 1:
        shares = [f"{_name(nodes, e.parent)} ({share_text(e.weight)})" for e in parents]
        least = probability_text(min(e.probability for e in parents))
        sentences.insert(0, f"{_name(nodes, subject)} is a merge of {_joined(shares)} (probability at least {least}).")
    if not touching:
        unread = nodes[subject].status in {Status.PENDING, Status.FAILED, Status.UNSUPPORTED}
        found = "was not compared with other models" if unread else "has no relatives among the known models"
        sentences.append(f"{_name(nodes, subject)} {found} yet.")
    elif not parents and not undecided:
        sentences.append(f"{_name(nodes, subject)} has no parent among the known models.")
    if children:
        sentences.append(
            f"{len(children)} known {'model descends' if len(children) == 1 else 'models descend'} from it directly."
        )
    detail = " · ".join(node_details(nodes[subject]))
    return (f'<p class="soft">{escape(detail)}</p>' if detail else "") + "".join(
        f'<p class="lead">{escape(sentence)}</p>' for sentence in sentences
    )


def _joined(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1]


def _edges(tree: ModelTree, nodes: dict[str, Node]) -> str:
    if not tree.edges:
        return ""
    rows = "\n".join(_edge_row(edge, nodes) for edge in tree.edges)
    return (
        '<h2>Edges and their evidence</h2>\n<div class="table"><table>\n<thead><tr><th>Child</th><th>Parent</th>'
        f"<th>Relation</th><th>Probability</th><th>Evidence</th></tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
    )


def _edge_row(edge: Edge, nodes: dict[str, Node]) -> str:
    parent, child = _name(nodes, edge.parent), _name(nodes, edge.child)
    relation = edge_label(edge).rpartition(" ")[0]
    note = "" if edge.direction == "decided" else '<div class="soft">direction undecided</div>'
    return (
        f'<tr><td title="{escape(edge.child)}">{escape(child)}</td><td title="{escape(edge.parent)}">{escape(parent)}'
        f'</td><td><span class="tag r-{edge.relation.value}">{escape(relation)}</span>{note}</td>'
        f'<td class="number">{probability_text(edge.probability)}</td><td>{_evidence(edge)}</td></tr>'
    )


def _evidence(edge: Edge) -> str:
    """The strongest reason, the others behind it."""
    reasons = [escape(evidence.text) for evidence in edge.evidence]
    if len(reasons) < 2:
        return "".join(reasons)
    more = "".join(f"<li>{reason}</li>" for reason in reasons[1:])
    return f"<details><summary>{reasons[0]}</summary><ul>{more}</ul></details>"


def _declared(tree: ModelTree) -> str:
    """Declared beside inferred parents, for the nodes where somebody declared or audited something."""
    rows = []
    nodes = nodes_by_id(tree)
    for node in tree.nodes:
        if not node.declared_parents and node.verdict is None:
            continue
        inferred = [_name(nodes, edge.parent) for edge in tree.parents(node.id)]
        rows.append(
            f'<tr><td title="{escape(node.id)}">{escape(full_name(node))}</td><td>{listed(node.declared_parents)}</td>'
            f"<td>{listed(inferred)}</td><td>{_verdict_cell(node.verdict)}</td></tr>"
        )
    if not rows:
        return ""
    return (
        '<h2>Declared against inferred</h2>\n<div class="table"><table>\n<thead><tr><th>Model</th>'
        "<th>Declared parent</th><th>Inferred parent</th><th>Verdict</th></tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def listed(names: Sequence[str]) -> str:
    """Names one below the other, escaped."""
    return "<br>".join(escape(name) for name in names) or '<span class="soft">none</span>'


def _verdict_cell(verdict: Verdict | None) -> str:
    """A verdict with its meaning."""
    if verdict is None:
        return ""
    return f'<span class="tag {verdict.value}">{verdict.value}</span><div class="soft">{VERDICT_WORDS[verdict]}</div>'
