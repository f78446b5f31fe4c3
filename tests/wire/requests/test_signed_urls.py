"""URLs reach the server as they are written, in every way of asking: signatures cover them."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from yarl import URL

import syncclient
from syncclient import CookieJar, Session
from tests.servers.raw import StartRawServer
from tests.servers.scripts import say_hello

SIGNED = "/f%27o/a%2Cb%3Ac%2F?type=application%2Fgzip&Signature=a%2Bb%2Fc%3D&d=x+y"


async def _awaited(session: Session, url: str) -> None:
    async with session.aio.get(url) as response:
        await response.read()


def _many(session: Session, url: str) -> None:
    for response in session.map([url]):
        response.read()


def _handshake(session: Session, url: str) -> None:
    with pytest.raises(syncclient.WSServerHandshakeError):
        session.ws_connect(url)


def _events(session: Session, url: str) -> None:
    with pytest.raises(syncclient.ClientError):
        list(session.sse(url))


def _joined(session: Session, url: str) -> None:
    split = URL(url, encoded=True)
    with session.with_options(base_url=f"{split.origin()}/f%27o/") as based:
        based.get(url.partition("/f%27o/")[2]).read()


def _middleware(session: Session, url: str) -> None:
    session.get(url, middlewares=[lambda request, handler: handler(request)]).read()


WAYS: dict[str, Callable[[Session, str], object]] = {
    "get": lambda session, url: session.get(url).read(),
    "encoded": lambda session, url: session.get(URL(url, encoded=True)).read(),
    "submit": lambda session, url: session.submit("GET", url).result(20).read(),
    "map": _many,
    "aio": lambda session, url: asyncio.run(_awaited(session, url)),
    "one-shot": lambda session, url: syncclient.get(url).read(),
    "ws_connect": _handshake,
    "sse": _events,
    "base_url": _joined,
    "middleware": _middleware,
}


@pytest.mark.parametrize("how", WAYS)
def test_as_it_is_written(raw_server: StartRawServer, how: str) -> None:
    """Reserved characters stay escaped, or not escaped, as they are."""
    wire = raw_server(say_hello)
    with Session() as session:
        WAYS[how](session, f"{wire.url}{SIGNED}")
    assert [request.target for request in wire.requests] == [SIGNED]


def test_by_download(raw_server: StartRawServer, tmp_path: Path) -> None:
    """So it is for the target of a download, which is named without the query."""
    wire = raw_server(say_hello)
    with Session() as session:
        session.download(f"{wire.url}{SIGNED}", tmp_path / "f")
        session.download(f"{wire.url}/name.bin?", tmp_path)
    assert [request.target for request in wire.requests] == [SIGNED, "/name.bin?"]
    assert {path.name for path in tmp_path.iterdir()} == {"f", "name.bin"}


def test_others_send_the_same(raw_server: StartRawServer) -> None:
    """requests and httpx keep it as well."""
    wire = raw_server(say_hello)
    url = f"{wire.url}{SIGNED}"
    requests.get(url, timeout=20)
    httpx.get(url)
    assert [request.target for request in wire.requests] == [SIGNED] * 2


@pytest.mark.parametrize(
    ("params", "added"),
    [
        ({"k": "a b"}, "&k=a+b"),
        ("k=%2F%2B", "&k=%2F%2B"),
        ([("k", "1"), ("k", "2")], "&k=1&k=2"),
        ({}, ""),
    ],
)
def test_params_are_added_behind(raw_server: StartRawServer, params: Any, added: str) -> None:
    """What was signed stays in front of them, untouched."""
    wire = raw_server(say_hello)
    with Session() as session:
        session.get(f"{wire.url}{SIGNED}", params=params).read()
    assert [request.target for request in wire.requests] == [SIGNED + added]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("?", "/?"),
        ("?x", "/?x"),
        ("/a?", "/a?"),
        ("/a?#f", "/a?"),
        ("/host.test:8080", "/host.test:8080"),
        (SIGNED, SIGNED),
    ],
)
def test_through_a_proxy(raw_server: StartRawServer, path: str, target: str) -> None:
    """A proxy is asked for the whole URL, which has a slash where it has no path."""
    proxy = raw_server(say_hello)
    wire = raw_server(say_hello)
    with Session() as session:
        session.get(f"http://host.test:8080{path}", proxy=proxy.url).read()
        response = session.get(f"{wire.url}{path}")
        assert response.read() == b"hello"
    assert [request.target for request in proxy.requests] == [f"http://host.test:8080{target}"]
    assert [request.target for request in wire.requests] == [target]


def test_cookies_of_a_path_with_an_empty_query(raw_server: StartRawServer) -> None:
    """The mark of a query is no part of the path that cookies are for."""
    wire = raw_server(say_hello)
    jar = CookieJar()
    with Session(cookie_jar=jar) as session:
        session.get(wire.url).read()
        jar.update_cookies_from_headers(["a=1; Path=/a"], wire.url)
        session.get(f"{wire.url}/a?").read()
    assert wire.requests[-1].header("Cookie") == "a=1"


def test_by_the_command_line(raw_server: StartRawServer) -> None:
    """The command line keeps it, too."""
    wire = raw_server(say_hello)
    command = [sys.executable, "-m", "syncclient", "get", f"{wire.url}{SIGNED}"]
    subprocess.run(command, check=True, timeout=100, capture_output=True)
    assert [request.target for request in wire.requests] == [SIGNED]


@pytest.mark.parametrize("zone", ["%1", "%251", "%25%31"])
def test_an_address_with_a_zone(
    raw_server: StartRawServer, zone: str, server_tls: ssl.SSLContext
) -> None:
    """The zone says by which interface to go, and is told to no server (RFC 6874, section 4)."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    names: list[str | None] = []
    server_tls.sni_callback = lambda sock, name, context: names.append(name)
    wire = raw_server(say_hello, host="::1")
    secure = raw_server(say_hello, host="::1", tls=server_tls)
    with Session() as session:
        assert session.get(f"http://[::1{zone}]:{wire.port}/a").read() == b"hello"
        assert session.get(f"https://[::1{zone}]:{secure.port}/", ssl=context).read() == b"hello"
    assert {request.header("Host") for request in wire.requests} == {f"[::1]:{wire.port}"}
    assert [request.header("Host") for request in secure.requests] == [f"[::1]:{secure.port}"]
    assert names == [None]
