"""The kernel of a notebook: this Python, and it dies with the runner."""

import sys
from pathlib import Path


def own_kernel(scratch: Path, environment: dict[str, str], log):
    """A class of kernel manager that starts this file, whatever Jupyter knows.

    Parameters
    ----------
    scratch : Path
        Folder for the connection file.
    environment : dict
        All variables of the kernel.
    log : file
        For what the kernel prints outside of cells.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class OwnKernel(AsyncKernelManager):
        def __init__(self, **given):
            super().__init__(**given, connection_file=str(scratch / "connection.json"))
            self._kernel_spec = KernelSpec(
                argv=[sys.executable, __file__, "-f", "{connection_file}"],
                display_name="DeepICD-R1",
                language="python",
            )

        async def start_kernel(self, **given):
            given |= {"env": environment, "stdout": log, "stderr": log}
            await super().start_kernel(**given)

    return OwnKernel


def main() -> None:
    """Run the kernel named on the command line (``-f connection_file``)."""
    here = str(Path(__file__).resolve().parent)  # its files must not hide modules
    sys.path[:] = [p for p in sys.path if p and str(Path(p).resolve()) != here]
    from deepicd.common.processes import die_with_parent

    die_with_parent()
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance()


if __name__ == "__main__":
    main()
