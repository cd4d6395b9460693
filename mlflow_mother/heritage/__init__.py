"""Heritage recovery: fingerprints in, evidence and model trees out; pure numpy, no files, no network, no torch.

* :mod:`.roles`, :mod:`.naming`, :mod:`.geometry`: which tensors correspond, their energies and distances.
* :mod:`.projection`: the direction statistic and what it says of ancestor, descendant, sibling.
* :mod:`.certificates`: exact facts that beat statistics: copies, casts, pruning, extended vocabularies.
* :mod:`.comparison`: all of it for one pair, as a record that can be stored.
* :mod:`.relation`: what was done to a parent to get a child, with the update's rank.
* :mod:`.packed`: integers with scales that hold another model's weights.
* :mod:`.merges`, :mod:`.selection`: children that are weighted sums of several models, or picked from them.
* :mod:`.increments`: distances within a family in its own metric.
* :mod:`.parentage`: what speaks for each candidate parent, and how much, from all relatives.
* :mod:`.topology`: probabilities of all edges at once, and the most probable tree.
* :mod:`.recovery`: the whole way from fingerprints to a :class:`~mlflow_mother.types.ModelTree`.
"""

from mlflow_mother.heritage.comparison import ENGINE, Comparison, compare
from mlflow_mother.heritage.recovery import explain, recover

__all__ = ["ENGINE", "Comparison", "compare", "explain", "recover"]
