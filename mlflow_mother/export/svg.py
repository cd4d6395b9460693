"""The picture of a tree: one self-contained SVG, light and dark, without scripts, fonts or identifiers."""

from __future__ import annotations

from collections import Counter

from mlflow_mother.export.layout import Layout, PlacedEdge, PlacedNode, layout
from mlflow_mother.export.structure import nodes_by_id
from mlflow_mother.export.text import counted, edge_tooltip, escape, node_tooltip, text_width
from mlflow_mother.types import Edge, ModelTree, Node, Relation, Status, Verdict

RELATION_COLOURS: dict[Relation, tuple[str, str]] = {
    Relation.FINETUNE: ("#1f6fb2", "#5aa9e6"),
    Relation.PARTIAL_FINETUNE: ("#0a7d8c", "#40bccb"),
    Relation.ADAPTER: ("#6b4fc8", "#a794f2"),
    Relation.LORA_MERGED: ("#9b3bb8", "#d184e6"),
    Relation.MERGE: ("#1d8348", "#52c182"),
    Relation.QUANTIZED: ("#b35c00", "#f0a04b"),
    Relation.CAST: ("#8a6a00", "#d9ba45"),
    Relation.PRUNED: ("#a5432a", "#ec8b6d"),
    Relation.EXTENDED: ("#b2317a", "#f07fb8"),
    Relation.COPY: ("#5b6b78", "#98a9b6"),
    Relation.SIBLING: ("#5b6b78", "#98a9b6"),
}
"""Line colour of each relation, light and dark."""

_COLOURS = {
    "bg": ("#ffffff", "#11171c"),
    "card": ("#ffffff", "#1c242b"),
    "line": ("#c0cad4", "#475663"),
    "stem": ("#8596a4", "#6d7f8d"),
    "text": ("#11171c", "#e8ecf0"),
    "soft": ("#566773", "#9dafbc"),
    "focus": ("#1f6fb2", "#5aa9e6"),
    "focus-bg": ("#eaf3fb", "#17324a"),
    "alarm": ("#c0264b", "#ff7d92"),
    "alarm-bg": ("#fdf0f2", "#3a1c25"),
}

_RULES = """
.mother-svg{background:var(--bg);font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
.mother-svg .page{fill:var(--bg)}
.mother-svg text{fill:var(--text);font-size:11px}
.mother-svg .soft{fill:var(--soft)}
.mother-svg .box{fill:var(--card);stroke:var(--line)}
.mother-svg .name{font-size:13px;font-weight:600}
.mother-svg .dense .name{font-size:11px;font-weight:500}
.mother-svg .dense .soft{font-size:10px}
.mother-svg .unregistered .box{fill:none;stroke:var(--soft);stroke-dasharray:5 4}
.mother-svg .unregistered .name{font-style:italic;font-weight:500;fill:var(--soft)}
.mother-svg .trouble .box{stroke:var(--soft);stroke-dasharray:1.5 3.5}
.mother-svg .conflict .box{stroke:var(--alarm);stroke-width:1.5;fill:var(--alarm-bg)}
.mother-svg .conflict .soft{fill:var(--alarm)}
.mother-svg .sign{fill:var(--alarm)}
.mother-svg .sign+text{fill:var(--bg);font-size:11px;font-weight:700}
.mother-svg .current .box{stroke:var(--focus);stroke-width:2.5}
.mother-svg .current:not(.conflict) .box{fill:var(--focus-bg)}
.mother-svg .edge{color:var(--soft)}
.mother-svg .wire{fill:none;stroke:currentColor;stroke-width:1.75}
.mother-svg .stem{color:var(--stem)}
.mother-svg .weak .wire{stroke-width:1.25;stroke-dasharray:6 3}
.mother-svg .weak .label{font-style:italic}
.mother-svg .undecided .wire{stroke-dasharray:.1 4.5;stroke-linecap:round;stroke-width:2.25}
.mother-svg .touch{fill:none;stroke:transparent;stroke-width:12;pointer-events:stroke}
.mother-svg .head{fill:currentColor}
.mother-svg .label{fill:currentColor;text-anchor:end}
.mother-svg .label{stroke:var(--bg);stroke-width:3px;stroke-linejoin:round;paint-order:stroke}
.mother-svg .edge:hover .touch{stroke:currentColor;stroke-width:4}
"""

