"""Make the notebook libraries start fast."""

import sys

# jsonschema checks IRIs where this package is found, which builds a grammar for two
# seconds at every import. No notebook holds an IRI to check.
SLOW = "rfc3987_syntax"


def skip_slow_imports() -> None:
    """Let jsonschema, and so nbformat and papermill, do without its IRI grammar.

    Examples
    --------
    >>> skip_slow_imports()
    >>> import jsonschema
    """
    sys.modules.setdefault(SLOW, None)
