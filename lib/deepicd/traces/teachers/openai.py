"""The openai teacher: any server that speaks the OpenAI chat protocol.

Notes leave this machine only after an explicit acknowledgement; see
`deepicd.common.http.local_url`.
"""

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial

from deepicd.common.errors import UserError
from deepicd.common.http import ChatServer, Refused, local_url
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
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
    task : Task
        What is asked; `tree` is its space.
    **server
        `timeout`, `retries` and `longest_wait` of `deepicd.common.http.ChatServer`.

    Attributes
    ----------
    usage : Counter
        Requests, retries, failures and tokens so far.
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
        task: Task = PRINCIPAL_DIAGNOSIS,
        **server,
    ):
        url = local_url("teacher", base_url, acknowledge_remote)
        if not model:
            raise UserError(
                found="no model for teacher openai",
                expected="a name the server knows",
                do="set teacher_model",
            )
        asked = dict(tree=tree, mode=mode, instruction=instruction, task=task)
        self._ask = partial(oracle_messages, **asked)
        self.model, self.task, self.concurrency = model, task, concurrency
        self.temperature, self.max_tokens = temperature, max_tokens
        key = os.environ.get(api_key_variable, "") if api_key_variable else ""
        self.server = ChatServer(url, key=key, **server)
        self.url, self.usage = self.server.url, self.server.usage

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
            with self.server:
                while waiting or in_flight:
                    while waiting and len(in_flight) < 2 * self.concurrency:
                        in_flight.add(pool.submit(self._one, waiting.pop(), seed))
                    done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                    # What came well is given out before an error of another.
                    for task in sorted(done, key=lambda t: t.exception() is not None):
                        answer = task.result()
                        failed = failed + 1 if answer.failed else 0
                        yield answer
                    self._stop_if_dead(failed)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _one(self, request: Request, seed: int) -> Answer:
        body = {
            "model": self.model,
            "messages": self._ask(request.note, request.label),
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": seed + request.attempt,
        }
        try:
            text, counts = self.server.ask(body)
        except Refused as refusal:
            problem = f"request failed: {refusal}"
            return Answer(
                request.note_id, request.attempt, "", None, problem, failed=True
            )
        return read_completion(request, text, *counts, tag=self.task.tag)

    def _stop_if_dead(self, failed: int) -> None:
        if failed >= _GIVE_UP:
            raise UserError(
                found=f"{failed} requests in a row failed at {self.url}",
                expected="a server that answers",
                do="look at the server, then run again: what is stored is kept",
            )
