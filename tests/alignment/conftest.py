from __future__ import annotations

import pytest
from alignment_samples import Family, family


@pytest.fixture(scope="session")
def perceptrons() -> Family:
    """Three hidden layers of ReLU units."""
    return family("mlp")


@pytest.fixture(scope="session")
def transformers() -> Family:
    """Vision transformers of three layers and four heads."""
    return family("vit")
