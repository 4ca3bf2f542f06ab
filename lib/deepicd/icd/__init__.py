"""The ICD-10-CM tree: which code exists, where it hangs, which is near which."""

from deepicd.common.faces import face

HOMES = {
    "IcdTree": "tree",
    "LEVELS": "tree",
    "as_written": "name_table",
    "load_tree": "load",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
