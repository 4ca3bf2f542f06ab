"""Atomic writes: a reader sees the old file or the new one, never half of one."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it there on success.

    Works for a file and for a folder (made by the caller). On an exception the
    temporary one is removed and `path` stays as it was.

    Parameters
    ----------
    path : path-like
        The final place; its parent folder is made.

    Yields
    ------
    Path
        Where to write. Keeps the suffix, because writers choose formats by it.

    Raises
    ------
    UserError
        When the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> [p.name for p in folder.iterdir()]
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}.tmp-{path.name}")
    try:
        yield temporary
        _replace(temporary, path)
    except OSError as error:
        if error.errno != 28:  # ENOSPC
            raise
        raise UserError(
            found=f"no space left on the disk that holds {path.parent}",
            expected="room for the results",
            do="free some space or move the repository, then run the same command",
        ) from error
    finally:
        _remove(temporary)


def _replace(temporary: Path, path: Path) -> None:
    if temporary.is_dir() and path.is_dir():
        old = path.with_name(f".{secrets.token_hex(4)}.old-{path.name}")
        os.replace(path, old)
        os.replace(temporary, path)
        shutil.rmtree(old)
    else:
        os.replace(temporary, path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(text: str, path: str | os.PathLike) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(value, path: str | os.PathLike) -> None:
    """Write JSON atomically, keys in the given order, numbers in full."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    write_text(text + "\n", path)


def read_json(path: str | os.PathLike):
    """Read a UTF-8 JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write a frame to Parquet atomically, without its index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_csv(frame: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write a frame to CSV atomically, without its index."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)
