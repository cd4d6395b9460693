"""Deep comparison: is one model the other, with its hidden units rearranged? Full weights in, numpy and scipy only.

Networks compute the same after their hidden units have changed places, signs, scales or axes, and an ordinary
comparison, which goes by places, then sees two strangers. Three steps undo that:

* :mod:`.spectra`: what survives every such change, and pairs tensors whose names were changed as well.
* :mod:`.matching`, :mod:`.maps`, :mod:`.pieces`, :mod:`.spaces`: each matrix is matched alone; what two matrices say
  independently of a hidden space is believed. Nothing is known of architectures, names or layouts.
* :mod:`.scales`, :mod:`.deep`: factors of rows and columns, and the verdict. :mod:`.aligned` gives the second
  model's tensors in the first one's coordinates, so that the ordinary comparison can go on from there.

Tensors are read one by one through :mod:`.source`, which remembers a bounded part of them.
"""

from mlflow_mother.alignment.aligned import aligned_tensors
from mlflow_mother.alignment.deep import Alignment, DeepComparison, HiddenSpace
from mlflow_mother.alignment.source import Source

__all__ = ["Alignment", "DeepComparison", "HiddenSpace", "Source", "aligned_tensors"]
