"""The handle through which a notebook reads and writes the folder of a run."""

import inspect
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from deepicd.common import progress
from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json
from deepicd.data import privacy

END_MARKER = "DEEPICD-END"
RUNNING_FILE = ".stamp-running.json"
PROGRESS_FILE = ".progress.json"
PROGRESS_EVERY = 0.5  # seconds between two writes of the progress file
EXTRACT = "01_extract_admission_notes"
CATALOGUE = "catalogue.json"  # codes of the data that the release does not hold


@dataclass
class Run:
    """The folders of one run, seen from one stage.

    Attributes
    ----------
    root : Path
        Folder of the whole run.
    stage : str
        Name of the stage, such as ``"04_train_sft"``.
    """

    root: Path
    stage: str
    _told: tuple[float, int] = field(default=(0.0, 0), repr=False)

    @property
    def dir(self) -> Path:
        """Folder this stage writes into."""
        return self.root / self.stage

    @property
    def figures(self) -> Path:
        """Folder for the figures of this stage."""
        return self.dir / "figures"

    @property
    def private(self) -> bool:
        """Whether the notes of this run must not be shown anywhere."""
        return privacy.is_private_run(self.root)

    @property
    def headless(self) -> bool:
        """Whether the stage runner, and not a person, executes the notebook."""
        file = self.dir / RUNNING_FILE
        return file.exists() and read_json(file).get("pid") == os.getppid()

    def path(self, stage: str, file: str) -> Path:
        """Path of a file that an earlier stage wrote.

        Parameters
        ----------
        stage : str
            Stage that writes the file.
        file : str
            Its name inside the folder of that stage.

        Returns
        -------
        Path

        Raises
        ------
        UserError
            When the file is not there; names the stage to run.

        Examples
        --------
        >>> import tempfile
        >>> run = open_run(tempfile.mkdtemp(), "04_train_sft")
        >>> run.path("04_train_sft", "figures").name
        'figures'
        """
        path = self.root / stage / file
        if path.exists():
            return path
        number = stage.split("_")[0]
        raise UserError(
            found=f"no file {file} of stage {stage} in {self.root}",
            expected=f"the output of {stage}, which {self.stage} reads",
            do=f"run notebook {stage} first, or ./run_all.sh --only {number}",
        )

    def examples(self, frame: pd.DataFrame, n: int = 1) -> pd.DataFrame:
        """First `n` rows that may be displayed.

        Rows of `frame` where the data may be shown; for private data rows of a
        small built-in synthetic set with the same columns. Labels beside those are
        arbitrary where the task asks for no diagnosis, and no rows give none then.

        Examples
        --------
        >>> import tempfile
        >>> run = open_run(tempfile.mkdtemp(), "01_extract_admission_notes")
        >>> run.examples(pd.DataFrame({"note": ["a", "b"]}))["note"].tolist()
        ['a']
        """
        shown = privacy.displayable(frame, self.private).head(n)
        if self.private and "label" in shown and not self.task.tabular:
            labels = sorted(frame["label"].unique())  # the example notes have codes
            shown = shown if labels else shown.iloc[:0]
            shown = shown.assign(
                label=[labels[i % len(labels)] for i in range(len(shown))]
            )
        return shown

    @property
    def task(self):
        """What this run asks of its notes: the parameter `task` of notebook 01.

        Returns
        -------
        deepicd.tasks.Task

        Examples
        --------
        >>> import tempfile
        >>> open_run(tempfile.mkdtemp(), "04_train_sft").task.name
        'principal_diagnosis'
        """
        from deepicd.tasks.known import DEFAULT, get_task

        return get_task(self._source().get("task", DEFAULT.name))

    @property
    def history(self) -> dict:
        """What of earlier admissions stands in the notes; empty where nothing does."""
        known = self._source().items()
        return {name: value for name, value in known if name.startswith("history")}

    def _source(self) -> dict:
        file = self.root / privacy.SOURCE_FILE
        return read_json(file) if file.exists() else {}

    def tree(self):
        """The labels of the task, with those that only the data of this run know.

        Returns
        -------
        deepicd.tasks.LabelSpace
            The ICD-10-CM tree, or what the task has in its place.

        Examples
        --------
        >>> import tempfile
        >>> run = open_run(tempfile.mkdtemp(), "04_train_sft")
        >>> run.tree().title("I10")
        'Essential (primary) hypertension'
        """
        extra = self.root / EXTRACT / CATALOGUE
        return self.task.space(read_json(extra) if extra.exists() else None)

    def figure(
        self,
        plot: Callable,
        frame: pd.DataFrame,
        name: str = "",
        caption: str = "",
        **more,
    ) -> None:
        """Draw a frame, write its caption from the numbers, save and show it.

        Parameters
        ----------
        plot : callable
            A function ``plot_x(frame) -> Figure`` of `views.figures`.
        frame : DataFrame
            What it draws; saved beside the figure, so never note text.
        name : str
            File name without suffix; that of the function without ``plot_`` if empty.
        caption : str
            In place of the one that `views.figures.captions` writes for `plot`.
        **more
            Further arguments of the function and of its caption, each to those that
            take it, such as the ``system`` that is drawn.

        Raises
        ------
        UserError
            When `name` is not a bare file name.
        TypeError
            When neither the function nor its caption takes one of `more`.

        Examples
        --------
        >>> import tempfile
        >>> from deepicd.views.figures import plot_training
        >>> run = open_run(tempfile.mkdtemp(), "04_train_sft")
        >>> curves = pd.DataFrame({"step": [1, 2], "name": "loss", "value": [2.0, 1.0]})
        >>> run.figure(plot_training, curves, "sft_curves")
        >>> sorted(file.name for file in run.figures.iterdir())
        ['sft_curves.csv', 'sft_curves.pdf', 'sft_curves.png']
        """
        from deepicd.views.figures.captions import writer
        from deepicd.views.figures.saving import save

        kind = plot.__name__.removeprefix("plot_")
        write = writer(kind)
        taken = [inspect.signature(f).parameters for f in (plot, write)]
        if odd := [key for key in more if not any(key in names for names in taken)]:
            raise TypeError(f"neither {plot.__name__} nor its caption takes {odd[0]}")
        of_plot, of_caption = (
            {key: value for key, value in more.items() if key in names}
            for names in taken
        )
        said = caption or write(frame, **of_caption)
        save(plot(frame, **of_plot), frame, self.figures, name or kind, said)

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tell how far the stage is; cheap enough for every step.

        The runner reads it from a file; a person sees a line.

        Examples
        --------
        >>> import tempfile
        >>> run = open_run(tempfile.mkdtemp(), "04_train_sft")
        >>> run.progress(3, 10, "training")
        >>> read_json(run.dir / PROGRESS_FILE)["done"]
        3
        """
        now, (then, of) = time.monotonic(), self._told
        if done < total == of and now - then < PROGRESS_EVERY:
            return
        self._told = now, total
        state = {"done": int(done), "total": int(total), "text": text}
        write_json(state, self.dir / PROGRESS_FILE)
        if not self.headless:
            progress.line(done, total, text)

    def finish(self) -> None:
        """Print the end marker, by which the runner knows the notebook ended well.

        Examples
        --------
        >>> import tempfile
        >>> open_run(tempfile.mkdtemp(), "04_train_sft").finish()
        DEEPICD-END 04_train_sft
        """
        (self.dir / PROGRESS_FILE).unlink(missing_ok=True)
        progress.send_to(progress.line)
        print(f"{END_MARKER} {self.stage}")


def open_run(run_dir: str | os.PathLike, stage: str) -> Run:
    """Open the folder of a run for one stage, making what is missing.

    Parameters
    ----------
    run_dir : path-like
        Folder of the run. Relative paths start at the working directory, which
        for notebooks is ``notebooks/``.
    stage : str
        Name of the stage that asks, such as ``"04_train_sft"``.

    Returns
    -------
    Run

    Raises
    ------
    UserError
        When the folder cannot be made.

    Examples
    --------
    >>> import tempfile
    >>> run = open_run(tempfile.mkdtemp(), "04_train_sft")
    >>> run.dir.is_dir(), run.figures.is_dir(), run.private, run.headless
    (True, True, False, False)
    """
    root = Path(run_dir).expanduser().resolve()
    run = Run(root, stage)
    if privacy.in_private_folder(root):
        os.umask(0o077)
    try:
        run.figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            found=f"run folder {root} cannot be made ({error.strerror})",
            expected="a folder that can be written",
            do="choose another run_dir, or change the folder's permissions",
        ) from error
    progress.send_to(run.progress)
    return run
