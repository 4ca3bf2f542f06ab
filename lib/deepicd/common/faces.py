"""Faces of rooms: a package hands on a few names and imports their files when asked.

A face costs nothing to import, and `study.runner.fingerprint` reads the same table to
follow only the file behind a name.
"""

from importlib import import_module


def face(package: str, homes: dict[str, str]):
    """Make what a package needs to hand on names lazily.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    homes : dict of str to str
        The file (relative to the package, dotted) that each name comes from.

    Returns
    -------
    (callable, callable, list of str)
        ``__getattr__``, ``__dir__`` and ``__all__`` of the package.

    Examples
    --------
    >>> get, _, names = face("deepicd.icd", {"load_tree": "load"})
    >>> get("load_tree").__module__, names
    ('deepicd.icd.load', ['load_tree'])
    """

    def get(name: str):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return get, lambda: sorted(homes), sorted(homes)
