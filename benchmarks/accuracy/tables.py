"""The report as text, at most 140 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.accuracy.goals import Goal, goals
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.report import ALL

WIDTH = 140

_FULL = (
    ("exact parents", True),
    ("surrogate", False),
    ("declined", False),
    ("edge F1", True),
    ("direction", True),
    ("decided", False),
    ("direction, decided", False),
    ("roots", False),
    ("root of the tree", True),
)
_HEADS = {
    "exact parents": "exact",
    "surrogate": "surr.",
    "declined": "decl.",
    "decided": "dec.",
    "direction, decided": "right",
    "root of the tree": "tree's root",
}
_AHEAD = {"mother - best from weights": "weights", "with time - best of all": "time"}
_BRIEF = ("direction", "root of the tree")


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """All tables of a report, one by one."""
    yield _preface(found)
    for withheld, one in found["conditions"][ALL].items():
        yield _full(f"{float(withheld):.0%} withheld", one)
    for name, by_share in found["conditions"].items():
        if name != ALL:
            yield _brief(name, by_share)
    yield _relations(found["relations"])
    yield _strangers(found["strangers"])
    yield _calibration(found["calibration"])
    yield _goals(goals(found))


def rate(value: Sequence[float]) -> str:
    """A rate with its interval, e.g. ``.953 [.91,.98]``."""
    spread = "" if value[1] != value[1] else f" [{number(value[1], 2)},{number(value[2], 2)}]"
    return number(value[0]) + spread


def number(value: float, digits: int = 3) -> str:
    """A share without the zero before its point, 1 as ``1.0``; ``-`` of nothing."""
    if value != value:
        return "-"
    written = f"{value:.{digits}f}"
    return written[: written.index(".") + 2] if abs(float(written)) >= 1 else written.replace("0.", ".", 1)


def lined(rows: Sequence[Sequence[str]], words: Collection[int] = (0,)) -> str:
    """Rows in columns: those of words to the left, the others to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    gap = "  " if sum(widths) + 2 * len(widths) <= WIDTH else " "
    lines = []
    for row in rows:
        cells = [c.ljust(w) if n in words else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append(f"  {gap.join(cells)}".rstrip())
    return "\n".join(lines)


def _preface(found: Mapping[str, Any]) -> str:
    apart = found["apart"]
    return f"""\
{found["trees"]} trees, {found["networks"]} networks. Intervals: 95 %, from drawing whole trees.

{apart["apart"]} of the networks are unmerged adapters that name no base, or copies with hidden units in another order.
No comparison of fingerprints can find their parents: they stand in every registry, but no rate counts them as
children. Mother names the true parent of {apart["apart_exact"]} of them and a wrong one of {apart["apart_wrong"]}.

  exact        the nearest registered true ancestors and no others, or rightly none
  surr.        surrogate: wrong, but named is a cast or quantised copy of a missing ancestor
  decl.        declined: nothing is said but that it is related
  edge F1      true edges against linked pairs, whichever way
  direction    of the true edges that are linked, those that point the right way; undecided ones do not
  dec., right  of the true edges that are linked, those with a decided direction; of these, those in the right one
  roots        of the models without a registered ancestor, those of which that is said
  tree's root  of the registered roots, those with most of their true descendants below them and nothing above"""


def _full(title: str, one: Mapping[str, Any]) -> str:
    rows = [["", *(_HEADS.get(what, what) for what, _ in _FULL)]]
    for name in METHODS:
        values = one["methods"][name]
        rows.append([name, *(rate(values[what]) if spread else number(values[what][0]) for what, spread in _FULL)])
    for name, against in _AHEAD.items():
        margin = one["ahead"][against]["margin"]
        rows.append([name, *(rate(margin[what]) if spread else "" for what, spread in _FULL)])
    best = ", ".join(
        f"{_HEADS.get(what, what)}: {one['ahead']['weights']['best'][what]}" for what, spread in _FULL if spread
    )
    return (
        f"\n{title}, {one['trees']} trees, {one['cases']} cases\n{lined(rows)}\n{_note(f'best from weights: {best}')}"
    )


def _brief(title: str, by_share: Mapping[str, Any]) -> str:
    shares = list(by_share)
    columns = [(share, "exact parents") for share in shares] + [("0", what) for what in _BRIEF if "0" in by_share]
    rows = [["", *(f"{_HEADS.get(what, what)}, {float(share):.0%}" for share, what in columns)]]
    rows += [[name, *(rate(by_share[share]["methods"][name][what]) for share, what in columns)] for name in METHODS]
    rows += [
        [name, *(rate(by_share[share]["ahead"][against]["margin"][what]) for share, what in columns)]
        for name, against in _AHEAD.items()
    ]
    best = [by_share[share]["ahead"]["weights"]["best"]["exact parents"] for share in shares]
    trees = max(one["trees"] for one in by_share.values())
    known = ", ".join(f"{float(share):.0%}: {name}" for share, name in zip(shares, best, strict=True))
    return f"\n{title}, {trees} trees, by share withheld\n{lined(rows)}\n{_note(f'best from weights, exact: {known}')}"


def _note(text: str) -> str:
    return textwrap.fill(text, 120, initial_indent="  ", subsequent_indent="  ")


def _relations(found: Mapping[str, Any]) -> str:
    rows = [["relation", "children", "right", "said"]]
    for relation, one in found["by relation"].items():
        said = ", ".join(f"{name} {count}" for name, count in one["said"].items())
        rows.append([relation, str(one["children"]), rate(one["right"]), said])
    parts = [
        f"\nRelations of children in complete trees: a parent is found for {rate(found['named'])}, "
        f"of these the type is right for {rate(found['right'])}",
        lined(rows, (0, 3)),
    ]
    ranks = sorted({rank for one in found["ranks"].values() for rank in one["by rank"]}, key=int)
    rows = [["LoRA's rank, exact", "linked", "all", *(f"rank {rank}" for rank in ranks)]]
    for stored, one in found["ranks"].items():
        counts = [one["by rank"].get(rank) for rank in ranks]
        cells = [f"{c[0]}/{c[1]}" if c else "-" for c in counts]
        rows.append([f"stored in {stored}", f"{one['linked']}/{one['children']}", rate(one["exact"]), *cells])
    parts += ["\n(in bfloat16, all: up to rank 32)", lined(rows)] if found["ranks"] else []
    rows = [["merges", "children", "all parents found", "and no other", "largest error of a share"]]
    for kind, one in found["merges"].items():
        error = "-" if one["largest error"] is None else f"{one['largest error']:.3f}"
        rows.append([kind, str(one["children"]), rate(one["all parents found"]), rate(one["and no other"]), error])
    shares = found["coefficients"]
    largest = shares["largest error, all parents found"]
    parts += [
        "",
        lined(rows),
        _note(
            f"both found of merges of two: {rate(found['two parents found'])}; of {shares['merges']} linear merges "
            f"shares within 0.03: {rate(shares['within 0.03'])}, largest error where all parents are found: "
            f"{'-' if largest is None else format(largest, '.4f')}"
        ),
    ]
    parts += [
        "",
        _directions("direction", found["directions"]),
        "",
        _directions("of what was trained", found["changes"]),
    ]
    return "\n".join(parts)


def _directions(title: str, found: Mapping[str, Any]) -> str:
    rows = [[title, "children", "linked", "right", "undecided", "reversed"]]
    for name, one in found.items():
        counts = [str(one["undecided"]), str(one["reversed"])]
        rows.append([name, str(one["children"]), rate(one["linked"]), rate(one["right"]), *counts])
    return lined(rows)


def _strangers(found: Mapping[str, Any]) -> str:
    head = ["unrelated pairs", "pairs", "false edges", "undecided", "per 1,000", "if independent", "AUC of related"]
    rows = [[*head, "trees with any", "bound"]]
    for kind, one in found.items():
        value, low, high = (1000 * part for part in one["rate"])
        spread = f" [{low:.2f}, {high:.2f}]" if one["edges"] else ""
        rows.append(
            [
                kind,
                f"{one['pairs']:,}",
                str(one["edges"]),
                str(one["undecided"]),
                f"{value:.2f}{spread}",
                f"< {1000 * one['independent']:.2f}",
                rate(one["auc"]),
                f"{one['touched']} of {one['clusters']}",
                f"< {one['touched_bound']:.2f}",
            ]
        )
    note = _note(
        "per 1,000: interval from drawing trees; if independent: Clopper-Pearson's upper 95 % bound over pairs; "
        "bound: of the share of trees with any, in the same way. "
        "Pairs of one start share an ancestor: the initialisation."
    )
    return f"\n{lined(rows)}\n{note}"


def _calibration(found: Mapping[str, Any]) -> str:
    rows = [["calibration", "edges", "expected error", "Brier", "directions", "expected error", "Brier"]]
    for name, one in found.items():
        cells = [
            cell
            for what in ("edges", "directions")
            for cell in (str(one[what]["claims"]), rate(one[what]["error"]), rate(one[what]["brier"]))
        ]
        rows.append([name if name == ALL else f"{float(name):.0%} withheld", *cells])
    answers = [["answers", "precision by default", "coverage by default", "coverage at 95 % precision"]]
    for name, one in found.items():
        values = [rate(one[what]) for what in ("precision", "coverage", "coverage at 95 % precision")]
        answers.append([name if name == ALL else f"{float(name):.0%} withheld", *values])
    bins = [["reliability, all", "edges", "right", "directions", "right"]]
    edges, directions = (found[ALL][what]["bins"] for what in ("edges", "directions"))
    for n in range(max(len(edges), len(directions))):
        cells = [
            cell
            for some in (edges, directions)
            for cell in ((f"{some[n]['said']:.3f}", rate(some[n]["right"])) if n < len(some) else ("", ""))
        ]
        bins.append([f"bin {n + 1}", *cells])
    threshold = found[ALL]["threshold"]
    note = _note(
        f"default: decided at a probability of {threshold}; coverage: true edges whose child is given a parent"
    )
    return "\n".join(["", lined(rows), "", lined(answers), note, "", lined(bins)])


def _goals(lines: Sequence[Goal]) -> str:
    words = {True: "yes", False: "NO", None: "not measured"}
    rows = [["must hold, Mother from weights alone", "wanted", "found", "holds"]]
    rows += [[one.what, f"{one.sign} {one.wanted:g}", rate(one.value), words[one.met]] for one in lines]
    return f"\n{lined(rows)}"
