"""One door to every data source; behind it all sources give the same raw tables.

Nothing after this room knows where a note came from. A source is a module with
`read(data_dir, options) -> RawTables`; `open_source` chooses it by name.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.files import write_text
from deepicd.common.parameters import unknown
from deepicd.data.history import NONE
from deepicd.data.sources.raw_tables import RawTables
from deepicd.icd.load import release_key

SOURCES = ("synthetic", "mimic", "eicu", "table")
_OF_CORPUS = ("notes", "length", "readmitted", "bearing")
CORPUS = "synthetic"  # folder of the corpus in that of the run
MADE_FROM = "made_from.txt"


def open_source(
    name: str,
    data_dir: str | Path = "",
    work_dir: str | Path = "",
    seed: int = 0,
    options: dict | None = None,
) -> RawTables:
    """Open a data source and give its raw tables.

    Parameters
    ----------
    name : {"synthetic", "mimic", "eicu", "table"}
        The source.
    data_dir : path-like
        Folder (mimic, eicu) or file or folder (table); unused by synthetic.
    work_dir : path-like
        Where synthetic writes its corpus.
    seed : int
        Seed of the synthetic corpus.
    options : dict, optional
        What the source understands: synthetic `notes`, `length`, `readmitted`,
        `bearing`, `task` (whose best answers it writes; by default those of all),
        `history` (other than "none": those of who knows earlier codes, too); eicu
        `include_admission_dx`; table `text_column`, `code_column`,
        `label_column`, `title_column` (with `task`: what another one asks),
        `patient_column`, `split_column`, `id_column`, `skip_invalid`,
        `version_column`, `code_system`, `code_separator`, `separator`, `encoding`.

    Returns
    -------
    RawTables

    Raises
    ------
    UserError
        For an unknown name, and for data that cannot be used.

    Examples
    --------
    >>> open_source("mimc")
    Traceback (most recent call last):
        ...
    deepicd.common.errors.UserError: found data source 'mimc'; expected one of \
synthetic, mimic, eicu, table; do: --data mimic
    """
    options = dict(options or {})
    if name not in SOURCES:
        raise unknown("data source", name, SOURCES, "--data {}")
    if name == "synthetic":
        return _synthetic(work_dir, seed, options)
    return _reader(name)(data_place(name, data_dir), options)


def _reader(name: str) -> Callable[[Path, dict], RawTables]:
    if name == "mimic":
        from deepicd.data.sources.mimic import read
    elif name == "eicu":
        from deepicd.data.sources.eicu import read
    else:
        from deepicd.data.sources.table import read
    return read


def data_place(name: str, data_dir: str | Path) -> Path:
    """Path of the data of a source, checked before anything is read.

    Raises
    ------
    UserError
        Where nothing is given, nothing is there, or it cannot be that source's.

    Examples
    --------
    >>> data_place("eicu", "")
    Traceback (most recent call last):
    deepicd.common.errors.UserError: found no data folder for the source 'eicu'; \
expected the folder (or, for table, the file) with its data; do: --data eicu \
--data-dir PATH
    """
    path = Path(data_dir).expanduser()
    if not str(data_dir).strip():
        found = f"no data folder for the source {name!r}"
    elif not path.exists():
        parent = "" if path.parent.exists() else f" ({path.parent} does not exist)"
        found = f"nothing at {path}{parent}"
    elif path.is_dir() and not any(path.iterdir()):
        found = f"the empty folder {path}"
    elif path.is_file() and name != "table":
        found = f"the file {path}"
    else:
        return path.absolute()
    raise UserError(
        found=found,
        expected="the folder (or, for table, the file) with its data",
        do=f"--data {name} --data-dir PATH",
    )


def _synthetic(work_dir: str | Path, seed: int, options: dict) -> RawTables:
    """Write the synthetic corpus, unless it is there, and read it as MIMIC-IV."""
    from deepicd.data.sources import mimic
    from deepicd.data.synthetic import corpus
    from deepicd.data.synthetic.posterior_file import ORACLE, oracle_path

    arguments = {k: options[k] for k in _OF_CORPUS if k in options}
    history = options.get("history", NONE) != NONE
    tasks = [options["task"]] if "task" in options else corpus.ASKED
    folder = Path(work_dir) / CORPUS
    mark, made_from = folder / MADE_FROM, _made_from(seed, arguments)
    there = mark.exists() and mark.read_text(encoding="utf-8") == made_from
    best = [oracle_path(folder / ORACLE, task, history) for task in tasks]
    if not there or not all(path.exists() for path in best):
        corpus.write_corpus(
            folder, seed=seed, tasks=tasks, history=history, **arguments
        )
        write_text(made_from, mark)
    raw = mimic.read(folder, {})
    raw.private = False
    raw.oracle = folder / ORACLE
    raw.description = (
        f"Synthetic discharge summaries in the MIMIC-IV layout (seed {seed})."
    )
    return raw


def _made_from(seed: int, arguments: dict) -> str:
    """Everything that the notes of a corpus depend on: code, tables and settings."""
    from deepicd.data import synthetic

    home = Path(synthetic.__file__).parent
    files = sorted(f for kind in ("*.py", "*.yaml") for f in home.rglob(kind))
    known = hashlib.sha256(release_key().encode())
    for file in files:
        known.update(file.read_bytes())
    return f"{known.hexdigest()} seed={seed} {sorted(arguments.items())}"
