"""A server on this machine that speaks the OpenAI chat protocol, well or badly."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from deepicd.tasks.prompts import format_completion

#: What the server can do wrong. A number is answered as an HTTP status.
FAULTS = (
    "drop",
    "half",
    "hang",
    "drip",
    "garbage",
    "cut_json",
    "empty",
    "no_text",
    "429",
    "429_soon",
    "429_date",
    "429_odd",
    "500",
    "503",
)
#: What is odd but still an answer.
ODDITIES = ("wrong_id", "null_usage")
_CODE = re.compile(r"^Code: (\S+),", re.M)
_NOTE = re.compile(r"---\n(.*?)\n---", re.S)
_RETRY_AFTER = {
    "429_soon": lambda: "0.01",
    "429_date": lambda: formatdate(time.time() + 0.5, usegmt=True),
    "429_odd": lambda: "Wed, 21 Oct 2015 07:28:00 -0000",
}


def quote_and_code(messages: list[dict]) -> str:
    """Answer an oracle prompt: quote the first words of the note, name the code.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> from deepicd.traces.teachers import oracle_messages
    >>> asked = oracle_messages("Wheeze and cough for days.", "J44.1", load_tree())
    >>> quote_and_code(asked).splitlines()[1]
    'The "Wheeze and cough for" decide. So J44.1.'
    """
    text = messages[-1]["content"]
    note, code = _NOTE.search(text), _CODE.search(text)
    quote = " ".join((note.group(1) if note else text).split()[:4]).replace('"', "")
    named = code.group(1) if code else "I10"
    return format_completion(f'The "{quote}" decide. So {named}.', named)


class LoopbackServer:
    """Answer chat requests on a free port; use as a context manager.

    Parameters
    ----------
    latency : float
        Seconds every answer takes.
    faults : iterable of str
        Of `FAULTS` and `ODDITIES`; the k-th request meets the k-th, later requests
        none.
    write : callable
        Messages → text of the answer.
    hang : float
        Seconds the fault "hang" is silent.

    Attributes
    ----------
    url : str
    seen : collections.Counter
        Requests by the text of their last message.
    busiest : int
        Most requests that were there at once.

    Examples
    --------
    >>> with LoopbackServer() as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        latency: float = 0.0,
        faults: Iterable[str] = (),
        write: Callable[[list[dict]], str] = quote_and_code,
        hang: float = 30.0,
    ):
        self.latency, self.write, self.hang = latency, write, hang
        self.faults = list(faults)[::-1]
        self.seen: Counter[str] = Counter()
        self.busiest = self._busy = 0
        self.lock, self.stopped = threading.Lock(), threading.Event()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> "LoopbackServer":
        serve = self._http.serve_forever
        threading.Thread(target=serve, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def begin(self, key: str) -> str:
        """Count a request in; gives what shall go wrong with it."""
        with self.lock:
            self.seen[key] += 1
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            return self.faults.pop() if self.faults else ""

    def end(self) -> None:
        """Count a request out."""
        with self.lock:
            self._busy -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that was killed or gave up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        """Keep quiet."""

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(size))
        owner = self.server.owner
        fault = owner.begin(body["messages"][-1]["content"])
        try:
            owner.stopped.wait(owner.latency)
            self._answer(owner, body, fault)
        except OSError:
            self.close_connection = True  # the other side has gone
        finally:
            owner.end()

    def _answer(self, owner, body, fault):
        if fault == "hang":
            owner.stopped.wait(owner.hang)
        if fault in ("drop", "hang"):
            self.close_connection = True
            return
        status = int(fault[:3]) if fault[:3].isdigit() else 200
        data = json.dumps(self._body(owner, body, fault, status)).encode()
        data = {"garbage": b"<html>busy</html>", "cut_json": data[:-20]}.get(
            fault, data
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if fault in _RETRY_AFTER:
            self.send_header("Retry-After", _RETRY_AFTER[fault]())
        self.end_headers()
        if fault == "drip":
            self._drip(owner, data)
        elif fault == "half":
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)

    def _drip(self, owner, data):
        """A byte now and then: never silent, never done."""
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if owner.stopped.wait(0.05):
                return

    def _body(self, owner, body, fault, status) -> dict:
        if status != 200:
            return {"error": {"message": "not now"}}
        if fault == "empty":
            return {"choices": []}
        text = None if fault == "no_text" else owner.write(body["messages"])
        usage = {"prompt_tokens": 10, "completion_tokens": 5}
        return {
            "id": "same-for-all" if fault == "wrong_id" else f"chat-{id(self)}",
            "model": "another" if fault == "wrong_id" else body["model"],
            "choices": [{"message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": None} if fault == "null_usage" else usage,
        }
