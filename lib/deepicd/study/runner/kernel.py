"""Start an IPython kernel that dies with the process that started it."""

import sys
from pathlib import Path


def _forget_own_folder() -> None:
    here = str(Path(__file__).resolve().parent)
    sys.path[:] = [p for p in sys.path if p and str(Path(p).resolve()) != here]


def main() -> None:
    """Run the kernel named on the command line (``-f connection_file``)."""
    _forget_own_folder()
    from deepicd.study.runner.processes import die_with_parent

    die_with_parent()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance()


if __name__ == "__main__":
    main()
