"""The report as pictures, each as SVG and PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benchmarks.accuracy.engine import MOTHER, VARIANTS
from benchmarks.accuracy.methods import METHODS
from benchmarks.accuracy.report import ALL
from benchmarks.accuracy.slopes import Slopes

INK, QUIET, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
OURS, PAPER = "#c2410c", "#2563a8"
SEQUENCE = ("#7c2d12", "#c2410c", "#f08a4b", "#f5bd94")
GOALS = {"0": 0.98, "0.4": 0.85, "0.6": 0.80}
STYLE = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.hashsalt": "mlflow-mother",
}


def plots(found: Mapping[str, Any], slopes: Sequence[Slopes], folder: Path) -> list[Path]:
    """Draws all pictures into a folder; returns the SVGs."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figures = {
            "exact-parents": _exact(found["conditions"][ALL]),
            "reliability": _reliability(found["calibration"][ALL]),
            "coverage": _coverage(found["calibration"]),
            "projection": _projection(slopes),
        }
        return [_saved(figure, folder / name) for name, figure in figures.items()]


def _saved(figure: Figure, path: Path) -> Path:
    for ending, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        figure.savefig(path.with_suffix(f".{ending}"), dpi=160, metadata=metadata, facecolor="white")
    plt.close(figure)
    return path.with_suffix(".svg")


