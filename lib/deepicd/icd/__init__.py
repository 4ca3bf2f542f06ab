"""The ICD-10-CM tree: which code exists, where it hangs, which is near which."""

from deepicd.icd.load import load_tree
from deepicd.icd.names import as_written
from deepicd.icd.tree import LEVELS, IcdTree

__all__ = ["LEVELS", "IcdTree", "as_written", "load_tree"]