WEAK_BELOW = 0.8
"""Edges of a lower probability are dashed."""

_MARGIN = 20.0


def to_svg(tree: ModelTree, *, current: str | None = None, embed_css: bool = True) -> str:
    """Draws a tree.

    Args:
        tree: The tree.
        current: Id of a node to point out.
        embed_css: Whether the picture carries its own style sheet. Pages with several pictures put
            :func:`style_sheet` into their head once instead.

    Returns:
        An ``<svg>`` element that stands alone as a file and inside HTML.
    """
    return draw(tree, layout(tree), current=current, embed_css=embed_css)


def draw(tree: ModelTree, plan: Layout, *, current: str | None = None, embed_css: bool = True) -> str:
    """Draws a tree whose layout is known; see :func:`to_svg`."""
    if not plan.nodes:
        return _empty(embed_css)
    nodes = nodes_by_id(tree)
    edges = {(edge.parent, edge.child): edge for edge in tree.edges}
    legend, legend_width, legend_height = _legend(tree, current, plan.width)
    width = max(plan.width, legend_width) + 2 * _MARGIN
    height = plan.height + 2 * _MARGIN + legend_height
    body = [_stem(line, edges[line.parent, line.child]) for line in plan.edges if line.stem]
    body += [_edge(line, edges[line.parent, line.child]) for line in plan.edges]
    body += [_node(box, nodes[box.id], plan, current) for box in plan.nodes]
    body += [f'<text class="soft" x="{c.x:g}" y="{c.y:g}">{escape(c.text)}</text>' for c in plan.captions]
    drawing = f'<g class="{"dense" if plan.dense else "roomy"}" transform="translate({_MARGIN:g} {_MARGIN:g})">'
    summary = f"Model tree with {counted(len(nodes), 'model')} and {counted(len(plan.edges), 'edge')}"
    place = f'<g transform="translate({_MARGIN:g} {plan.height + _MARGIN:g})">'
    return _page(
        width, height, summary, "\n".join([drawing, *body, "</g>", place, *legend, "</g>"]), embed_css=embed_css
    )


def style_sheet() -> str:
    """The style sheet of all pictures; every rule is scoped to the class ``mother-svg``."""
    light = _variables(0)
    dark = _variables(1)
    relations = "".join(f".mother-svg .r-{r.value}{{color:var(--{r.value})}}\n" for r in Relation)
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}{_RULES}{relations}"


def _variables(scheme: int) -> str:
    pairs = [f"--{name}:{both[scheme]}" for name, both in _COLOURS.items()]
    pairs += [f"--{relation.value}:{both[scheme]}" for relation, both in RELATION_COLOURS.items()]
    return f".mother-svg{{{';'.join(pairs)}}}\n"


def _page(width: float, height: float, summary: str, body: str, *, embed_css: bool) -> str:
    style = f"<style>{style_sheet()}</style>\n" if embed_css else ""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mother-svg" {size} role="img" aria-label="{escape(summary)}">'
        f'\n{style}<rect class="page" width="100%" height="100%"/>\n{body}\n</svg>\n'
    )


def _empty(embed_css: bool) -> str:
    body = (
        '<text class="name" x="210" y="64" text-anchor="middle">No models yet</text>\n'
        '<text class="soft" x="210" y="86" text-anchor="middle">Register a model and its lineage appears here.</text>'
    )
    return _page(420, 140, "Model tree without models", body, embed_css=embed_css)


def _stem(line: PlacedEdge, edge: Edge) -> str:
    dotted = " undecided" if edge.direction == "undecided" else ""
    return f'<g class="stem{dotted}"><path class="wire" d="{line.stem}"/></g>'


def _edge(line: PlacedEdge, edge: Edge) -> str:
    classes = f"edge r-{edge.relation.value}"
    classes += " undecided" if edge.direction == "undecided" else ""
    classes += " weak" if edge.probability < WEAK_BELOW else ""
    parts = [f'<g class="{classes}">{_title(edge_tooltip(edge))}', f'<path class="touch" d="{line.path}"/>']
    parts.append(f'<path class="wire" d="{line.branch}"/>')
    if line.head:
        x, y = line.head
        back = -8 if line.head_points == "right" else 8
        parts.append(f'<path class="head" d="M{x:g} {y:g}l{back} -4v8z"/>')
    if line.label:
        parts.append(f'<text class="label" x="{line.label_x:g}" y="{line.label_y:g}">{escape(line.label)}</text>')
    return "".join(parts) + "</g>"


