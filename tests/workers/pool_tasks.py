"""What a pool of processes runs: functions that ask through a session of the module's own."""

import gc
import io
import os
import sys
from multiprocessing.synchronize import Event

import syncclient

session = syncclient.Session(os.environ["UPSTREAM"])
session.get("/json").raise_for_status()


def ask(number: int) -> "tuple[int, int]":
    """Ask the upstream through the session; return the process and the answer."""
    with session.post("/anything", data=str(number)) as response:
        answer = int(response.json()["text"])
    gc.collect()
    return os.getpid(), answer


def ask_and_end(how: str, asked: Event, may_end: Event) -> None:
    """Ask, say so, and when told end the process by ``how``."""
    ask(1)
    asked.set()
    may_end.wait(30)
    if how == "exit":
        sys.exit(3)
    elif how == "_exit":
        os._exit(3)
    elif how == "error":
        sys.stderr = io.StringIO()  # its traceback is not what the test looks at
        raise LookupError
