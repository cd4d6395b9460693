"""How long a fingerprint takes beside ``b2sum`` of the same file: ``python -m benchmarks.fingerprint``."""