def _node(box: PlacedNode, node: Node, plan: Layout, current: str | None) -> str:
    classes = ["node"]
    classes += ["unregistered"] if node.kind == "unregistered" else []
    classes += ["conflict"] if node.verdict is Verdict.CONFLICT else []
    classes += ["trouble"] if node.status in {Status.FAILED, Status.UNSUPPORTED} else []
    classes += ["current"] if node.id == current else []
    middle = box.height / 2
    parts = [
        f'<g class="{" ".join(classes)}" transform="translate({box.x:g} {box.y:g})">{_title(node_tooltip(node))}',
        f'<rect class="box" width="{box.width:g}" height="{box.height:g}" rx="{4 if plan.dense else 7}"/>',
    ]
    if plan.dense:
        parts.append(f'<text class="name" x="7" y="{middle + 4:g}">{escape(box.name)}</text>')
        if box.detail:
            at = f'x="{box.width - 7:g}" y="{middle + 4:g}" text-anchor="end"'
            parts.append(f'<text class="soft" {at}>{escape(box.detail)}</text>')
    else:
        lift = 3 if box.detail else -4.5
        parts.append(f'<text class="name" x="12" y="{middle - lift:g}">{escape(box.name)}</text>')
        if box.detail:
            parts.append(f'<text class="soft" x="12" y="{middle + 13:g}">{escape(box.detail)}</text>')
    if node.verdict is Verdict.CONFLICT:
        parts.append(f'<circle class="sign" cx="{box.width:g}" cy="0" r="7"/>')
        parts.append(f'<text x="{box.width:g}" y="4" text-anchor="middle">!</text>')
    return "".join(parts) + "</g>"


def _title(lines: list[str]) -> str:
    return "<title>" + "\n".join(escape(line) for line in lines) + "</title>"


def _legend(tree: ModelTree, current: str | None, width: float) -> tuple[list[str], float, float]:
    """Explains the signs that this picture uses, wrapped to its width; returns parts, width and height."""
    entries: list[tuple[str, str]] = []
    relations = Counter(edge.relation for edge in tree.edges)
    for relation in Relation:
        if relations[relation]:
            wire = '<path class="wire" d="M0 -4h20"/>'
            entries.append(
                (f'<g class="edge r-{relation.value}">{wire}</g>', f"{relation.value} ({relations[relation]})")
            )
    if any(edge.direction == "undecided" for edge in tree.edges):
        entries.append(('<g class="edge undecided"><path class="wire" d="M0 -4h20"/></g>', "direction undecided"))
    if any(e.probability < WEAK_BELOW and e.direction == "decided" for e in tree.edges):
        entries.append(
            ('<g class="edge weak"><path class="wire" d="M0 -4h20"/></g>', f"probability below {WEAK_BELOW}")
        )
    box = '<g class="{}"><rect class="box" y="-10" width="20" height="12" rx="3"/></g>'
    if any(node.kind == "unregistered" for node in tree.nodes):
        entries.append((box.format("unregistered"), "unregistered ancestor"))
    if any(node.verdict is Verdict.CONFLICT for node in tree.nodes):
        entries.append((box.format("conflict"), "declared parent disagrees"))
    if any(node.status in {Status.FAILED, Status.UNSUPPORTED} for node in tree.nodes):
        entries.append((box.format("trouble"), "could not be read"))
    if any(node.id == current for node in tree.nodes):
        entries.append((box.format("current"), "this model"))
    if len(entries) == 0:
        return [], 0.0, 0.0
    parts, x, y, widest = [], 0.0, 34.0, 0.0
    for mark, words in entries:
        step = 26 + text_width(words, 11) + 18
        if x and x + step > max(width, 560):
            x, y = 0.0, y + 20
        parts.append(
            f'<g transform="translate({x:g} {y:g})">{mark}<text class="soft" x="26">{escape(words)}</text></g>'
        )
        x += step
        widest = max(widest, x)
    return parts, widest, y + 4
