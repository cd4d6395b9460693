"""What others have to say who is related to whom.

=======================  ==============================================================================
``pairs``                pairs of the zoo's networks, related or not, and Mother's word on them
``folders``              networks as people publish theirs
``environments``         packages from PyPI in environments of their own, and how they are asked
``run_modeldna``         runs in modeldna's environment
``run_provenance_kit``   runs in cisco-ai-provenance-kit's environment
``families``             ``python -m benchmarks.accuracy.others.families``: Ward's clusters beside Mother's
=======================  ==============================================================================

``python -m benchmarks.accuracy.packages`` asks the packages.
"""
