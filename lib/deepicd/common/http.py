"""One request to a server, with retries; and the address it may go to."""

import ipaddress
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from deepicd.common.errors import UserError

_PASSING = {408, 409, 425, 429}  # and all 5xx: may be gone at the next try
_SETTINGS = {401: "the key", 403: "the key", 404: "the address or the model"}
_FIRST_WAIT = 0.5
_LARGEST = 16 * 1024 * 1024  # bytes of a response


class Refused(Exception):
    """A request failed for good; the message holds a status, never note text."""


def require_local(base_url: str, acknowledged: bool) -> None:
    """Refuse an address outside this machine unless the user acknowledged it.

    Raises
    ------
    UserError
        For a remote address, or one that is no http address.

    Examples
    --------
    >>> require_local("http://127.0.0.1:8000/v1", acknowledged=False)
    >>> require_local("https://api.example.com/v1", acknowledged=False)
    Traceback (most recent call last):
        ...
    deepicd.common.errors.UserError: found the remote server api.example.com; ...
    """
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            found=f"base_url {base_url!r}",
            expected="http://host:port/v1",
            do="set base_url",
        )
    if acknowledged or _is_loopback(parts.hostname):
        return
    raise UserError(
        found=f"the remote server {parts.hostname}",
        expected="a loopback address: notes of licensed sources may not leave this"
        " machine",
        do="use http://127.0.0.1:…, or set acknowledge_remote=True if your data"
        " licence allows it",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass
class Usage:
    """Counts of what was asked and what it cost; safe to add to from threads.

    Examples
    --------
    >>> usage = Usage(prices=(1.0, 4.0))
    >>> usage.add(requests=1, prompt_tokens=1_000_000, completion_tokens=500_000)
    >>> usage.cost
    3.0
    """

    prices: tuple[float, float] = (0.0, 0.0)
    requests: int = 0
    retries: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **counts: int) -> None:
        """Add to the counts named."""
        with self._lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def counts(self) -> dict[str, float]:
        """All counts and the cost, by name, for a table.

        Examples
        --------
        >>> Usage(requests=2).counts()["requests"]
        2
        """
        names = (
            "requests",
            "retries",
            "failures",
            "prompt_tokens",
            "completion_tokens",
        )
        return {name: getattr(self, name) for name in names} | {"cost": self.cost}

    @property
    def cost(self) -> float:
        """Money, by the two prices for a million tokens."""
        prompt, completion = self.prices
        paid = self.prompt_tokens * prompt + self.completion_tokens * completion
        return paid / 1e6


class Gate:
    """Where all requests wait: for their turn, and while the server has had enough.

    Parameters
    ----------
    longest : float
        Seconds of one wait at most.
    per_minute : float
        Requests a minute at most, retries included; 0 for no limit.
    """

    def __init__(self, longest: float, per_minute: float = 0.0):
        self.longest = longest
        self._gap = 60.0 / per_minute if per_minute else 0.0
        self._turn = 0.0
        self._until = 0.0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def wait(self) -> None:
        """Sleep until the server may be asked again; wakes at once when closed."""
        left = min(self._until - time.monotonic(), self.longest)
        self._closed.wait(max(left, 0.0))
        self._closed.wait(max(self._my_turn(), 0.0))
        if self._closed.is_set():
            raise Refused("stopped")

    def _my_turn(self) -> float:
        """Seconds until the next free turn, which is now taken."""
        if not self._gap:
            return 0.0
        with self._lock:
            now = time.monotonic()
            turn = max(self._turn, now)
            self._turn = turn + self._gap
        return turn - now

    def pause(self, seconds: float) -> None:
        """Hold back every request."""
        self._until = max(self._until, time.monotonic() + min(seconds, self.longest))

    def sleep(self, seconds: float) -> None:
        """Hold back this request only."""
        if self._closed.wait(min(seconds, self.longest)):
            raise Refused("stopped")

    def close(self) -> None:
        """Wake and stop whoever waits."""
        self._closed.set()

    def open(self) -> None:
        """Let requests through again."""
        self._closed.clear()


def post(client, url: str, body: dict, retries: int, gate: Gate, usage: Usage):
    """Ask once, and again after failures that may pass.

    Returns
    -------
    (str, tuple of int)
        Text of the first choice; prompt and completion tokens.

    Raises
    ------
    Refused
        When the last try failed, or the request is at fault (400, 413, 422).
    UserError
        When the key, the address or the model is wrong.
    """
    usage.add(requests=1)
    for tries in range(retries + 1):
        gate.wait()
        try:
            response = _fetch(client, url, body)
        except (httpx.HTTPError, httpx.StreamError) as error:
            problem, asked = type(error).__name__, None
        else:
            result, problem = _read(response)
            if result is not None:
                usage.add(prompt_tokens=result[1][0], completion_tokens=result[1][1])
                return result
            asked = _retry_after(response)
            if response.status_code == 429:
                gate.pause(_backoff(tries) if asked is None else asked)
        if tries < retries:
            usage.add(retries=1)
            gate.sleep(_backoff(tries) if asked is None else asked)
    usage.add(failures=1)
    raise Refused(problem)


def _fetch(client, url: str, body: dict) -> httpx.Response:
    """One request with a limit on its whole time and size.

    The time limit of httpx starts anew with each byte; a server that sends one now
    and then would hold its place for ever.
    """
    begin, limit, size = time.monotonic(), client.timeout.read, 0
    with client.stream("POST", url, json=body) as response:
        parts = []
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if limit is not None and time.monotonic() - begin > limit:
                raise httpx.ReadTimeout("took too long")
            if size > _LARGEST:
                raise httpx.DecodingError("too long")
    return httpx.Response(
        response.status_code,
        headers=_kept(response.headers),
        content=b"".join(parts),
        request=response.request,
    )


def _kept(headers: httpx.Headers) -> dict[str, str]:
    """The one header that is read later; others speak of the bytes on the wire."""
    return {k: v for k, v in headers.items() if k.lower() == "retry-after"}


def _backoff(tries: int) -> float:
    return _FIRST_WAIT * 2**tries * random.uniform(0.5, 1.0)


def _read(response: httpx.Response):
    """Text and token counts of a good response, or None and what is wrong."""
    status = response.status_code
    if status in _SETTINGS:
        raise UserError(
            found=f"HTTP {status} from {response.url.host}",
            expected="a server that accepts the request",
            do=f"check {_SETTINGS[status]}",
        )
    if status in _PASSING or status >= 500:
        return None, f"HTTP {status}"
    if status != 200:
        raise Refused(f"HTTP {status}")
    try:
        data = response.json()
        text = data["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None, "unreadable response"
    if not isinstance(text, str):
        return None, "response without text"
    return (text, _tokens(data.get("usage"))), None


def _tokens(usage) -> tuple[int, int]:
    """Prompt and completion tokens; 0 where the server does not count."""
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get(f"{kind}_tokens") for kind in ("prompt", "completion")]
    read, written = (c if isinstance(c, int) and c > 0 else 0 for c in counts)
    return read, written


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait, from a number or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:  # the date says "-0000"
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
