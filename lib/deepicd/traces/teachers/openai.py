"""The openai teacher: any server that speaks the OpenAI chat protocol.

Notes leave this machine only after an explicit acknowledgement: without it only a
loopback address is accepted, no redirect is followed and no proxy is used.
"""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import httpx

from deepicd.common.errors import UserError
from deepicd.common.http import Gate, Refused, Usage, post, require_local
from deepicd.traces.teachers.prompt import oracle_messages
from deepicd.traces.teachers.records import Answer, Request, read_completion

_GIVE_UP = 20  # requests in a row that fail before the run stops


class OpenAITeacher:
    """Write traces with an OpenAI-compatible server, many requests at a time.

    Parameters
    ----------
    tree : deepicd.icd.IcdTree
    model : str
        Name the server knows.
    base_url : str
        Such as "http://127.0.0.1:8000/v1".
    acknowledge_remote : bool, default False
        Allow a server on another machine. MIMIC-IV's licence forbids sharing notes
        with third parties.
    api_key_variable : str
        Environment variable that holds the key; "" for none.
    mode : {"oracle", "plain"}
    instruction : {"full", "brief"}
        Of mode "plain".
    temperature : float
    max_tokens : int
    concurrency : int
        Requests in flight.
    timeout : float
        Seconds after which a try counts as failed.
    retries : int
        Further tries of one request after a failure that may pass.
    longest_wait : float
        Seconds between two tries at most, Retry-After included.
    per_minute : float
        Requests a minute at most; 0 for no limit but the server's own.
    prices : tuple of float
        Money for a million prompt and a million completion tokens.

    Attributes
    ----------
    usage : Usage
        Requests, retries, failures, tokens and cost so far.
    """

    name = "openai"

    def __init__(
        self,
        tree,
        model: str,
        base_url: str = "http://127.0.0.1:8000/v1",
        acknowledge_remote: bool = False,
        api_key_variable: str = "",
        mode: str = "oracle",
        instruction: str = "full",
        temperature: float = 0.9,
        max_tokens: int = 1024,
        concurrency: int = 16,
        timeout: float = 120.0,
        retries: int = 6,
        longest_wait: float = 60.0,
        per_minute: float = 0.0,
        prices: tuple[float, float] = (0.0, 0.0),
    ):
        require_local(base_url, acknowledge_remote)
        if not model:
            raise UserError(
                found="no model for teacher openai",
                expected="a name the server knows",
                do="set teacher_model",
            )
        self.tree, self.model, self.mode = tree, model, mode
        self.instruction = instruction
        self.url = base_url.rstrip("/") + "/chat/completions"
        self.key = os.environ.get(api_key_variable, "") if api_key_variable else ""
        self.temperature, self.max_tokens = temperature, max_tokens
        self.concurrency, self.timeout, self.retries = concurrency, timeout, retries
        self.gate = Gate(longest_wait, per_minute)
        self.usage = Usage(prices)

    def answer(self, requests: list[Request], seed: int = 0) -> Iterator[Answer]:
        """Answer in the order of arrival; `concurrency` requests are in flight.

        Raises
        ------
        UserError
            Where the server refuses the key or the model, or 20 requests in a row
            fail; what was answered before stays.
        """
        waiting, in_flight, failed = list(requests)[::-1], set(), 0
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            with self._client() as client:
                while waiting or in_flight:
                    while waiting and len(in_flight) < 2 * self.concurrency:
                        task = pool.submit(self._one, client, waiting.pop(), seed)
                        in_flight.add(task)
                    done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                    # What came well is given out before an error of another.
                    for task in sorted(done, key=lambda t: t.exception() is not None):
                        answer = task.result()
                        failed = failed + 1 if answer.failed else 0
                        yield answer
                    self._stop_if_dead(failed)
        finally:
            self.gate.close()
            pool.shutdown(wait=True, cancel_futures=True)
            self.gate.open()

    def _client(self) -> httpx.Client:
        limits = httpx.Limits(
            max_connections=self.concurrency,
            max_keepalive_connections=self.concurrency,
        )
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(
            timeout=self.timeout,
            limits=limits,
            headers=headers,
            trust_env=False,
            follow_redirects=False,
        )

    def _one(self, client, request: Request, seed: int) -> Answer:
        body = {
            "model": self.model,
            "messages": oracle_messages(
                request.note, request.label, self.tree, self.mode, self.instruction
            ),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": seed + request.attempt,
        }
        try:
            text, counts = post(
                client, self.url, body, self.retries, self.gate, self.usage
            )
        except Refused as refusal:
            return Answer(
                request.note_id,
                request.attempt,
                "",
                None,
                f"request failed: {refusal}",
                failed=True,
            )
        return read_completion(request, text, *counts)

    def _stop_if_dead(self, failed: int) -> None:
        if failed >= _GIVE_UP:
            raise UserError(
                found=f"{failed} requests in a row failed at {self.url}",
                expected="a server that answers",
                do="look at the server, then run again: what is stored is kept",
            )
