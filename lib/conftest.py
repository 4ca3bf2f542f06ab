"""What the examples in docstrings share when they run as tests."""

import sys

import pytest


@pytest.fixture(autouse=True)
def close_figures():
    """An example leaves no figure open: pyplot keeps, and warns of, more than 20."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
