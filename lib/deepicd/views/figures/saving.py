"""One saver for every figure: PDF, PNG and the numbers behind them."""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from deepicd.common.errors import UserError
from deepicd.common.files import atomic_path, write_csv

DATA_FILES = ("deepicd.mplstyle",)
STYLE = Path(__file__).with_name("deepicd.mplstyle")
COLUMN, PAGE = 3.4, 7.0
"""Final widths in inches: one column, the whole text."""


def use_style() -> None:
    """Make the one style of this repository current for every later figure."""
    plt.style.use(str(STYLE))


def save(
    fig: Figure,
    frame: pd.DataFrame,
    folder: str | os.PathLike,
    name: str,
    caption: str = "",
):
    """Write a figure as PDF and PNG and its numbers as CSV; show it in a notebook.

    Each file is written atomically. The same figure gives the same bytes: no date
    and no program version of the day goes in. The figure is closed afterwards; in
    a notebook the saved PNG is shown, so that what is seen is what is kept.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    frame : pandas.DataFrame
        Everything the figure draws; never note text.
    folder : path-like
        Made if missing.
    name : str
        File name without a suffix.
    caption : str
        What the figure shows, in numbers; kept inside both images as their
        description and shown below the figure in a notebook.

    Raises
    ------
    UserError
        When `name` is not a bare file name.

    Examples
    --------
    >>> import tempfile
    >>> fig, axes = plt.subplots()
    >>> folder = Path(tempfile.mkdtemp())
    >>> save(fig, pd.DataFrame({"step": [1]}), folder, "curve")
    >>> sorted(path.name for path in folder.iterdir())
    ['curve.csv', 'curve.pdf', 'curve.png']
    """
    if not name or Path(name).name != name or name.startswith("."):
        raise UserError(
            f"figure name {name!r}",
            "a bare file name such as 'curve'",
            "leave out folders and suffixes",
        )
    folder = Path(folder)
    dated, named = {"CreationDate": None}, {"Software": None}
    if caption:
        dated["Subject"] = named["Description"] = caption
    with atomic_path(folder / f"{name}.pdf") as path:
        fig.savefig(path, metadata=dated)
    with atomic_path(folder / f"{name}.png") as path:
        fig.savefig(path, metadata=named)
    write_csv(frame, folder / f"{name}.csv")
    plt.close(fig)
    _show(folder / f"{name}.png", fig.get_figwidth(), caption)


def _show(path: Path, inches: float, caption: str) -> None:
    """Show a saved PNG at its final size (110 pixels an inch) in a notebook."""
    from IPython import get_ipython

    if get_ipython() is None:
        return
    from IPython.display import Image, Markdown, display

    display(Image(filename=str(path), width=round(110 * inches)))
    if caption:
        display(Markdown(f"*{caption}*"))
