"""What the runner says: plain lines, and one live line on a terminal."""

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

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
    text = "\n".join(
        "".join(c["source"]) for c in cells[:3] if c["cell_type"] == "markdown"
    )
    heading = re.search(r"^#\s+(?:\d\d\s*·\s*)?(.+)$", text, re.M)
    text = text.replace("**Purpose.**", "")
    prose = [p for p in re.split(r"\n\s*\n", text) if p.strip()[:1] not in "#|-*>"]
    marks = r"[*`]|\b_|_\b|\[([^\]]*)\]\([^)]*\)"
    first = re.sub(marks, r"\1", prose[0]) if prose else ""
    sentence = re.match(r".+?[.!?](?=\s|$)", " ".join(first.split()))
    title = heading.group(1).strip() if heading else notebook.stem
    return About(title, sentence.group(0) if sentence else "")


def clock(seconds: float) -> str:
    """Seconds as ``m:ss`` or ``h:mm:ss``.

    Examples
    --------
    >>> clock(75), clock(3661)
    ('1:15', '1:01:01')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display:
    """Lines for a log, or lines with one that is rewritten on a terminal.

    Parameters
    ----------
    stream : file, optional
        Where to write; standard output when not given.
    """

    def __init__(self, stream=None):
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self._last = 0.0
        self._shown = ""

    def line(self, text: str = "") -> None:
        """Write a line that stays."""
        self._erase()
        print(text, file=self.stream, flush=True)

    def status(self, text: str, seconds: float) -> None:
        """Show what is going on; rarely in a log, rewriting itself on a terminal."""
        if seconds < self._last:
            self._last = 0.0
        if seconds - self._last < (LIVE_SECONDS if self.live else PLAIN_SECONDS):
            return
        self._last = seconds
        if not self.live:
            print(f"      {text}", file=self.stream, flush=True)
            return
        self._erase()
        self._shown = f"      {text}"[: _width() - 1]
        self.stream.write(self._shown)
        self.stream.flush()

    def _erase(self) -> None:
        if self._shown:
            self.stream.write("\r" + " " * len(self._shown) + "\r")
            self._shown = ""


def _width() -> int:
    import shutil

    return shutil.get_terminal_size((100, 24)).columns


@dataclass
class Counter:
    """The pace of what a stage counts; it may count several things in turn.

    Examples
    --------
    >>> counter = Counter()
    >>> counter.left({"done": 10, "total": 50}, 600) is None  # just begun
    True
    >>> counter.left({"done": 30, "total": 50}, 640)
    40.0
    >>> counter.left({"done": 2, "total": 800}, 660) is None  # the next thing
    True
    """

    total: int = 0
    done: int = 0
    first: int = 0
    began: float = 0.0

    def left(self, progress: dict, elapsed: float) -> float | None:
        """Seconds that the present count still needs; None where nobody can tell."""
        done, total = progress.get("done", 0), progress.get("total", 0)
        if total != self.total or done < self.done:
            self.first, self.began = done, elapsed
        self.done, self.total = done, total
        if not self.first < done < total:
            return None
        return (elapsed - self.began) * (total - done) / (done - self.first)


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
        Seconds that the present count needs still, from `Counter`. Other things may
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
