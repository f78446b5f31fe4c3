"""Cookies of other servers: Unix sockets, TLS and none, and jars that are not ours."""

import asyncio
import base64
import copy
import hashlib
import pickle
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from http.cookies import BaseCookie, Morsel
from pathlib import Path
from typing import Any

import aiohttp
import aiohttp.abc
import pytest
from aiohttp.http import WS_KEY
from yarl import URL

import syncclient
from syncclient import CookieJar, Session
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer
from tests.wire.cookies.cookie_servers import cookie_line, setting


def test_unix_sockets_share_no_cookies(tmp_path: Path, raw_server: StartRawServer) -> None:
    """Cookies of three servers, two on Unix sockets and one over TCP, stay apart in one jar."""
    jar = CookieJar()
    tcp = raw_server(setting(b"sid=tcp"))
    seen: dict[str, list[bytes | None]] = {}
    # Not tmp_path: a socket's path may have about a hundred bytes.
    folder = tempfile.TemporaryDirectory()
    paths = {name: Path(folder.name) / f"{name}.sock" for name in ("a", "b", "c")}
    with folder, closing(_Unix(seen, paths)), Session(cookie_jar=jar) as session:
        for _ in range(2):
            for name in ("a", "b"):
                session.get(f"http+unix://{str(paths[name]).replace('/', '%2F')}/").read()
            session.get(tcp.url.replace("127.0.0.1", "localhost")).read()
        connector = syncclient.UnixConnector(str(paths["c"]))
        with Session(connector=connector, cookie_jar=jar) as over:
            for _ in range(2):
                over.get("http://localhost/").read()
        with Session(connector=connector, cookie_jar=jar) as again:
            again.get("http://localhost/").read()
    assert seen == {"a": [None, b"sid=a"], "b": [None, b"sid=b"], "c": [None, b"sid=c", b"sid=c"]}
    assert [cookie_line(r.head) for r in tcp.requests] == [None, b"sid=tcp"]
    assert len(jar) == 4
    jar.clear(lambda morsel: morsel.value == "a")
    file = tmp_path / "cookies.json"
    jar.save(file)
    loaded = CookieJar()
    loaded.load(file)
    assert {cookie.value for cookie in loaded} == {"b", "c", "tcp"}
    loaded.save(tmp_path / "cookies.txt", format="netscape")
    assert "sid\ttcp" in (tmp_path / "cookies.txt").read_text()
    assert "sid\tb" not in (tmp_path / "cookies.txt").read_text()


class _Unix:
    """Servers on Unix sockets that set `sid` to their own name."""

    def __init__(self, seen: dict[str, list[bytes | None]], paths: dict[str, Path]) -> None:
        self._listeners = []
        self._threads = []
        for name, path in paths.items():
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen()
            self._listeners.append(listener)
            thread = threading.Thread(target=self._serve, args=(listener, name, seen))
            thread.start()
            self._threads.append(thread)

    def _serve(
        self, listener: socket.socket, name: str, seen: dict[str, list[bytes | None]]
    ) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += (piece := sock.recv(65536))
                    if not piece:
                        break
                else:
                    seen.setdefault(name, []).append(cookie_line(head))
                    sock.sendall(
                        b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                        b"Set-Cookie: sid=%b\r\nContent-Length: 0\r\n\r\n" % name.encode()
                    )

    def close(self) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join()


def test_secure_cookies_and_a_name(
    raw_server: StartRawServer, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """Without TLS none is kept of a name; on this machine it is, and goes over TLS only once set
    with it."""
    resolver: Any = {"www.example.test": "127.0.0.1"}
    plain, secure = (
        raw_server(setting(b"a=1; Secure")),
        raw_server(setting(b"s=1; Secure"), tls=server_tls),
    )
    with Session(connector=syncclient.TCPConnector(resolver=resolver)) as session:
        named = plain.url.replace("127.0.0.1", "www.example.test")
        session.get(named).read()
        assert len(session.cookie_jar) == 0
        session.get(secure.url, ssl=client_tls).read()
        session.get(secure.url, ssl=client_tls).read()
        session.get(plain.url).read()
    assert cookie_line(secure.requests[-1].head) == b"s=1"
    assert cookie_line(plain.requests[-1].head) is None


def test_a_handshake_carries_and_sets_cookies(raw_server: StartRawServer) -> None:
    """A WebSocket's requests are requests: the jar's cookies go along, and what is set is kept."""

    def script(conn: RawConnection) -> None:
        key = conn.read_request().header("Sec-WebSocket-Key").encode()
        accept = base64.b64encode(hashlib.sha1(key + WS_KEY).digest())
        conn.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Set-Cookie: ws=1,2\r\nSec-WebSocket-Accept: %b\r\n\r\n\x88\x02\x03\xe8" % accept
        )
        conn.read_to_end()

    wire = raw_server(script)
    with Session(wire.url) as session:
        session.cookie_jar.update_cookies_from_headers(["a=\udcff==; Path=/"], wire.url)
        for _ in range(2):
            with session.ws_connect("/") as ws:
                ws.receive()
    assert [cookie_line(r.head) for r in wire.requests] == [b"a=\xff==", b"a=\xff==; ws=1,2"]


