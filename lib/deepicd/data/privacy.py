"""What may be shown, and where artefacts with note text may lie."""

import os
import stat
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import read_json

PRIVATE_SOURCES = frozenset({"mimic", "table"})
PRIVATE_FOLDER = "private"
SOURCE_FILE = Path("01_extract_admission_notes") / "source.json"
RUN_FILE = "run.json"
OWNER_ONLY = stat.S_IRWXU


def in_private_folder(path: str | os.PathLike) -> bool:
    """Whether a path lies under a folder ``outputs/private``.

    Examples
    --------
    >>> in_private_folder("/x/outputs/private/cpu-table-seed0")
    True
    >>> in_private_folder("/private/outputs/cpu-synthetic-seed0")
    False
    """
    parts = Path(path).parts
    pairs = zip(parts, parts[1:], strict=False)
    return ("outputs", PRIVATE_FOLDER) in pairs or Path(path).parent.name == (
        PRIVATE_FOLDER
    )


def is_private_run(run_dir: str | os.PathLike) -> bool:
    """Whether the notes of a run are private.

    Private when any of these says so: ``source.json`` of stage 01, the runner's
    ``run.json``, or the place of the folder. Doubt never makes a run public.

    Examples
    --------
    >>> import tempfile
    >>> is_private_run(tempfile.mkdtemp())
    False
    """
    run_dir = Path(run_dir)
    if in_private_folder(run_dir):
        return True
    files = (run_dir / SOURCE_FILE, run_dir / RUN_FILE)
    return any(f.exists() and bool(read_json(f).get("private")) for f in files)


def displayable(frame: pd.DataFrame, private: bool) -> pd.DataFrame:
    """Rows that may be displayed in place of `frame`.

    Parameters
    ----------
    frame : DataFrame
        Rows that may hold note text or other text made from notes.
    private : bool
        Whether the source of the rows is private.

    Returns
    -------
    DataFrame
        `frame` itself when not private. Otherwise rows of the built-in synthetic
        example set with the columns of `frame`; a column the example set does not
        know is filled with ``"(private)"``.

    Examples
    --------
    >>> rows = pd.DataFrame({"note": ["told in confidence"], "think": ["secret"]})
    >>> displayable(rows, private=False) is rows
    True
    >>> displayable(rows, private=True)["think"].unique().tolist()
    ['(private)']
    """
    if not private:
        return frame
    from deepicd.data.synthetic.corpus import example_admissions

    examples = example_admissions()
    shown = {
        name: examples[name] if name in examples else "(private)"
        for name in frame.columns
    }
    return pd.DataFrame(shown, index=examples.index)


def make_private_folder(path: str | os.PathLike) -> Path:
    """Make a folder, and the ``private`` folder above it, for the owner only.

    Raises
    ------
    UserError
        When the permissions cannot be set, as on some mounted file systems.

    Examples
    --------
    >>> import tempfile
    >>> made = make_private_folder(Path(tempfile.mkdtemp()) / "private" / "run")
    >>> oct(made.stat().st_mode & 0o777)
    '0o700'
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    above = [path.parent] if path.parent.name == PRIVATE_FOLDER else []
    for folder in [*above, path]:
        try:
            folder.chmod(OWNER_ONLY)
        except PermissionError as error:
            raise _not_owner_only(folder) from error
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            raise _not_owner_only(folder)
    return path


def _not_owner_only(folder: Path) -> UserError:
    return UserError(
        found=f"{folder} cannot be closed to other users",
        expected="a file system with owner-only permissions for private notes",
        do="move the repository to a local disk",
    )


def check_place(private: bool, folder) -> None:
    """Refuse to write private notes outside `outputs/private/`.

    Raises
    ------
    UserError
        If the data are private and the run's folder is not.

    Examples
    --------
    >>> check_place(False, "/tmp/anything")
    """
    if private and not in_private_folder(folder):
        raise UserError(
            found=f"private notes and the run folder {folder}",
            expected="a folder below outputs/private/, readable by you alone",
            do="set run_dir to ../outputs/private/NAME, or use ./run_all.sh --data",
        )
