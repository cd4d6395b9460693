"""Which method recovers the zoo's trees best: ``python -m benchmarks.accuracy``.

===============  ============================================================================
``cases``        trees with some of their networks withheld, under meaningless names
``engine``       Mother's engine on a case, and what it claims
``distances``    what the other methods see: distances between networks, and their kurtosis
``methods``      methods from the literature, written from their formulas
``scores``       what was right, and how sure that is
``relations``    relations, ranks, merges' coefficients, the direction of casts and the like
``strangers``    pairs that are unrelated
``calibration``  whether probabilities can be believed, and what is answered at which precision
``slopes``       the projection statistic where the truth is known
``running``      all that is measured on one tree
``report``       all numbers as one document; ``goals``, ``tables`` and ``plots`` are made of it
===============  ============================================================================
"""
