"""The one HTTP client: chat servers, where notes may go, and when to ask again.

No redirect is followed and no proxy is used, so a note goes to the address that was
checked and nowhere else.
"""

import ipaddress
import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import tenacity

from deepicd.common.errors import UserError

_PASSING = {408, 409, 425, 429}  # and all 5xx: may be gone at the next try
_SETTINGS = {401: "the key", 403: "the key", 404: "the address or the model"}
_FIRST_WAIT = 0.5
_LARGEST = 16 * 1024 * 1024  # bytes of a response


class Refused(Exception):
    """A request failed for good; the message holds a status, never note text."""


class Passing(Refused):
    """A failure that may be gone at the next try, `wait` seconds from now if known."""

    def __init__(self, problem: str, status: int = 0, wait: float | None = None):
        super().__init__(problem)
        self.status, self.wait = status, wait


class Unreadable(Passing):
    """The server answered, but with no text."""


def local_url(what: str, url: str, acknowledged: bool | None = False) -> httpx.URL:
    """Address of a server that may read notes: on this machine, or acknowledged.

    Parameters
    ----------
    what : str
        Who is served there, for the message.
    url : str
    acknowledged : bool or None
        Whether the user allows another machine; None where nobody can.

    Raises
    ------
    UserError
        For a remote address, or one that is no http address.

    Examples
    --------
    >>> str(local_url("judge", "http://localhost:8000/v1"))
    'http://127.0.0.1:8000/v1'
    >>> local_url("teacher", "https://api.example.com/v1")
    Traceback (most recent call last):
        ...
    deepicd.common.errors.UserError: found teacher at 'https://api.example.com/v1'; ...
    """
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        found = httpx.URL()
    if found.host == "localhost":
        found = found.copy_with(host="127.0.0.1")
    if found.scheme == "http" and _is_loopback(found.host):
        return found
    if acknowledged and found.scheme in ("http", "https") and found.host:
        return found
    shown = str(found.copy_with(userinfo=b"")) or url  # never a password
    other = ", or set acknowledge_remote=True if your data licence allows it"
    raise UserError(
        found=f"{what} at {shown!r}",
        expected="an http address of this machine (127.0.0.1, ::1, localhost): notes"
        " of licensed sources may not leave it",
        do=f"use http://127.0.0.1:…{'' if acknowledged is None else other}",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ChatServer:
    """A server that speaks the OpenAI chat protocol, for many threads at once.

    Use as a context manager: leaving it wakes and refuses whoever still waits.

    Parameters
    ----------
    url : httpx.URL
        From `local_url`, such as http://127.0.0.1:8000/v1.
    timeout : float
        Seconds after which a try counts as failed.
    retries : int
        Further tries of one request after a failure that may pass.
    longest_wait : float
        Seconds between two tries at most, Retry-After included.
    key : str

    Attributes
    ----------
    usage : Counter
        Of requests, retries, failures, prompt_tokens and completion_tokens.
    """

    def __init__(
        self,
        url: httpx.URL,
        timeout: float = 120.0,
        retries: int = 6,
        longest_wait: float = 60.0,
        key: str = "",
    ):
        self.url = str(url).rstrip("/") + "/chat/completions"
        self.timeout, self.longest_wait, self.key = timeout, longest_wait, key
        self.usage: Counter[str] = Counter()
        self._free, self._lock = 0.0, threading.Lock()  # from when on one may ask
        self._stopped = threading.Event()
        self._backoff = tenacity.wait_random_exponential(_FIRST_WAIT, longest_wait)
        self._tries = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=tenacity.stop_after_attempt(retries + 1),
            wait=self._wait,
            sleep=tenacity.sleep_using_event(self._stopped),
            before_sleep=lambda _: self._count(retries=1),
            reraise=True,
        )

    def __enter__(self) -> "ChatServer":
        self._stopped.clear()
        self._client = httpx.Client(
            timeout=self.timeout,
            headers={"Authorization": f"Bearer {self.key}"} if self.key else {},
            trust_env=False,
            follow_redirects=False,
        )
        return self

    def __exit__(self, *error) -> None:
        self._stopped.set()
        self._client.close()

    def ask(self, body: dict) -> tuple[str, tuple[int, int]]:
        """Ask once, and again after failures that may pass.

        Returns
        -------
        (str, tuple of int)
            Text of the first choice; prompt and completion tokens, 0 where the
            server does not count.

        Raises
        ------
        Refused
            When the last try failed, or the request is at fault (400, 413, 422).
        UserError
            When the key, the address or the model is wrong.
        """
        self._count(requests=1)
        try:
            text, (read, written) = self._tries(self._once, body)
        except Refused:
            self._count(failures=1)
            raise
        self._count(prompt_tokens=read, completion_tokens=written)
        return text, (read, written)

    def _count(self, **more: int) -> None:
        with self._lock:
            self.usage.update(more)

    def _turn(self) -> float:
        """Seconds until one may ask."""
        with self._lock:
            return max(self._free - time.monotonic(), 0.0)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next try; after a 429 nobody else asks before."""
        failure = state.outcome.exception()
        seconds = self._backoff(state) if failure.wait is None else failure.wait
        seconds = min(seconds, self.longest_wait)
        if failure.status == 429:
            with self._lock:
                self._free = max(self._free, time.monotonic() + seconds)
        return seconds

    def _once(self, body: dict) -> tuple[str, tuple[int, int]]:
        if self._stopped.wait(self._turn()):
            raise Refused("stopped")
        try:
            response, data = self._fetch(body)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Passing(type(error).__name__) from None
        status = response.status_code
        if status in _SETTINGS:
            raise UserError(
                found=f"HTTP {status} from {response.url.host}",
                expected="a server that accepts the request",
                do=f"check {_SETTINGS[status]}",
            )
        if status in _PASSING or status >= 500:
            raise Passing(f"HTTP {status}", status, _retry_after(response))
        if status != 200:
            raise Refused(f"HTTP {status}")
        return _read(data)

    def _fetch(self, body: dict) -> tuple[httpx.Response, bytes]:
        """One request with a limit on its whole time and size.

        The time limit of httpx starts anew with each byte; a server that sends one
        now and then would hold its place for ever.
        """
        begin, data = time.monotonic(), b""
        with self._client.stream("POST", self.url, json=body) as response:
            for part in response.iter_bytes():
                data += part
                if time.monotonic() - begin > self.timeout:
                    raise httpx.ReadTimeout("took too long")
                if len(data) > _LARGEST:
                    raise httpx.DecodingError("too long")
        return response, data


def _read(data: bytes) -> tuple[str, tuple[int, int]]:
    """Text and token counts of a good response."""
    try:
        reply = json.loads(data)
        text = reply["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        raise Unreadable("unreadable response") from None
    if not isinstance(text, str):
        raise Unreadable("response without text")
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get(f"{kind}_tokens") for kind in ("prompt", "completion")]
    read, written = (c if isinstance(c, int) and c > 0 else 0 for c in counts)
    return text, (read, written)


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
