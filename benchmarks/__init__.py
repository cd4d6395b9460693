"""Labs that measure what the tests only assert; each is run as ``python -m benchmarks.<name>``."""
