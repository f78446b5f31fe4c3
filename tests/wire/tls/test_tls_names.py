"""Hosts that can be none, and handshakes that fail at once: refused before all else."""

import asyncio
import contextlib
import gc
import os
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import syncclient
from syncclient import Session, TCPConnector
from tests.servers.process import AppServer
from tests.servers.raw import PeerGoneError, RawConnection, StartRawServer
from tests.servers.scripts import say_hello
from tests.wire.connect.reading import status

BAD_NAMES = [
    "a..b",
    ".a",
    "a..",
    "",
    "a" * 64,
    "a." * 127 + "b",
    "é" * 64,
    "a\x00b",
    "a b",
    "a\tb",
    "a/b",
    "a@b",
    "a\ud800b",
    "xn--a",
    "256.1",
    "[::g]",
]

#: The same as they stand in a URL.
BAD_HOSTS = [name for name in BAD_NAMES if name and not {*"\t/@\ud800"} & {*name}] + ["a%00b"]

WAYS: dict[str, Callable[..., object]] = {
    "get": lambda session, url, path, **options: session.get(url, **options),
    "submit": lambda session, url, path, **options: session.submit("GET", url, **options).result(
        20
    ),
    "map": lambda session, url, path, **options: list(session.map([url], **options)),
    "sse": lambda session, url, path, **options: list(session.sse(url, **options)),
    "download": lambda session, url, path, **options: session.download(url, path, **options),
    "ws_connect": lambda session, url, path, **options: session.ws_connect(url, **options),
    "aio": lambda session, url, path, **options: asyncio.run(_by_aio(session, url, **options)),
}


async def _by_aio(session: Session, url: str, **options: Any) -> object:
    return await session.aio.get(url, **options)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Descriptors that are opened within the block, and those before, are not closed behind it."""
    before = [os.pipe() for _ in range(8)]
    try:
        yield
        gc.collect()
        for pair in before:
            for descriptor in pair:
                os.fstat(descriptor)
    finally:
        for pair in before:
            for descriptor in pair:
                os.close(descriptor)


def each_name_and_each_way(names: list[str]) -> list[tuple[str, str]]:
    return [("get", name) for name in names] + [(how, "a..b") for how in WAYS if how != "get"]


@pytest.mark.parametrize(("how", "name"), each_name_and_each_way(BAD_NAMES))
def test_a_bad_server_hostname_is_refused(tmp_path: Path, how: str, name: str) -> None:
    """A bad server_hostname is a ValueError that names the keyword; nothing connects."""
    asked: list[str] = []
    connector = TCPConnector(resolver=_Hosts(asked))
    with Session(connector=connector) as session:
        with pytest.raises(ValueError, match="server_hostname"):
            WAYS[how](session, "https://host.test/", tmp_path / "f", server_hostname=name)
    assert asked == []


@pytest.mark.parametrize(("how", "name"), each_name_and_each_way(BAD_HOSTS))
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_bad_host_is_refused(tmp_path: Path, scheme: str, how: str, name: str) -> None:
    """A bad host is an InvalidURL, and the user's resolver is not asked for it."""
    asked: list[str] = []
    connector = TCPConnector(resolver=_Hosts(asked))
    with Session(connector=connector) as session, pytest.raises(syncclient.InvalidURL):
        WAYS[how](session, f"{scheme}://{name}/", tmp_path / "f")
    assert asked == []


class _Hosts:
    def __init__(self, asked: list[str]) -> None:
        self.asked = asked

    def resolve(self, host: str, port: int, family: int) -> str:
        self.asked.append(host)
        return "127.0.0.1"


@pytest.mark.parametrize("name", ["a..b", "a" * 64, ".a"])
def test_a_proxy_of_a_bad_name_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A request's, a session's, the environment's, a SOCKS connector's: before any look-up."""
    with Session() as session, pytest.raises(syncclient.InvalidURL):
        session.get("http://host.test/", proxy=f"http://{name}:1")
    with pytest.raises(syncclient.InvalidURL):
        Session(proxy=f"https://{name}:1")
    with pytest.raises(ValueError, match="URL of a SOCKS proxy"):
        syncclient.SocksConnector(f"socks5://{name}:1")
    monkeypatch.setenv("http_proxy", f"http://{name}:1")
    with Session(trust_env=True) as session, pytest.raises(syncclient.InvalidURL):
        session.get("http://host.test/")


def _of_a_server() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)


def _without_a_version() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize("make", [_of_a_server, _without_a_version])
@pytest.mark.parametrize("by", ["request", "connector", "tunnel"])
def test_a_context_that_cannot_begin(
    app: AppServer, raw_server: StartRawServer, by: str, make: Callable[[], ssl.SSLContext]
) -> None:
    """A handshake that fails before its first byte closes no descriptor of others."""
    wire = raw_server(say_hello)
    context = make()
    secure = wire.url.replace("http", "https")
    options: dict[str, Any] = {} if by == "connector" else {"ssl": context}
    connector = TCPConnector(ssl=context if by == "connector" else True)
    if by == "tunnel":
        options["proxy"] = raw_server(_tunnel).url
    with Session(app.url) as honest, Session(connector=connector) as session:
        for _ in range(20):
            with undisturbed(), pytest.raises(syncclient.ClientConnectorSSLError):
                session.get(secure, **options)
            assert status(honest.get("/get")) == 200
    assert wire.requests == []


def _tunnel(conn: RawConnection) -> None:
    conn.read_head()
    conn.send(b"HTTP/1.1 200 OK\r\n\r\n")
    with contextlib.suppress(OSError, PeerGoneError):
        conn.read_to_end()


def test_a_name_that_python_alone_would_take_otherwise(
    raw_server: StartRawServer, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """``server_hostname`` in capital letters, with a final dot, or as an address still verifies."""
    wire = raw_server(say_hello, tls=server_tls)
    url = wire.url.replace("127.0.0.1", "127.1")
    for name in ("LOCALHOST", "localhost.", "127.0.0.1", "127.1"):
        with Session() as session:
            assert session.get(url, ssl=client_tls, server_hostname=name).read() == b"hello"
