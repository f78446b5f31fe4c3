"""Threads that go on asking a server, so that no moment of it goes unseen."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import closing

from tests.workers.program import LIMIT


class Load:
    """Four threads, which ask on new connections until the block ends, or a request fails.

    Args:
        port: of the server: it answers JSON, with what follows ``?q=`` as "answer", and its "pid".
        paths: asked for by turns.
        repeats: whether a request is made once more where its connection was reset unanswered.
    """

    def __init__(
        self, port: int, paths: tuple[str, ...] = ("/",), *, repeats: bool = False
    ) -> None:
        self.port = port
        self.resets = 0
        self._repeats = repeats
        self.failures: list[str] = []
        self.workers: set[int] = set()
        self.answered = 0
        self._paths = paths
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, args=(n,)) for n in range(4)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)

    def _ask_on(self, number: int) -> None:
        turn = 0
        while not self._stop.is_set() and not self.failures:
            turn += 1
            path = self._paths[turn % len(self._paths)]
            question = f"thread-{number}-{turn}"
            try:
                try:
                    status, text = self._ask(f"{path}?q={question}")
                except ConnectionResetError:
                    if not self._repeats:
                        raise
                    self.resets += 1
                    status, text = self._ask(f"{path}?q={question}")
                if status == 200 and json.loads(text)["answer"] == question:
                    self.workers.add(json.loads(text)["pid"])
                    self.answered += 1
                else:
                    self.failures.append(f"{path}: {status}: {text}")
            except Exception as exc:
                self.failures.append(f"{path}: {exc!r}")

    def _ask(self, target: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)) as one:
            one.request("GET", target)
            response = one.getresponse()
            return response.status, response.read().decode()
