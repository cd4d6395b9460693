"""Who belongs together: ``python -m benchmarks.accuracy.others.families``.

All trees of an architecture lie in one registry. Ward's clustering of distances is told how many families there are,
as MoTHer's authors do; Mother's families are what is connected by pairs that are more likely related than not, and she
is told nothing. Networks of one start are left out: whether they are a family is a matter of words.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np

from benchmarks.accuracy.distances import distances
from benchmarks.accuracy.methods import ward
from benchmarks.accuracy.others.pairs import SAME_START, Network, fingerprint_of, mother, networks

Labels = Sequence[object]


def agreement(true: Labels, found: Labels) -> tuple[float, float, float]:
    """How well a clustering agrees with the true one.

    Returns:
        The adjusted Rand index (Hubert and Arabie 1985, from counts of pairs), and precision and recall of "these two
        are of one family".
    """
    both = np.array([(true[a] == true[b], found[a] == found[b]) for a, b in combinations(range(len(true)), 2)])
    right, said = both[:, 0], both[:, 1]
    tp, fp, fn, tn = (int(np.sum(one)) for one in (right & said, ~right & said, right & ~said, ~right & ~said))
    chance = (tp + fn) * (fn + tn) + (tp + fp) * (fp + tn)
    return (
        2 * (tp * tn - fn * fp) / chance if chance else 1.0,
        tp / (tp + fp) if tp + fp else float("nan"),
        tp / (tp + fn) if tp + fn else float("nan"),
    )


def by_ward(among: Sequence[Network], families: int) -> list[int]:
    """Ward's clusters of the distances."""
    names = [str(number) for number in range(len(among))]
    models = {name: fingerprint_of(network) for name, network in zip(names, among, strict=True)}
    clusters = ward(distances(models, names).full, families)
    return _labels(clusters, len(among))


def by_mother(among: Sequence[Network]) -> list[int]:
    """What is connected by Mother's related pairs."""
    graph: nx.Graph[int] = nx.empty_graph(len(among))
    graph.add_edges_from((a, b) for a, b in combinations(graph, 2) if mother(among[a], among[b])[1])
    return _labels([sorted(group) for group in nx.connected_components(graph)], len(among))


def _labels(clusters: Sequence[Sequence[int]], count: int) -> list[int]:
    of = {member: label for label, members in enumerate(clusters) for member in members}
    return [of[member] for member in range(count)]


def main() -> None:
    """Clusters a sample of each architecture's networks, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(".cache/zoo"), help="where the zoo is kept")
    parser.add_argument("--networks", type=int, default=60, help="most networks of one architecture")
    options = parser.parse_args()
    everybody = [network for network in networks(options.cache) if network.kind != SAME_START]
    print(f"{'':32}{'families':>10}{'adj. Rand':>11}{'precision':>11}{'recall':>9}")
    for architecture in sorted({network.architecture for network in everybody}):
        mine = [network for network in everybody if network.architecture == architecture]
        among = [mine[place] for place in np.random.default_rng(0).permutation(len(mine))[: options.networks]]
        true = [(network.tree, network.origin) for network in among]
        families = len(set(true))
        if families < 2:
            continue
        print(f"{architecture + f', {len(among)} networks':32}{families:10}")
        for name, found in {"Ward, number given": by_ward(among, families), "mother": by_mother(among)}.items():
            rand, precision, recall = agreement(true, found)
            print(f"  {name:30}{len(set(found)):10}{rand:11.3f}{precision:11.3f}{recall:9.3f}", flush=True)


if __name__ == "__main__":
    main()
