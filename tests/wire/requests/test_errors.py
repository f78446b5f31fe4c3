"""What goes wrong on the wire: which error, what it says, and that the session works on."""

import copy
import gc
import gzip
import pickle
import socket
import ssl
import sys
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import aiohttp
import brotli
import pytest
import trustme

import syncclient
from syncclient import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientError,
    ClientPayloadError,
    ClientResponseError,
    ClientTimeout,
    ReadTimeoutError,
    ServerDisconnectedError,
    Session,
    TotalTimeoutError,
)
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"hello world, " * 1000


def sending(*pieces: bytes) -> Callable[[RawConnection], None]:
    """A script that answers with these bytes, stalls between them, and closes."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(pieces[0])
        conn.send_slowly(pieces[1:])

    return script


def answer(conn: RawConnection) -> None:
    """A server that has come to its senses."""
    while True:
        conn.read_request()
        conn.respond(b"fine")


def sized(coding: str, body: bytes) -> bytes:
    return OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        coding.encode(),
        len(body),
        body,
    )


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that nobody listens on: bound, so that nobody else can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def request_read(session: Session, url: str, **options: Any) -> bytes:
    """A GET and its whole body, by a URL that holds a password."""
    with session.get(url.replace("//", "//eve:secret@", 1), **options) as response:
        return response.read()


def check(error: BaseException, *said: str) -> None:
    """No secret is in the error, and it comes out of a pickle, or a copy, as it went in."""
    for text in said:
        assert text in str(error)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert "secret" not in f"{twin} {twin!r} {twin.args}"


# Servers that answer, but wrongly.


@pytest.mark.parametrize(
    "head",
    [
        b"\x00\x01\x02garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        OK + b"no colon here\r\n\r\n",
        OK + b"Content-Length: abc\r\n\r\nx",
        OK + b"Content-Length: -1\r\n\r\nx",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        OK + b"X-Endless: " + b"a" * 200_000,
        OK + b"X-Many: 1\r\n" * 10_000,
        b"HTTP/1.1 200 " + b"O" * 200_000,
        CHUNKED + b"zz\r\nabc\r\n",
    ],
    ids=[
        "binary",
        "ssh",
        "status",
        "colon",
        "length",
        "negative length",
        "two lengths",
        "endless header",
        "endless headers",
        "endless line",
        "chunk size",
    ],
)
def test_what_is_no_http_is_refused(raw_server: StartRawServer, head: bytes) -> None:
    """ClientResponseError shows what the parser disliked, and which request it was."""
    wire = raw_server(sending(head), answer)
    with Session() as session:
        with pytest.raises(ClientResponseError) as caught:
            request_read(session, f"{wire.url}/x")
        assert caught.value.status == 400
        assert caught.value.__cause__ is not None
        check(caught.value, f"GET {wire.url}/x while waiting for the response")
        assert session.get(wire.url).text() == "fine"


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1 2", OK, OK + b"Content-Length: 3\r\nX-Cut"], ids=len
)
def test_a_server_that_closes_before_the_head_is_complete(
    raw_server: StartRawServer, head: bytes
) -> None:
    """ServerDisconnectedError, at whatever byte it left."""
    wire = raw_server(sending(head), sending(head), answer)
    with Session() as session:
        with pytest.raises(ServerDisconnectedError) as caught:
            session.post(wire.url.replace("//", "//eve:secret@"), data=b"x")
        check(caught.value, f"before it had answered (POST {wire.url}, while waiting for the")
        with pytest.raises(ServerDisconnectedError):
            session.get(wire.url)  # nor is GET tried a second time on a new connection
        session.get(wire.url).read()
        assert len(wire.connections) == 3


def test_a_server_that_resets_the_connection(raw_server: StartRawServer) -> None:
    """ClientOSError keeps the errno and says which request it was."""

    def reset(conn: RawConnection) -> None:
        conn.read_request()
        conn.reset()

    wire = raw_server(reset, answer)
    with Session() as session:
        with pytest.raises(syncclient.ClientOSError) as caught:
            session.post(wire.url, data=b"x")
        check(caught.value, f"by peer (POST {wire.url}, while waiting for the response)")
        assert isinstance(caught.value, OSError)
        assert session.get(wire.url).text() == "fine"


SHORT = {
    "length": [OK + b"Content-Length: 10\r\n\r\n", b"short"],
    "length, at once": [OK + b"Content-Length: 10\r\n\r\nshort"],
    "nothing of it": [OK + b"Content-Length: 10\r\n\r\n"],
    "chunk": [CHUNKED, b"a\r\nshort"],
    "last chunk": [CHUNKED, b"5\r\nshort\r\n"],
    "last chunk, at once": [CHUNKED + b"5\r\nshort\r\n"],
}


@pytest.mark.parametrize("pieces", SHORT.values(), ids=SHORT)
def test_a_short_body_is_never_returned_as_whole(
    raw_server: StartRawServer, pieces: list[bytes]
) -> None:
    """The head arrives, read() raises ClientPayloadError, and does so the next time as well."""
    wire = raw_server(sending(*pieces), answer)
    with Session() as session:
        with session.get(wire.url.replace("//", "//eve:secret@")) as response:
            wire.wait_until_connected().proceed(len(pieces))
            assert response.status == 200
            with pytest.raises(ClientPayloadError) as caught:
                response.read()
            check(caught.value, f"GET {wire.url} while reading the body")
            for read in (response.read, response.text, response.json):
                with pytest.raises(ClientError):
                    read()
        assert session.get(wire.url).text() == "fine"


def test_a_connection_reset_in_the_body(raw_server: StartRawServer) -> None:
    """A reset in the body is a ClientError about this request, caused by the system's error."""

    def reset(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(OK + b"Content-Length: 10\r\n\r\nshort")
        conn.stall()
        conn.reset()

    wire = raw_server(reset, answer)
    with Session() as session:
        with session.get(wire.url) as response:
            wire.wait_until_stalled().proceed()
            with pytest.raises(ClientError) as caught:
                response.read()
        check(caught.value, f"GET {wire.url} while reading the body")
        assert caught.value.__cause__ is not None
        assert session.get(wire.url).text() == "fine"


WHOLE = {
    "gzip": gzip.compress(HELLO),
    "deflate": zlib.compress(HELLO),
    "br": brotli.compress(HELLO),
    "zstd": zstd.compress(HELLO),
}


@pytest.mark.parametrize("coding", WHOLE)
@pytest.mark.parametrize("missing", ["last byte", "half", "all but one"])
@pytest.mark.parametrize("framing", ["length", "chunked", "close", "later"])
def test_a_truncated_compressed_body_is_never_returned_as_whole(
    raw_server: StartRawServer, coding: str, missing: str, framing: str
) -> None:
    """Even where the framing is right: what was compressed was more than that."""
    whole = WHOLE[coding]
    cut = whole[: {"last byte": -1, "half": len(whole) // 2, "all but one": 1}[missing]]
    head = OK + f"Content-Encoding: {coding}\r\n".encode()
    chunk = b"%x\r\n%s\r\n" % (len(cut), cut)
    pieces = {
        "length": [sized(coding, cut)],
        "chunked": [head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"],
        "close": [head + b"\r\n" + cut],
        "later": [sized(coding, cut)[: -len(cut)], cut],
    }[framing]
    wire = raw_server(sending(*pieces), answer)
    with Session() as session:
        with session.get(wire.url) as response:
            wire.wait_until_connected().proceed(len(pieces))
            with pytest.raises(ClientPayloadError) as caught:
                response.read()
        check(caught.value, coding, f"GET {wire.url} while reading the body")
        assert session.get(wire.url).text() == "fine"


@pytest.mark.parametrize("coding", WHOLE)
def test_whole_compressed_bodies_are_whole(raw_server: StartRawServer, coding: str) -> None:
    """One member, several of them, and an empty one; in one piece and byte by byte."""
    whole = WHOLE[coding]
    empty = {"gzip": gzip, "deflate": zlib, "br": brotli, "zstd": zstd}[coding].compress(b"")
    bodies = {sized(coding, whole): HELLO, sized(coding, empty): b""}
    if coding in ("gzip", "zstd"):
        bodies[sized(coding, whole + whole)] = HELLO + HELLO
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in whole[:-1])
    bodies[
        OK
        + f"Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunks
        + b"1\r\n%c\r\n0\r\n\r\n" % whole[-1]
    ] = HELLO
    for data, body in bodies.items():
        wire = raw_server(sending(data))
        with Session() as session, session.get(wire.url) as response:
            assert response.read() == body


@pytest.mark.parametrize("coding", WHOLE)
def test_a_corrupt_body_is_an_error(raw_server: StartRawServer, coding: str) -> None:
    """Bytes that cannot be decoded are not handed out."""
    wire = raw_server(sending(sized(coding, b"\xff\xff\xff no such stream")), answer)
    with Session() as session:
        with pytest.raises((ClientPayloadError, ClientResponseError)) as caught:
            request_read(session, wire.url)
        check(caught.value, f"GET {wire.url} while")
        assert session.get(wire.url).text() == "fine"


# Servers that do not answer at all.


def test_a_refused_connection(app: AppServer, session: Session) -> None:
    """ClientConnectorError keeps host, port, errno and cause."""
    with refusing_port() as port, pytest.raises(ClientConnectorError) as caught:
        request_read(session, f"http://127.0.0.1:{port}/x")
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert isinstance(caught.value.os_error, ConnectionRefusedError)
    check(
        caught.value,
        f"Connection refused by 127.0.0.1:{port} (GET http://127.0.0.1:{port}/x, while connecting)",
    )
    assert session.get("/get").ok


def test_a_refused_connection_with_a_context_is_picklable(session: Session) -> None:
    """An SSLContext of the request's does not come along; neither do credentials of a proxy."""
    with refusing_port() as port:
        with pytest.raises(ClientConnectorError) as caught:
            session.get(f"https://127.0.0.1:{port}/", ssl=ssl.create_default_context())
        check(
            caught.value,
            f"Connection refused by 127.0.0.1:{port} (GET https://127.0.0.1:{port}/, while",
        )
        with pytest.raises(syncclient.ClientProxyConnectionError) as proxied:
            session.get("http://example.com/", proxy=f"http://eve:secret@127.0.0.1:{port}")
        check(
            proxied.value, f"the proxy 127.0.0.1:{port} (GET http://example.com/, while connecting)"
        )


def test_a_name_that_does_not_resolve(session: Session) -> None:
    """ClientConnectorDNSError says which name, and that this was the step."""
    with pytest.raises(ClientConnectorDNSError) as caught:
        session.get("http://no-such-host.invalid/")
    check(
        caught.value,
        "Host name not found: no-such-host.invalid (GET http://no-such-host.invalid/, while",
    )


def test_an_untrusted_certificate(tls_app: AppServer) -> None:
    """ClientConnectorCertificateError keeps what OpenSSL had to say."""
    with Session() as session, pytest.raises(ClientConnectorCertificateError) as caught:
        request_read(session, f"{tls_app.url}/get")
    assert isinstance(caught.value.certificate_error, ssl.SSLCertVerificationError)
    assert caught.value.certificate_error.verify_code
    check(caught.value, "certificate verify failed", f"GET {tls_app.url}/get, while connecting")


def test_a_server_without_tls(app: AppServer) -> None:
    """A plain server asked for TLS is a ClientConnectorError, and no hang."""
    with Session() as session, pytest.raises(ClientConnectorError) as caught:
        session.get(app.url.replace("http:", "https:"))
    check(caught.value, "while connecting")


@pytest.mark.parametrize(
    ("timeout", "error", "phase"),
    [
        (0.2, TotalTimeoutError, "waiting for the response"),
        (ClientTimeout(sock_read=0.2), ReadTimeoutError, "waiting for the response"),
    ],
    ids=["total", "sock_read"],
)
def test_a_timeout(
    app: AppServer, session: Session, timeout: Any, error: type[Exception], phase: str
) -> None:
    """A timeout names its limit, the time that passed, and the phase; the session still works."""
    with pytest.raises(error) as caught:
        request_read(session, f"{app.url}/delay/30", timeout=timeout)
    check(caught.value, f"GET {app.url}/delay/30", f"while {phase}", "is 0.2 s")
    details: Any = caught.value
    assert (details.limit, details.method, details.phase) == (0.2, "GET", phase)
    assert 0.1 < details.elapsed < 20
    assert caught.value.__cause__ is not None
    assert session.get("/get").ok


# Errors about a response that is otherwise fine.


def test_the_error_of_a_status_has_no_secrets(app: AppServer) -> None:
    """Headers sent and received are in the error, without what must not be in a log."""
    with Session(app.url, cookies={"token": "secret"}, raise_for_status=True) as session:
        with pytest.raises(ClientResponseError) as caught:
            session.get("/redirect-to?url=/status/404", auth=("eve", "secret"))
    error = caught.value
    check(error, "404 Not Found", f"(GET {app.url}/status/404)")
    assert (error.status, error.message) == (404, "Not Found")
    assert error.headers is not None
    assert error.request_info.headers["Authorization"] == "[redacted]"
    assert [hop.status for hop in error.history] == [302]
    assert error.history[0].headers["Location"] == "/status/404"


def test_errors_are_aiohttps_own(session: Session) -> None:
    """Code that catches aiohttp's classes during a migration goes on to work."""
    with pytest.raises(aiohttp.ClientResponseError):
        session.get("/status/500", raise_for_status=True)
    with pytest.raises(aiohttp.ContentTypeError):
        session.get("/html").json()
    with pytest.raises(aiohttp.ServerTimeoutError):
        session.get("/delay/30", timeout=0.1)
    with pytest.raises(aiohttp.InvalidURL):
        session.get("http://")


# What an error holds on to.


class Canary:
    """Something big in a variable of the caller's."""


def _refused(session: Session) -> None:
    with refusing_port() as port:
        session.get(f"http://127.0.0.1:{port}/")


def _in_callback(session: Session) -> None:
    def fail(response: object) -> None:
        raise LookupError

    session.get("/get", raise_for_status=fail)


def _past_deadline(session: Session) -> None:
    with syncclient.timeout(0.05):
        session.get("/delay/30")


FAILURES: dict[str, Callable[[Session], object]] = {
    "bad argument": lambda session: session.get("/get", timeout=-1),
    "bad url": lambda session: session.get("http://"),
    "refused": _refused,
    "dns": lambda session: session.get("http://no-such-host.invalid/"),
    "timeout": lambda session: session.get("/delay/30", timeout=0.1),
    "redirects": lambda session: session.get("/redirect/20"),
    "status": lambda session: session.get("/status/404", raise_for_status=True),
    "short body": lambda session: session.get("/range/100000?drop_after=10").read(),
    "type": lambda session: session.get("/html").json(),
    "callback": _in_callback,
    "submitted": lambda session: session.submit(
        "GET", "/status/404", raise_for_status=True
    ).result(),
    "mapped": lambda session: list(session.map(["/get", "/status/404"], raise_for_status=True)),
    "mapped wrongly": lambda session: list(session.map(["/get", ("GET",)])),  # type: ignore[list-item]  # the point of the test
    "mapped broken": lambda session: list(session.map(["/range/100000?drop_after=10"])),
    "tried again": lambda session: session.get(
        "/status/503", raise_for_status=True, retry=syncclient.Retry(2, backoff=0)
    ),
    "broken again": lambda session: session.submit(
        "GET", "/range/100000?drop_after=10", retry=syncclient.Retry(2, backoff=0)
    ).result(),
    "deadline": _past_deadline,
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_caught_error_keeps_no_frame_alive(
    session: Session, failure: Callable[[Session], object]
) -> None:
    """When the except block is over, so are the caller's variables, without the collector."""
    session.get("/get").read()

    def fails() -> tuple[weakref.ref[Canary], str]:
        canary = Canary()
        try:
            failure(session)
        except Exception as error:
            return weakref.ref(canary), type(error).__name__
        pytest.fail("nothing was raised")

    gc.collect()
    gc.disable()
    try:
        gone, name = fails()
        session.get("/get").read()  # the loop thread is past the failed call, too
        assert gone() is None, f"{name} is part of a reference cycle"
    finally:
        gc.enable()


#: Modules whose objects belong to the loop thread.
LIVE = ("aiohttp.client", "aiohttp.conn", "aiohttp.streams", "syncclient._async.exchange.exchange")


@pytest.mark.parametrize("failure", ["timeout", "redirects", "status", "short body", "type"])
def test_an_error_that_is_kept_keeps_nothing_of_the_engine(session: Session, failure: str) -> None:
    """Its traceback shows the engine's lines, but the engine's objects are not in its frames."""
    session.get("/get").read()
    with pytest.raises(ClientError) as caught:
        FAILURES[failure](session)
    session.get("/get").read()  # the loop thread is past the failed call, too
    held = [
        f"{name}={value!r} in {frame.f_code.co_name}"
        for frame in _frames(caught.value)
        for name, value in frame.f_locals.items()
        if type(value).__module__.startswith(LIVE)
        and not isinstance(value, BaseException | ClientTimeout)
    ]
    assert held == []


def _frames(error: BaseException) -> Iterator[FrameType]:
    """The frames of a traceback, and those that these were called from."""
    traceback = error.__traceback__
    while traceback is not None:
        frame: FrameType | None = traceback.tb_frame
        while frame is not None and not frame.f_globals["__name__"].startswith("tests."):
            yield frame
            frame = frame.f_back
        traceback = traceback.tb_next


def test_the_certificate_of_a_ca_of_ones_own(tls_app: AppServer, ca: trustme.CA) -> None:
    """The counterpart of the errors above: with the CA named, all is well."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    with Session(tls_app.url) as session:
        assert session.get("/get", ssl=context).ok
