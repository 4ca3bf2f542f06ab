"""The runner of notebooks, `python -m deepicd.study.runner`, and what they need of it.

Only the light part is imported here, so that a notebook starts fast and an edit
of the runner does not make finished stages run again.
"""

from deepicd.common.faces import face

HOMES = {
    "Run": "run_folder",
    "open_run": "run_folder",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
