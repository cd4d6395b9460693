"""Words and measures that all pictures share: safe text, estimated widths, labels and tooltips."""

from __future__ import annotations

import math
import re
import unicodedata
from html import escape as html_escape

from mlflow_mother.types import Edge, Node, Relation, Status, Verdict

RELATION_WORDS: dict[Relation, str] = {
    Relation.FINETUNE: "{child} is a fine-tune of {parent}",
    Relation.ADAPTER: "{child} is an adapter of {parent}",
    Relation.QUANTIZED: "{child} is a quantized {parent}",
    Relation.MERGE: "{child} was merged from {parent}, among others",
    Relation.LORA_MERGED: "{child} is {parent} with a low-rank adapter merged in",
    Relation.PARTIAL_FINETUNE: "{child} is a fine-tune of some layers of {parent}",
    Relation.CAST: "{child} is {parent} cast to another number format",
    Relation.PRUNED: "{child} is a pruned {parent}",
    Relation.EXTENDED: "{child} is {parent} with rows or layers added",
    Relation.COPY: "{child} is a copy of {parent}",
    Relation.SIBLING: "{child} and {parent} come from one ancestor",
}
"""One sentence for each relation."""

VERDICT_WORDS: dict[Verdict, str] = {
    Verdict.CONFIRMED: "the weights confirm the declared parent",
    Verdict.UNDOCUMENTED: "the weights show a parent that nobody declared",
    Verdict.CONFLICT: "the declared parent and the weights disagree",
    Verdict.UNRELATED: "no parent is declared and the weights show none",
    Verdict.UNDECIDED: "the weights do not decide",
}
"""What each audit verdict means."""

_NUMBER = re.compile(r"(\d+)")
_REGISTERED = re.compile(r"models:/(?P<name>.+)/(?P<version>\d+)", re.DOTALL)


def clean(text: str) -> str:
    """Replaces what must not reach a page, a terminal or an XML file: control, bidi-override and unpaired characters.

    White space of any kind becomes one plain space.
    """
    return "".join(_clean_character(c) for c in text)


def _clean_character(character: str) -> str:
    if character.isspace():
        return " "
    noncharacter = ord(character) & 0xFFFE == 0xFFFE
    invisible = unicodedata.category(character) in {"Cc", "Cs"} or noncharacter or character in _BIDI_CONTROLS
    return "\N{REPLACEMENT CHARACTER}" if invisible else character


_BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def escape(text: str) -> str:
    """Cleans text and escapes it for HTML and XML, in elements and in quoted attributes."""
    return html_escape(clean(text), quote=True)


