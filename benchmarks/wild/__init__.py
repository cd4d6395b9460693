"""Real networks from packages, of which it is documented who comes from whom: ``python -m benchmarks.wild``.

``packages`` downloads by exact version and hash, ``formats`` reads what Mother does not, ``families`` gives each
family's weight files and its ``truth``; ``scoring`` runs :func:`mlflow_mother.tree` on them under meaningless names and
compares what it says with the truth.
"""
