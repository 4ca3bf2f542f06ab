"""The number of the training code: kept runs are found again by it.

Count it up when a change makes the same data, settings and seed end in other weights
or other answers. `tests/test_revision.py` trains a tiny model and fails where the
weights moved and the number did not.
"""

REVISION = 2