def natural_key(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Sort key under which ``model/2`` comes before ``model/12``."""
    parts = (part for part in _NUMBER.split(text) if part)
    return tuple((not _is_number(part), int(part) if _is_number(part) else 0, part) for part in parts)


def _is_number(part: str) -> bool:
    # A name of thousands of digits is text: Python refuses to read it as one number.
    return part.isdecimal() and len(part) < 20


def text_width(text: str, size: float) -> float:
    """Estimated width of a line in pixels, on the generous side of what system fonts draw.

    Args:
        text: One line.
        size: Font size in pixels.
    """
    return size * sum(_character_width(c) for c in text)


def _character_width(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    if not character.isascii():
        return 0.78
    if character in "ijl.,:;'|!()[]{}tfrI ":
        return 0.38
    if character in "mwMW@%":
        return 0.98
    return 0.73 if character.isupper() else 0.63


def shorten(text: str, width: float, size: float) -> str:
    """Cuts the middle out of a line that is wider than ``width`` pixels, so that both ends stay readable."""
    if text_width(text, size) <= width:
        return text
    budget = max(width - text_width("…", size), 0.0) / 2
    head = _longest_prefix(text, budget, size)
    tail = _longest_prefix(text[len(head) :][::-1], budget, size)[::-1]
    return f"{head}…{tail}"


def _longest_prefix(text: str, width: float, size: float) -> str:
    used = 0.0
    for count, character in enumerate(text):
        used += text_width(character, size)
        if used > width:
            return text[:count]
    return text


def probability_text(probability: float) -> str:
    """Two decimals; rounding never makes a probability certain."""
    if 0.0 < probability < 1.0:
        probability = min(max(probability, 0.01), 0.99)
    return f"{probability:.2f}"


def share_text(weight: float) -> str:
    """A merge coefficient as a percentage; a question mark where it is not told, which is what a whole one means."""
    return f"{round(weight * 100)}%" if math.isfinite(weight) and weight != 1.0 else "?"


def edge_label(edge: Edge) -> str:
    """Relation and probability, e.g. ``finetune 0.97``, ``lora-merged r8 0.99``, ``merge 60% 0.93``.

    A question mark after the relation says that the direction is undecided.
    """
    words = [edge.relation.value + ("" if edge.direction == "decided" else "?")]
    if edge.relation is Relation.MERGE:
        words.append(share_text(edge.weight))
    if edge.rank is not None:
        words.append(f"r{edge.rank}")
    words.append(probability_text(edge.probability))
    return " ".join(words)


def edge_sentence(edge: Edge, names: tuple[str, str]) -> str:
    """What the edge says, as a sentence.

    Args:
        edge: The edge.
        names: How to call the parent and the child.
    """
    parent, child = names
    if edge.direction == "undecided" and edge.relation is not Relation.SIBLING:
        return f"{parent} and {child} are related ({edge.relation.value}); which came first is undecided."
    return RELATION_WORDS[edge.relation].format(parent=parent, child=child) + "."


def edge_tooltip(edge: Edge) -> list[str]:
    """Sentence, numbers and all evidence of an edge, as lines."""
    lines = [edge_sentence(edge, (edge.parent, edge.child)), f"probability {probability_text(edge.probability)}"]
    if edge.direction == "decided":
        lines.append(f"direction decided ({probability_text(edge.direction_probability)})")
    else:
        lines.append("direction undecided")
    if edge.relation is Relation.MERGE:
        lines.append(f"share of this parent {share_text(edge.weight)}")
    if edge.rank is not None:
        lines.append(f"rank of the update {edge.rank}")
    return lines + [f"• {evidence.text}" for evidence in edge.evidence]


def split_uri(node_id: str) -> tuple[str, str | None]:
    """Name and version of a ``models:/name/version`` id; any other id has no version."""
    match = _REGISTERED.fullmatch(node_id)
    return (match["name"], match["version"]) if match else (node_id, None)


def node_name(node: Node) -> str:
    """What a picture calls the node: its label, else the registered name without version, else the id."""
    if node.label:
        return node.label
    if node.kind == "unregistered":
        return f"unregistered ancestor {node.id.rpartition(':')[2]}"
    return split_uri(node.id)[0]


def node_details(node: Node) -> list[str]:
    """Facts for the second line of a node, the important ones first: version, trouble, aliases, size."""
    if node.kind == "unregistered":
        return ["inferred, not registered"]
    _, version = split_uri(node.id)
    facts = [f"v{version}"] if version else []
    if node.verdict in {Verdict.CONFLICT, Verdict.UNDOCUMENTED}:
        facts.append(node.verdict.value)
    if node.status not in {None, Status.DONE}:
        facts.append(node.status.value)
    facts += [f"@{alias}" for alias in node.aliases]
    if node.parameters is not None:
        facts.append(f"{count_text(node.parameters)} params")
    if node.format and not version:
        facts.append(node.format)
    return facts


def node_tooltip(node: Node) -> list[str]:
    """Full name and everything known of a node, as lines."""
    lines = [node.id]
    if node.kind == "unregistered":
        lines.append("An ancestor that the weights of its descendants imply and nobody registered.")
    if node.label and node.label != node.id:
        lines.append(node.label)
    if node.aliases:
        lines.append("aliases: " + ", ".join(node.aliases))
    if node.parameters is not None:
        lines.append(f"{node.parameters:,} parameters" + (f", {node.format}" if node.format else ""))
    if node.status is not None:
        lines.append(f"status: {node.status.value}")
    if node.declared_parents:
        lines.append("declared parent: " + ", ".join(node.declared_parents))
    if node.verdict is not None:
        lines.append(f"{node.verdict.value}: {VERDICT_WORDS[node.verdict]}")
    if node.note:
        lines.append(node.note)
    return lines


def count_text(count: int) -> str:
    """A count in three digits, e.g. ``11.7M``."""
    value = float(count)
    for unit in ("", "k", "M", "B"):
        if value < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}T"


def counted(count: int, noun: str) -> str:
    """A number and its noun, e.g. ``3 models``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