def jar_of_aiohttps(**options: Any) -> aiohttp.CookieJar:
    """Return a jar as async code makes it: in a loop."""

    async def make() -> aiohttp.CookieJar:
        return aiohttp.CookieJar(**options)

    return asyncio.run(make())


def test_a_jar_of_aiohttps_is_taken_with_its_cookies(app: AppServer) -> None:
    """A jar of aiohttp's keeps its own rules, and gets the session's cookies."""
    jar = jar_of_aiohttps(unsafe=True)
    jar.update_cookies({"before": "1"}, URL(app.url))
    with Session(app.url, cookie_jar=jar) as session:
        assert session.get("/cookies/set?a=1").json() == {"cookies": {"before": "1", "a": "1"}}
        assert {cookie.key for cookie in session.cookie_jar} == {"before", "a"}
        assert session.cookie_jar.filter_cookies(app.url)["a"].value == "1"
        assert (session.cookie_jar.unsafe, session.cookie_jar.quote_cookie) == (True, True)
        again = session.get("/cookies", cookies={"own": "1"}).json()
        assert again == {"cookies": {"before": "1", "a": "1", "own": "1"}}
        with Session(app.url, cookie_jar=jar) as other:
            assert other.cookie_jar is session.cookie_jar
            assert other.get("/cookies").json() == {"cookies": {"before": "1", "a": "1"}}
        session.cookie_jar.clear()
    assert len(jar) == 0


def test_a_dummy_jar_of_aiohttps_is_taken(app: AppServer) -> None:
    """A DummyCookieJar of aiohttp's keeps nothing here either."""

    async def make() -> aiohttp.DummyCookieJar:
        return aiohttp.DummyCookieJar()

    with Session(app.url, cookie_jar=asyncio.run(make())) as session:
        assert session.get("/cookies/set?a=1").json() == {"cookies": {}}


def test_a_session_with_a_jar_of_aiohttps_can_be_copied(app: AppServer) -> None:
    """Derived, copied and pickled: the loop it was made in stays behind."""
    jar = jar_of_aiohttps(unsafe=True)
    with Session(app.url, cookie_jar=jar) as session:
        session.get("/cookies/set?a=1").read()
        with session.with_options(headers={"X": "y"}) as derived:
            assert derived.cookie_jar is session.cookie_jar
        for twin in (copy.deepcopy(session), pickle.loads(pickle.dumps(session))):
            with twin:
                assert twin.get("/cookies").json() == {"cookies": {"a": "1"}}
                twin.cookie_jar.clear()
        assert len(session.cookie_jar) == 1


class OwnJar(aiohttp.abc.AbstractCookieJar):
    """A jar that a user wrote: it sends one cookie, and notes who asks."""

    unsafe = True
    quote_cookie = False
    cookies: Any = None
    host_only_cookies: Any = frozenset()

    def __init__(self) -> None:
        self.threads: set[str] = set()
        self.heard: list[str] = []

    def __iter__(self) -> Iterator[Morsel[str]]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def clear(self, predicate: Any = None) -> None:
        self.heard.clear()

    def clear_domain(self, domain: str) -> None:
        self.heard.clear()

    def update_cookies(self, cookies: Any, response_url: URL = URL()) -> None:  # noqa: B008
        self.heard += [name for name, _ in cookies]

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        self.threads.add(threading.current_thread().name)
        return BaseCookie({"own": str(len(self.heard))})


def test_a_jar_of_the_users_own_is_taken(app: AppServer) -> None:
    """Any AbstractCookieJar is; it is asked on the loop thread."""
    jar = OwnJar()
    with Session(app.url, cookie_jar=jar) as session:
        assert session.get("/cookies/set?a=1").json() == {"cookies": {"own": "1"}}
        assert jar.heard == ["a"]
        session.cookie_jar.clear()
    assert jar.heard == []
    assert jar.threads == {"syncclient-loop"}


def test_what_is_no_jar_is_refused() -> None:
    """The error says what is one."""
    wrong: list[Any] = [{}, "cookies.txt", aiohttp.CookieJar]
    for given in wrong:
        with pytest.raises(TypeError, match=r"cookie_jar must be a syncclient\.CookieJar"):
            Session(cookie_jar=given)


@pytest.mark.anyio
async def test_awaiting_code_sends_the_same_octets(raw_server: StartRawServer) -> None:
    """session.aio has the jar of the session, and the cookies of one request."""
    wire = raw_server(setting(b"a=\xff==; Path=/", b"z=1,2; Path=/"))
    with Session(wire.url) as session:
        await (await session.aio.get("/")).read()
        await (await session.aio.get("/", cookies={"own": "x y"})).read()
    assert cookie_line(wire.requests[-1].head) == b"a=\xff==; z=1,2; own=x y"
