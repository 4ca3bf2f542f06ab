"""What the runner says: plain lines, and one live line on a terminal."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deepicd.common.progress import clock

LIVE_SECONDS, PLAIN_SECONDS = 0.5, 20.0


@dataclass(frozen=True)
class About:
    """Title and purpose of a notebook, from its first markdown cell."""

    title: str
    purpose: str


def about(notebook: Path) -> About:
    """Title of a notebook without its number, and the sentence on its purpose.

    Examples
    --------
    >>> import tempfile
    >>> text = "# 00 · A title\\n\\n**Purpose.** Does this. And that."
    >>> cell = {"cell_type": "markdown", "source": text}
    >>> path = Path(tempfile.mkdtemp()) / "00_a.ipynb"
    >>> _ = path.write_text(json.dumps({"cells": [cell]}))
    >>> about(path)
    About(title='A title', purpose='Does this.')
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "".join(cells[0]["source"])
    title = re.search(r"^#\s+(?:\d\d\s*·\s*)?(.+)$", text, re.M)
    purpose = re.search(r"\*\*Purpose\.\*\* (.+?[.!?])(?=\s|$)", text)
    plain = re.sub(r"[*`]", "", purpose.group(1)) if purpose else ""
    return About(title.group(1).strip() if title else notebook.stem, plain)


class Display:
    """Lines for a log, or lines with one that is rewritten on a terminal.

    Parameters
    ----------
    stream : file, optional
        Where to write; standard output when not given.
    """

    def __init__(self, stream=None):
        # As it is: no colours, no markup, no line broken for its length.
        self.console = Console(
            file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True
        )
        self._live = None
        self._last = 0.0

    def line(self, text: str = "") -> None:
        """Write a line that stays."""
        if self._live:
            self._live.stop()
            self._live = None
        self.console.print(text)

    def status(self, text: str, seconds: float) -> None:
        """Show what is going on; rarely in a log, rewriting itself on a terminal."""
        if seconds < self._last:
            self._last = 0.0
        terminal = self.console.is_terminal
        if seconds - self._last < (LIVE_SECONDS if terminal else PLAIN_SECONDS):
            return
        self._last = seconds
        if not terminal:
            self.console.print(f"      {text}")
        elif self._live:
            self._live.update(Text(text))
        else:
            self._live = self.console.status(Text(text))
            self._live.start()


def status_text(
    progress: dict,
    elapsed: float,
    expected: float | None,
    counted: float | None = None,
    later: float = 0.0,
) -> str:
    """One line of how far a stage and the run are.

    Parameters
    ----------
    progress : dict
        ``done``, ``total`` and ``text`` of what is being counted; may be empty.
    elapsed : float
        Seconds of the stage so far.
    expected : float or None
        Seconds that the stage takes as a rule.
    counted : float or None
        Seconds that the present count needs still, from `Pace`. Other things may
        follow it, so beyond the expected time this is the least.
    later : float
        Seconds of the stages that follow.

    Examples
    --------
    >>> status_text({"done": 30, "total": 120, "text": "training"}, 60, 200, 30, 120)
    '1:00  training 30/120, about 2:20 left, 4:20 for the whole run'
    >>> status_text({}, 60, 90)
    '1:00  about 0:30 left'
    >>> status_text({"done": 1, "total": 3, "text": "answers"}, 100, 90, 50)
    '1:40  answers 1/3, at least 0:50 left'
    >>> status_text({}, 60, None), status_text({}, 60, None, None, 120)
    ('1:00', '1:00  then about 2:00 for the rest')
    """
    left = max((expected or 0) - elapsed, counted or 0)
    done, total = progress.get("done", 0), progress.get("total", 0)
    word = "about" if expected and elapsed < expected else "at least"
    parts = []
    if done < total:
        parts.append(f"{progress.get('text', '')} {done}/{total}".strip())
    if left > 0:
        parts.append(f"{word} {clock(left)} left")
    if later:
        parts.append(
            f"{clock(left + later)} for the whole run"
            if left > 0
            else f"then about {clock(later)} for the rest"
        )
    return "  ".join(text for text in (clock(elapsed), ", ".join(parts)) if text)
