"""What the authors of plugins reuse in their own tests; needs pytest.

:mod:`mlflow_mother.testing.readers` holds the conformance tests that every weight reader must pass.
"""
