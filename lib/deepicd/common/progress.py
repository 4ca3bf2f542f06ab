"""How far a long step is and how long it still takes: one reporter for every room.

Steps that take seconds are counted (`counted`, `Count`, or `report` itself). Where the
counts go is chosen once: to the runner of notebooks, or to one line on a terminal or in
a notebook that a person executes. Whoever shows them tells the time left by `Pace`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sized

Report = Callable[[int, int, str], None]
QUIET = 2.0  # seconds before a person is shown a line


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


class Pace:
    """How fast things are counted; several things may be counted in turn.

    Examples
    --------
    >>> pace = Pace()
    >>> pace.left(10, 50, now=600) is None  # just begun
    True
    >>> pace.left(30, 50, now=640)
    40.0
    >>> pace.left(2, 800, now=660) is None  # the next thing
    True
    >>> pace.left(40, 50, now=690)  # and back: what came between counts as well
    30.0
    """

    def __init__(self):
        self.begun: dict[int, tuple[int, float, int]] = {}

    def left(self, done: int, total: int, now: float) -> float | None:
        """Seconds until `total` at the pace so far; None where nobody can tell."""
        first, began, last = self.begun.get(total, (done, now, done))
        if done < last:  # the same number of other things
            first, began = done, now
        self.begun[total] = first, began, done
        if not first < done < total:
            return None
        return (now - began) * (total - done) / (done - first)


class Line:
    """One line that a person sees while something is counted, with the time left."""

    def __init__(self):
        self.bar = None
        self.total, self.since = 0, 0.0

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """Show a count; the line goes when the count is full."""
        now = time.monotonic()
        if total != self.total:
            self.close()
            self.total, self.since = total, now
        if done >= total:
            self.close()
        elif now - self.since >= QUIET:
            self._show(done, total, text)

    def _show(self, done: int, total: int, text: str) -> None:
        from rich import progress
        from rich.console import Console

        if self.bar is None:
            console = Console(stderr=True)
            if not (console.is_terminal or console.is_jupyter):
                return
            columns = ("{task.description}", progress.BarColumn())
            columns += (progress.MofNCompleteColumn(), progress.TimeRemainingColumn())
            self.bar = progress.Progress(*columns, console=console, transient=True)
            self.task = self.bar.add_task(text, total=total)
            self.bar.start()
        self.bar.update(self.task, completed=done, description=text)

    def close(self) -> None:
        """Take the line away."""
        if self.bar is not None:
            self.bar.stop()
        self.bar, self.total = None, 0


line = Line()
_place: list[Report] = [line]
_inside: list[str] = []


def send_to(place: Report) -> None:
    """Choose where counts go from now on."""
    _place[:] = [place]


def report(done: int, total: int, text: str = "") -> None:
    """Say how many of how many are done; cheap enough for every step."""
    _place[0](int(done), int(total), text)


class Count:
    """A count whose steps are of different size.

    Parameters
    ----------
    total : int
    text : str
        What is being done.

    Examples
    --------
    >>> told = []
    >>> send_to(lambda *said: told.append(said))
    >>> Count(10, "reading").add(4)
    >>> told
    [(0, 10, 'reading'), (4, 10, 'reading')]
    >>> send_to(line)
    """

    def __init__(self, total: int, text: str):
        self.done, self.total, self.text = 0, total, text
        self.add(0)

    def add(self, size: int = 1) -> None:
        """Count some more."""
        self.done = min(self.done + size, self.total)
        report(self.done, self.total, self.text)


def counted(items: Iterable, text: str, total: int | None = None) -> Iterator:
    """Pass items on and tell how many were done with.

    A count inside another one is not told: the outer one says how far all is.

    Parameters
    ----------
    items : iterable
    text : str
        What is being done, such as ``"scoring systems"``.
    total : int, optional
        How many there are, where `items` has no length.

    Examples
    --------
    >>> told = []
    >>> send_to(lambda *said: told.append(said))
    >>> [n * n for n in counted([1, 2], "squares")], told[-1]
    ([1, 4], (2, 2, 'squares'))
    >>> send_to(line)
    """
    total = len(items) if total is None and isinstance(items, Sized) else total
    if _inside or not total:
        yield from items
        return
    _inside.append(text)
    try:
        count = Count(total, text)
        for item in items:
            yield item
            count.add()
    finally:
        _inside.pop()
        line.close()