def _exact(by_share: Mapping[str, Any]) -> Figure:
    """A row a method, a panel a share of withheld networks."""
    figure, panels = plt.subplots(1, len(by_share), figsize=(10, 4.1), sharey=True, squeeze=False, layout="constrained")
    names = list(METHODS)
    for axes, (withheld, one) in zip(panels[0], by_share.items(), strict=True):
        axes.set_title(f"{float(withheld):.0%} withheld" if float(withheld) else "complete trees")
        axes.grid(axis="x", color=FAINT)
        axes.set_axisbelow(True)
        if withheld in GOALS:
            axes.axvline(GOALS[withheld], color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
        for row, name in enumerate(names):
            value, low, high = one["methods"][name]["exact parents"]
            axes.plot([low, high], [row, row], color=_colour(name), linewidth=2.2, alpha=0.45, solid_capstyle="butt")
            axes.plot(value, row, "o", color=_colour(name), markersize=6.5 if name == MOTHER else 5)
            beside = high + 0.03 if high < 0.8 else low - 0.03
            axes.annotate(
                f"{value:.2f}",
                (beside, row),
                ha="left" if high < 0.8 else "right",
                va="center",
                fontsize=8.5,
                color=_colour(name),
            )
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    first = panels[0][0]
    first.set_yticks(range(len(names)), names)
    first.invert_yaxis()
    for label, name in zip(first.get_yticklabels(), names, strict=True):
        label.set_color(_colour(name))
        label.set_fontweight("bold" if name == MOTHER else "normal")
    figure.supxlabel(
        "share of networks with exactly the right parents; bars: 95 %, trees drawn; dashed: what must hold",
        fontsize=9,
        color=INK,
    )
    return figure


def _colour(method: str) -> str:
    if method in VARIANTS:
        return OURS
    return PAPER if method.startswith("MoTHer") else QUIET


def _reliability(found: Mapping[str, Any]) -> Figure:
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 4.4), sharey=True, layout="constrained")
    for axes, what, least in zip(panels, ("edges", "directions"), (0.0, 0.5), strict=True):
        one = found[what]
        axes.plot([least, 1], [least, 1], color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
        whole = sum(some["weight"] for some in one["bins"])
        for some in one["bins"]:
            value, low, high = some["right"]
            axes.plot([some["said"]] * 2, [low, high], color=OURS, linewidth=2, alpha=0.4, solid_capstyle="butt")
            axes.plot(some["said"], value, "o", color=OURS, markersize=3 + 11 * np.sqrt(some["weight"] / whole) / 1.5)
        error, brier = one["error"][0], one["brier"][0]
        axes.set_title(f"{what}: expected error {error:.3f}, Brier {brier:.3f}")
        axes.set_xlabel("probability that Mother says")
        axes.grid(color=FAINT)
        axes.set_axisbelow(True)
        axes.set_xlim(least, 1.015)
        axes.set_ylim(0, 1.03)
    panels[0].set_ylabel("share that is right")
    return figure


def _coverage(by_share: Mapping[str, Any]) -> Figure:
    figure, axes = plt.subplots(figsize=(6.6, 4.6), layout="constrained")
    axes.grid(color=FAINT)
    axes.set_axisbelow(True)
    axes.add_patch(plt.Rectangle((0.9, 0.98), 0.1, 0.02, color="#cfe8d5", linewidth=0))
    axes.annotate(
        "must hold", (0.9, 0.99), (-5, 0), textcoords="offset points", ha="right", va="center", color="#3f7d53"
    )
    for (name, one), colour in zip(
        [(name, one) for name, one in by_share.items() if name != ALL], SEQUENCE, strict=False
    ):
        points = np.array(one["curve"]).reshape(-1, 3)
        covered, precise = points[points[:, 2] >= 0.05, 2], points[points[:, 2] >= 0.05, 1]
        label = f"{float(name):.0%} withheld" if float(name) else "complete trees"
        axes.plot(covered, precise, color=colour, linewidth=1.8, label=label, drawstyle="steps-post")
        axes.plot(one["coverage"][0], one["precision"][0], "o", color=colour, markersize=8, markeredgecolor="white")
    axes.set_xlim(0, 1.005)
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("coverage: share of true edges whose child is given a parent")
    axes.set_ylabel("precision: share of the claimed edges that are true")
    axes.set_title("from the surest twentieth to all claims; dots: the default threshold")
    axes.legend(frameon=False, loc="lower left", title_fontsize=9)
    return figure


def _projection(slopes: Sequence[Slopes]) -> Figure:
    """Three lanes an architecture; a dot a pair, what lies outside counted at the ends."""
    names = list(dict.fromkeys(one.architecture for one in slopes))
    figure, axes = plt.subplots(figsize=(8.6, 0.9 + 0.85 * len(names)), layout="constrained")
    rng = np.random.default_rng(0)
    least, most = -0.6, 1.6
    for place in (0.0, 0.5, 1.0):
        axes.axvline(place, color=FAINT, linewidth=1, zorder=0)
    for row, name in enumerate(names):
        edges, siblings = (
            np.concatenate([getattr(one, what) for one in slopes if one.architecture == name])
            for what in ("edges", "siblings")
        )
        lanes = (
            (edges, OURS, "from parent to child"),
            (siblings, QUIET, "siblings"),
            (1 - edges, PAPER, "from child to parent"),
        )
        for lane, (values, colour, label) in enumerate(lanes):
            height = row + 0.25 * (lane - 1)
            within = (values >= least) & (values <= most)
            jitter = rng.uniform(-0.09, 0.09, len(values))
            axes.plot(values[within], height + jitter[within], "o", color=colour, markersize=3, alpha=0.45, mew=0)
            if len(values):
                median = np.clip(np.median(values), least, most)
                axes.plot([median] * 2, [height - 0.11, height + 0.11], color=colour, linewidth=2.2)
            if row == 0:
                axes.annotate(label, ((0, 0.5, 1)[lane], -0.55), ha="center", color=colour, fontweight="bold")
            for end, count in ((least, (values < least).sum()), (most, (values > most).sum())):
                left = end == least
                words = f"< {count}" if left else f"{count} >"
                if count:
                    axes.annotate(
                        words,
                        (end + (-0.02 if left else 0.02), height),
                        ha="right" if left else "left",
                        va="center",
                        color=colour,
                        fontsize=8,
                        annotation_clip=False,
                    )
    axes.set_yticks(range(len(names)), [_counted(slopes, name) for name in names])
    axes.tick_params(axis="y", length=0, pad=28)
    axes.set_ylim(len(names) - 0.5, -0.75)
    axes.set_xlim(least, most)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(
        "projection slope over the matrices of a pair; 0: the first came first, 1: the second\n"
        "bars: medians; at the ends: how many pairs lie beyond"
    )
    return figure


def _counted(slopes: Sequence[Slopes], name: str) -> str:
    edges = np.concatenate([one.edges for one in slopes if one.architecture == name])
    below = f"\n{np.mean(edges < 0.5):.0%} below 1/2" if len(edges) else ""
    return f"{name}\n{len(edges)} edges{below}"
