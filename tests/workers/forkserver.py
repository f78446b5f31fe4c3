"""A server of processes: each is forked from an interpreter that has imported syncclient.

Imports are nine tenths of what a short program computes. `tests/forked.py` starts the server, as
`python FLAGS -c START SOCKET`, and asks it for processes.
"""

import importlib
import importlib.util
import json
import os
import signal
import socket
import sys
import warnings
from types import CodeType
from typing import Any, Literal, TextIO, TypedDict

#: What the programs import that the tests run.
IMPORTED = ("syncclient", "syncclient.__main__", "tests.places")

#: Runs as `__main__`, where nothing of it is left when the code of a child begins.
START = f"exec(__import__({__name__!r}, fromlist=['serve']).serve())"

#: How many bytes say how long a request is. They carry the descriptors: status, and the three.
HEAD = 4


class Request(TypedDict):
    """What a process is to run, and in which surroundings."""

    #: As on Python's command line: ["-c", CODE, ...], ["-m", MODULE, ...] or [SCRIPT, ...].
    argv: list[str]
    #: The arguments of -W, but only their action.
    warnings: list[str]
    env: dict[str, str]
    cwd: str
    #: Whether standard input becomes the controlling terminal.
    terminal: bool


def serve() -> CodeType:
    """Fork until the other end of the socket is closed; in each child return what it runs."""
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while True:
            head, descriptors, _, _ = socket.recv_fds(control, HEAD, 4)
            if not head:
                os._exit(0)
            request = json.loads(control.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
            if os.fork() == 0:
                break
            for descriptor in descriptors:
                os.close(descriptor)
    status, *standard = descriptors
    _leave_to_the_child(status, standard)
    os.close(status)
    return _become(request, standard)


def _leave_to_the_child(status: int, standard: list[int]) -> None:
    """Fork again, and return in the child only: its parent reports its pid, and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.write(status, f"{pid}\n".encode())
        for descriptor in standard:
            os.close(descriptor)
        os.write(status, f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())
        os._exit(0)


def _become(request: Request, standard: list[int]) -> CodeType:
    os.setsid()
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if request["terminal"]:
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    # They remember what their descriptors were: whether one can seek there, or somebody reads.
    sys.stdin = _opened(0, sys.stdin, "r")
    sys.stdout = _opened(1, sys.stdout, "w")
    sys.stderr = _opened(2, sys.stderr, "w", line_buffering=True)
    for action in request["warnings"]:
        sys.warnoptions.append(action)
        warnings.simplefilter(action)  # type: ignore[arg-type]  # one of its literals
    return _code_of(request["argv"])


def _opened(
    descriptor: int, like: TextIO, mode: Literal["r", "w"], *, line_buffering: bool = False
) -> TextIO:
    return open(
        descriptor,
        mode,
        buffering=1 if line_buffering or os.isatty(descriptor) else -1,
        encoding=like.encoding,
        errors=like.errors,
        newline="\n" if mode == "w" else None,
        closefd=False,
    )


def _code_of(argv: list[str]) -> CodeType:
    """The code to run in `__main__`, which is made ready for it."""
    main: dict[str, Any] = vars(sys.modules["__main__"])
    sys.argv[:] = argv
    if argv[0] == "-c":
        return compile(sys.argv.pop(1), "<string>", "exec")
    if argv[0] == "-m":
        spec = importlib.util.find_spec(f"{argv[1]}.__main__")
        assert spec is not None and spec.origin is not None
        del sys.argv[0]
        path, main["__package__"], main["__spec__"] = spec.origin, spec.parent, spec
    else:
        path = argv[0]
        sys.path.insert(0, os.path.dirname(path))
    sys.argv[0] = main["__file__"] = path
    with open(path, encoding="utf-8") as source:
        return compile(source.read(), path, "exec")
