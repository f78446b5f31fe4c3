"""The errors of requests and urllib3: the same classes, the same reasons, the same causes."""

import socket
from collections.abc import Iterator

import pytest
import requests
import urllib3

import syncclient
from tests.doors.requests.sides import Side, chain_of, fault_of
from tests.servers.raw import RawConnection, Script, StartRawServer
from tests.servers.scripts import take_all


def _cut_body(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")


def _cut_chunks(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n5\r\nsh")


def _silent(conn: RawConnection) -> None:
    conn.read_request()
    conn.stall()


def _slow_body(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
    conn.stall()


def _gone(conn: RawConnection) -> None:
    conn.read_request()


def _reset(conn: RawConnection) -> None:
    conn.read_request()
    conn.reset()


def _rubbish(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"rubbish\r\n\r\n")


def _two_lengths(conn: RawConnection) -> None:
    conn.read_request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok")


def _bad_gzip(conn: RawConnection) -> None:
    conn.read_request()
    conn.respond(b"not gzip", headers=[("Content-Encoding", "gzip")])


def _bad_retry_after(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.respond(status="503 No", headers=[("Retry-After", "soon")])


SCRIPTS: dict[str, tuple[Script, type[Exception]]] = {
    "cut body": (_cut_body, requests.exceptions.ChunkedEncodingError),
    "cut chunks": (_cut_chunks, requests.exceptions.ChunkedEncodingError),
    "silent": (_silent, requests.ReadTimeout),
    "slow body": (_slow_body, requests.ConnectionError),
    "gone": (_gone, requests.ConnectionError),
    "reset": (_reset, requests.ConnectionError),
    "rubbish": (_rubbish, requests.ConnectionError),
    "two lengths": (_two_lengths, requests.exceptions.InvalidHeader),
    "bad gzip": (_bad_gzip, requests.exceptions.ContentDecodingError),
}


@pytest.mark.parametrize("case", SCRIPTS)
def test_the_same_error(case: str, side: Side, raw_server: StartRawServer) -> None:
    """What a server does wrong ends in the error of requests, with urllib3's inside."""
    script, expected = SCRIPTS[case]
    server = raw_server(script)
    faults = []
    for each in (Side.THEIRS, side):
        with each.session() as session:
            error = fault_of(lambda: session.post(server.url, data=b"x", timeout=(5, 0.3)))
            assert type(error) is expected
            faults.append(error)
    theirs, ours = faults
    assert chain_of(ours)[:2] == chain_of(theirs)[:2]
    assert (ours.__cause__ is None) == (theirs.__cause__ is None)
    assert type(ours.__context__) is type(theirs.__context__)
    assert isinstance(ours, requests.RequestException)
    assert isinstance(theirs, requests.RequestException)
    assert (ours.request is None) == (theirs.request is None)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x?y", "http://no-such-host.invalid/", "https://127.0.0.1:9/"]
)
def test_the_same_words_where_nothing_connects(url: str, side: Side) -> None:
    """A server that is not there: the very text of requests, down to the system's error."""
    faults = []
    for each in (Side.THEIRS, side):
        with each.session() as session:
            faults.append(fault_of(lambda: session.get(url)))
    theirs, ours = faults
    assert str(ours) == str(theirs)
    assert chain_of(ours) == chain_of(theirs)
    for error in faults:
        assert type(error) is requests.ConnectionError
        outer = error.__context__
        assert isinstance(outer, urllib3.exceptions.MaxRetryError)
        assert outer.__cause__ is outer.reason
        assert isinstance(outer.reason, urllib3.exceptions.NewConnectionError)
        assert isinstance(outer.reason.__cause__, OSError)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["a..b", ".a", "a" * 64 + ".test"])
def test_a_host_that_can_be_none(
    side: Side, raw_server: StartRawServer, scheme: str, host: str
) -> None:
    """It is an InvalidURL, and no error of urllib3's or of ``ssl``; no proxy is asked for it."""
    wire = raw_server(_gone)
    for proxies in ({}, {scheme: wire.url}):
        with side.session() as session, pytest.raises(requests.exceptions.InvalidURL):
            session.get(f"{scheme}://{host}/", proxies=proxies, verify=False)
    assert wire.requests == []


@pytest.mark.parametrize("host", ["127.1", "0177.0.0.1", "0x7f000001", "2130706433"])
def test_an_address_in_another_form(side: Side, raw_server: StartRawServer, host: str) -> None:
    """What ``inet_aton`` reads is asked for in the form in which it was written, as by requests."""
    wire = raw_server(take_all)
    for each in (Side.THEIRS, side):
        with each.session() as session:
            assert session.get(f"http://{host}:{wire.port}/").content == b"0"
    theirs, ours = wire.requests
    assert ours.header("Host") == theirs.header("Host") == f"{host}:{wire.port}"


@pytest.mark.parametrize("proxy", ["http://u:s3/cr3t@h:1", "u:s3cr3t@h:x", "http://h:99999"])
def test_a_proxy_that_is_none(side: Side, proxy: str) -> None:
    """It is an InvalidURL, as in requests; nothing in it quotes a password."""
    with side.session() as session:
        error: BaseException | None = fault_of(
            lambda: session.get("http://h.test/", proxies={"http": proxy})
        )
    assert isinstance(error, requests.exceptions.InvalidURL)
    while error is not None:
        assert "s3" not in f"{error} {error!r}"
        error = error.__cause__ or error.__context__


def test_connect_timeout(side: Side) -> None:
    """A server that does not accept in time is a ConnectTimeout, and no other connection error."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # What the backlog holds; further connections wait.
        waiting = [socket.create_connection(address) for _ in range(1)]
        try:
            with side.session() as session:
                error = fault_of(
                    lambda: session.get(f"http://127.0.0.1:{address[1]}/", timeout=(0.2, 9))
                )
        finally:
            for each in waiting:
                each.close()
    assert isinstance(error, requests.ConnectTimeout)
    assert "(connect timeout=0.2)" in str(error)
    assert isinstance(error.args[0].reason, urllib3.exceptions.ConnectTimeoutError)


def test_bytes_before_a_fault_are_given(side: Side, raw_server: StartRawServer) -> None:
    """A streamed body gives the bytes that came, and then raises."""
    server = raw_server(_cut_body)
    with side.session() as session:
        response = session.get(server.url, stream=True)
        chunks = response.iter_content(5)
        assert next(chunks) == b"short"
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            next(chunks)


def test_a_deadline_says_so(side: Side, raw_server: StartRawServer) -> None:
    """`deadline=` of the adapter, and a block of `syncclient.timeout`, end as a ReadTimeout."""
    server = raw_server(_silent)
    with side.session(deadline=0.2) as session:
        with pytest.raises(requests.ReadTimeout, match=r"deadline=0\.2"):
            session.get(server.url)
    with side.session() as session, syncclient.timeout(0.2):
        with pytest.raises(requests.ReadTimeout, match=r"0.2 s of timeout\(\)"):
            session.get(server.url)


def test_a_deadline_holds_for_the_body(side: Side, raw_server: StartRawServer) -> None:
    """A body that does not end before the deadline is an error of the body."""
    server = raw_server(_slow_body)
    with side.session(deadline=0.2) as session:
        response = session.get(server.url, stream=True)
        with pytest.raises(requests.ConnectionError, match="Read timed out"):
            _ = response.content


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        ((3, 4, 5), "Pass a .connect, read. timeout tuple"),
        ("foo", "must be an int, float or None"),
        (0, "less than or equal to 0"),
        ([1, 2], "must be an int, float or None"),
    ],
)
def test_a_timeout_that_is_none(timeout: object, error: str, side: Side) -> None:
    """A wrong timeout is the ValueError of requests, before anything is sent."""
    with side.session() as session, pytest.raises(ValueError, match=error):
        session.get("http://127.0.0.1:9/", timeout=timeout)  # type: ignore[arg-type]


def test_errors_of_the_users_body_are_their_own(side: Side, raw_server: StartRawServer) -> None:
    """What a generator raises reaches the caller as itself."""

    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise KeyError("mine")

    server = raw_server(_silent)
    with side.session() as session, pytest.raises(KeyError, match="mine"):
        session.post(server.url, data=pieces())
