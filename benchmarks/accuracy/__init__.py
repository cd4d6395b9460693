"""Which method recovers the zoo's trees best: ``python -m benchmarks.accuracy``.

============  ==============================================================================
``cases``     trees with some of their networks withheld, under meaningless names
``distances`` what the other methods see: distances between networks, and their kurtosis
``methods``   Mother's engine, and methods from the literature, written from their formulas
``scores``    what was right, and how sure that is
============  ==============================================================================
"""
