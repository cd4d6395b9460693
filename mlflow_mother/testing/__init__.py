"""What the authors of plugins reuse in their own tests.

* :mod:`mlflow_mother.testing.readers`: the conformance tests that every weight reader must pass; needs pytest.
* :mod:`mlflow_mother.testing.trees`: synthetic networks whose heritage is known.
"""
