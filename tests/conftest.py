"""Fixtures for every test: the servers, a session, child processes, and a check for leaks."""

import gc
import importlib.util
import os
import signal
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.children import RunChild, run_in_child
from tests.forked import forkservers
from tests.servers.process import AppServer, app_server
from tests.servers.raw import RawServer, Script, StartRawServer

if TYPE_CHECKING:
    import syncclient  # inside the fixtures at run time: the server tests do without it

# How long a thread may take to end, or a descriptor to close, after the test that made it.
LEAK_GRACE = 5.0

_PROC_FD = Path("/proc/self/fd")


def pytest_configure() -> None:
    """Let SIGINT interrupt, as many tests do; shells start a job in the background without it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what `--numprocesses=auto` is: three for two cores, as half of the time is waiting."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores + cores // 2


@pytest.fixture(scope="module", autouse=True)
def earlier_objects_are_set_aside() -> None:
    """Spare the garbage collector what collection and earlier modules have made.

    There are hundreds of thousands of objects, and many tests collect, some dozens of times.
    """
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Put them back: hypothesis asks the collector who refers to an object, at the very end."""
    gc.unfreeze()


# Servers.


@pytest.fixture(scope="session")
def app() -> Iterator[AppServer]:
    """The well-behaved application over plain HTTP."""
    with app_server() as server:
        yield server


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    """A certificate authority that nobody trusts but who is told to."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_app(ca: trustme.CA) -> Iterator[AppServer]:
    """The application over TLS, as 127.0.0.1, ::1 and localhost."""
    with app_server(ca=ca) as server:
        yield server


@pytest.fixture
def unix_app() -> Iterator[tuple[AppServer, Path]]:
    """The application on a unix socket, with the socket's path."""
    # Not tmp_path: a socket's path may have about a hundred bytes.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "app.sock"
        with app_server(unix=path) as server:
            yield server, path


@pytest.fixture
def client_tls(ca: trustme.CA) -> ssl.SSLContext:
    """A client's context that trusts `ca`, and only it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def server_tls(ca: trustme.CA) -> ssl.SSLContext:
    """A server's context for `raw_server(script, tls=...)`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1", "::1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def raw_server() -> Iterator[StartRawServer]:
    """`raw_server(script, ..., host=, tls=)` plays scripts on a bare socket until the test ends."""
    with ExitStack() as stack:

        def start(
            *scripts: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
        ) -> RawServer:
            return stack.enter_context(RawServer(*scripts, host=host, tls=tls))

        yield start


# The client.


@pytest.fixture
def session(app: AppServer) -> "Iterator[syncclient.Session]":
    """A fresh session whose base URL is the application's."""
    import syncclient

    with syncclient.Session(app.url) as fresh:
        yield fresh


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The loops that `@pytest.mark.anyio` runs a test of the core on: the two we may get."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


# Child processes.


@pytest.fixture(scope="session")
def can_fork_children() -> Iterator[None]:
    """Make children cheap that are `forked`. The servers stay: there is one start for all tests."""
    with forkservers():
        yield


@pytest.fixture
def run_child(can_fork_children: None) -> RunChild:
    """Run Python code, or a script, in a child process: `run_child(code, *args)` -> `Child`."""
    return run_in_child


# Leaks.


@pytest.fixture(scope="session", autouse=True)
def libuv_is_up() -> None:
    """Make and close one loop: libuv keeps a pipe from the first of a process, for good."""
    if importlib.util.find_spec("uvloop"):
        import uvloop

        uvloop.new_event_loop().close()


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread of ours or a file descriptor behind.

    `@pytest.mark.leaks("why")` switches the check off.
    """
    threads, descriptors = _our_threads(), _descriptors()
    yield
    if request.node.get_closest_marker("leaks"):
        return
    _close_shared_sessions()
    until = time.monotonic() + LEAK_GRACE
    for thread in _our_threads() - threads:
        thread.join(max(0.0, until - time.monotonic()))
        assert not thread.is_alive(), f"{thread.name} outlived the test's sessions"
    if left := _left_open(descriptors):
        gc.collect()  # an object in a reference cycle may hold the last handle
        # A server within this process closes its end a moment after the client.
        while (left := _left_open(descriptors)) and time.monotonic() < until:
            time.sleep(0.01)
    assert not left, f"descriptors left open: {left}"


def _close_shared_sessions() -> None:
    """End the sessions that are meant to outlive their calls: the next call makes another."""
    api = sys.modules.get("syncclient._api")
    while api is not None and api._shared:
        api._shared.popitem()[1].close()
    engines = sys.modules.get("syncclient.requests._engines")
    if engines is not None:
        engines.close_engines()


def _our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("syncclient-")}


def _descriptors() -> dict[str, str]:
    """What each descriptor of this process is; empty where the system does not tell."""
    found = {}
    for entry in _PROC_FD.iterdir() if _PROC_FD.is_dir() else ():
        try:
            found[entry.name] = os.readlink(entry)
        except OSError:
            continue  # the listing's own descriptor
    return found


def _left_open(before: Mapping[str, str]) -> dict[str, str]:
    return {fd: what for fd, what in _descriptors().items() if before.get(fd) != what}
