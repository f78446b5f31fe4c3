"""urllib3.Retry, followed as urllib3 follows it."""

import io
import logging
import sys
import threading
from typing import Any

import pytest
import requests
from urllib3.util import Retry

import syncclient
from syncclient import requests as ours
from syncclient.requests._pauses import rest
from tests.bounds import BOUND, wait_until
from tests.doors.requests.sides import Side, fault_of
from tests.servers.raw import RawConnection, Script, StartRawServer


def _fails_twice() -> Script:
    statuses = iter(["503 No", "503 No", "200 OK"])

    def script(conn: RawConnection) -> None:
        while True:  # on as many connections as are made
            conn.read_request()
            status = next(statuses)
            conn.respond(status.encode(), status=status)

    return script


def _always_503(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.respond(b"no", status="503 No")


def _leaves(conn: RawConnection) -> None:
    conn.read_request()


def _retries(response: requests.Response) -> Retry:
    retries = response.raw.retries
    assert isinstance(retries, Retry)
    return retries


@pytest.mark.parametrize("each", Side, ids=str)
class TestOnEverySide:
    """The same tests for requests' own adapter and for ours."""

    def test_statuses(self, each: Side, raw_server: StartRawServer) -> None:
        """A status of the list is asked for again, and the history says how often."""
        server = raw_server(_fails_twice())
        with each.session(max_retries=Retry(3, status_forcelist=[503])) as session:
            response = session.get(server.url)
        assert response.text == "200 OK"
        assert [past.status for past in _retries(response).history] == [503, 503]
        assert len(server.requests) == 3

    def test_too_many(self, each: Side, raw_server: StartRawServer) -> None:
        """Retries that are used up are a RetryError."""
        server = raw_server(_always_503)
        with each.session(max_retries=Retry(1, status_forcelist=[503])) as session:
            error = fault_of(lambda: session.get(server.url))
        assert type(error) is requests.exceptions.RetryError
        assert "too many 503 error responses" in str(error)
        assert len(server.requests) == 2

    def test_too_many_returned(self, each: Side, raw_server: StartRawServer) -> None:
        """`raise_on_status=False` returns the last response."""
        server = raw_server(_always_503)
        retry = Retry(1, status_forcelist=[503], raise_on_status=False)
        with each.session(max_retries=retry) as session:
            assert session.get(server.url).content == b"no"

    def test_not_of_other_methods(self, each: Side, raw_server: StartRawServer) -> None:
        """POST is no method that is repeated."""
        server = raw_server(_always_503)
        with each.session(max_retries=Retry(3, status_forcelist=[503])) as session:
            assert session.post(server.url, data=b"x").status_code == 503
        assert len(server.requests) == 1

    def test_lost_connections(
        self, each: Side, raw_server: StartRawServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A connection lost before the response counts as a read error, and is logged."""
        if each is Side.THEIRS:
            pytest.skip("a socket of requests' own lingers")
        server = raw_server(_leaves, _fails_twice())
        with each.session(max_retries=Retry(read=1)) as session:
            with caplog.at_level(logging.WARNING, "urllib3.connectionpool"):
                assert session.get(server.url).status_code == 503
        assert "Retrying" in caplog.text

    def test_files_are_rewound(self, each: Side, raw_server: StartRawServer) -> None:
        """A file is sent again from where it stood."""
        server = raw_server(_fails_twice())
        file = io.BytesIO(b"skipped, sent")
        file.seek(9)
        retry = Retry(3, status_forcelist=[503], allowed_methods=None)
        with each.session(max_retries=retry) as session:
            assert session.post(server.url, data=file).text == "200 OK"
        assert [request.body for request in server.requests] == [b"sent"] * 3

    def test_connect_errors(self, each: Side) -> None:
        """`max_retries=1` tries a connection that is refused twice, and says so."""
        with each.session(max_retries=1) as session:
            error = fault_of(lambda: session.get("http://127.0.0.1:9/"))
        assert type(error) is requests.ConnectionError
        assert "Max retries exceeded" in str(error)

    def test_retry_after(self, each: Side, raw_server: StartRawServer) -> None:
        """A Retry-After of the past is followed at once; one that is none is an InvalidHeader."""

        def later(conn: RawConnection) -> None:
            conn.read_request()
            conn.respond(status="503 No", headers=[("Retry-After", "0")])
            conn.read_request()
            conn.respond(status="503 No", headers=[("Retry-After", "soon")])

        server = raw_server(later)
        with each.session(max_retries=Retry(3)) as session:
            error = fault_of(lambda: session.get(server.url))
        assert type(error) is requests.exceptions.InvalidHeader
        assert len(server.requests) == 2


def _asks_for_a_day(conn: RawConnection) -> None:
    while True:
        conn.read_request()
        conn.respond(b"no", status="503 No", headers=[("Retry-After", "100000")])


def _patient(**options: Any) -> requests.Session:
    return Side.MOUNTED.session(max_retries=Retry(3, status_forcelist=[503]), **options)


def test_a_deadline_ends_a_pause(raw_server: StartRawServer) -> None:
    """The end of a timeout() block, and the adapter's deadline over all attempts."""
    with _patient() as session, syncclient.timeout(0.3):
        with pytest.raises(requests.ReadTimeout):
            session.get(raw_server(_asks_for_a_day).url)
    server = raw_server(_asks_for_a_day)
    with _patient(deadline=0.3) as session:
        with pytest.raises(requests.ConnectionError, match="deadline"):
            session.get(server.url)


def test_closing_the_engines_ends_a_pause(raw_server: StartRawServer) -> None:
    """A thread that waits to ask again is woken by close_engines()."""
    server = raw_server(_asks_for_a_day)
    faults: list[BaseException] = []
    with _patient() as session:
        asking = threading.Thread(
            target=lambda: faults.append(fault_of(lambda: session.get(server.url)))
        )
        asking.start()
        wait_until(lambda: _pausing(asking), "the pause")
        ours.close_engines()
        asking.join(BOUND)
    assert isinstance(faults[0], requests.ConnectionError)


def _pausing(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code is rest.__code__:  # and not on top: it has called
            return True
    return False


def test_a_sleep_of_a_subclass_is_called(raw_server: StartRawServer) -> None:
    """What somebody has in the place of urllib3's sleep decides."""
    slept = []

    class Counts(Retry):
        def sleep(self, response: Any = None) -> None:
            slept.append(response is not None)

    with Side.MOUNTED.session(max_retries=Counts(3, status_forcelist=[503])) as session:
        assert session.get(raw_server(_fails_twice()).url).text == "200 OK"
    assert slept == [True, True]
