"""aiohttp's own client in the same process: nothing of ours touches it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest

from syncclient import Session
from tests.children import RunChild
from tests.servers.raw import RawConnection, Script, StartRawServer

BODY = gzip.compress(b"hello " * 100)


def sending(*answers: bytes) -> Script:
    def script(conn: RawConnection) -> None:
        for answer in answers:
            conn.read_request()
            conn.send(answer)

    return script


def engine_run(url: str, ask: Callable[[aiohttp.ClientSession], Any]) -> Any:
    async def main() -> Any:
        # Not aiodns: its channel closes in a thread, some time later.
        connector = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
        async with aiohttp.ClientSession(url, connector=connector) as session:
            return await ask(session)

    return asyncio.run(main())


def length(body: bytes, announced: int | None = None) -> bytes:
    size = len(body) if announced is None else announced
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    return head % size + body


@pytest.fixture
def used(raw_server: StartRawServer) -> Iterator[Session]:
    """A session that has had bodies of every kind, and is open."""
    head = length(b"", 55)
    wire = raw_server(sending(head, length(BODY), length(BODY[:-5])))
    with Session() as session:
        session.head(wire.url)
        assert session.get(wire.url).read()
        with pytest.raises(aiohttp.ClientPayloadError):
            session.get(wire.url).read()
        yield session


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Encoding: gzip\r\nContent-Length: 55\r\n",
        b"Content-Encoding: deflate\r\nContent-Length: 55\r\n",
        b"Content-Encoding: br\r\nTransfer-Encoding: chunked\r\n",
    ],
)
@pytest.mark.usefixtures("used")
def test_its_head_requests(raw_server: StartRawServer, head: bytes) -> None:
    """A HEAD of what is compressed is answered without a body, there as here."""
    wire = raw_server(sending(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n"))

    async def ask(session: aiohttp.ClientSession) -> tuple[int, bytes]:
        async with session.head("/") as response:
            return response.status, await response.read()

    assert engine_run(wire.url, ask) == (200, b"")
    with Session() as session:
        assert session.head(wire.url).read() == b""


@pytest.mark.usefixtures("used")
def test_its_bodies(raw_server: StartRawServer) -> None:
    """It reads what it always read, also of a member cut off, which it takes for whole."""
    wire = raw_server(sending(length(BODY)), sending(length(BODY[:-5])))

    async def ask(session: aiohttp.ClientSession) -> bytes:
        async with session.get("/") as response:
            assert type(response.content) is aiohttp.StreamReader
            return await response.read()

    assert engine_run(wire.url, ask) == b"hello " * 100
    assert engine_run(wire.url, ask).startswith(b"hello")


PROGRAM = """
import asyncio, copyreg, importlib, inspect, pkgutil, sys
import aiohttp, multidict, yarl

def modules_of(package):
    yield package
    for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        try:
            yield importlib.import_module(info.name)
        except ImportError:
            pass  # of a framework, or a system, that is not here

def attributes():
    found = dict(copyreg.dispatch_table)
    for package in (aiohttp, multidict, yarl, asyncio):
        for module in modules_of(package):
            for name, value in list(vars(module).items()):
                found[module.__name__, name] = value
                if inspect.isclass(value) and value.__module__.startswith(package.__name__):
                    for each, inner in list(vars(value).items()):
                        if not each.startswith("_abc_"):
                            found[module.__name__, name, each] = inner
    return found

attributes()  # which imports all there is
before = attributes()
import syncclient
from syncclient import *
with syncclient.Session(retry=syncclient.Retry()) as session:
    session.head(sys.argv[1])
    assert session.get(sys.argv[1]).read()
    session.submit("GET", sys.argv[1]).result().read()
after = attributes()
for key in before.keys() | after.keys():
    if before.get(key) is not after.get(key):
        print(key, before.get(key), after.get(key))
"""


def test_its_classes_and_modules(raw_server: StartRawServer, run_child: RunChild) -> None:
    """Not one attribute of the engine is another than before, nor how its values are pickled."""
    wire = raw_server(sending(length(b"", 55), length(BODY), length(BODY)))
    child = run_child(PROGRAM, wire.url)
    assert (child.status, child.stdout) == (0, ""), child.stderr
