"""One engine behind many sessions: closing, threads, forks, connections kept alive."""

import os
import threading
from pathlib import Path

import pytest
import requests

import syncclient
from syncclient import requests as ours
from tests.children import RunChild
from tests.doors.requests.sides import Side
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


def _number(response: requests.Response) -> int:
    number: int = response.json()["connection"]
    return number


def test_one_shots_keep_connections_alive(app: AppServer) -> None:
    """`requests.get` again and again uses one connection, however it came to our engine."""
    with ours.install():
        numbers = {_number(requests.get(f"{app.url}/anything")) for _ in range(3)}
    numbers |= {_number(ours.get(f"{app.url}/anything")) for _ in range(3)}
    with Side.MOUNTED.session() as session:
        numbers.add(_number(session.get(f"{app.url}/anything")))
    assert len(numbers) == 1


def test_cookies_are_not_shared(app: AppServer) -> None:
    """One-shot calls share connections, and no cookies."""
    assert ours.get(f"{app.url}/cookies/set?a=b").json()["cookies"] == {"a": "b"}
    assert ours.get(f"{app.url}/anything").json()["cookies"] == {}


def test_a_stream_outlives_its_session(raw_server: StartRawServer) -> None:
    """`requests.get(stream=True)` is read after its session was closed."""

    def slowly(conn: RawConnection) -> None:
        conn.read_request()
        conn.send_head(headers=[("Content-Length", "10")])
        conn.send_slowly([b"begin", b"ended"])

    server = raw_server(slowly)
    response = ours.get(server.url, stream=True)
    conn = server.wait_until_stalled()
    conn.proceed(2)
    assert response.content == b"beginended"


def test_a_closed_session_can_be_used(http: requests.Session, app: AppServer) -> None:
    """As in requests: close() drops what is idle, and the session goes on."""
    http.close()
    assert http.get(f"{app.url}/json").ok


def test_threads_share_a_session(http: requests.Session, app: AppServer) -> None:
    """Sixteen threads on one session all get their own answers."""
    answers: dict[int, list[str]] = {}

    def ask(number: int) -> None:
        url = f"{app.url}/anything/{number}"
        answers[number] = [http.get(url).json()["target"] for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [f"/anything/{number}"] * 5 for number in range(16)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_forks(app: AppServer, run_child: RunChild) -> None:
    """A session made before a fork works in the child and goes on in the parent."""
    child = run_child(
        "import os, sys\n"
        "from syncclient import requests\n"
        "session = requests.Session()\n"
        "url = sys.argv[1]\n"
        "first = session.get(url).json()['connection']\n"
        "pid = os.fork()\n"
        "number = session.get(url).json()['connection']\n"
        "assert (number == first) == bool(pid), (number, first, pid)\n"
        "if pid:\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "    assert session.get(url).json()['connection'] == first\n"
        "    print('well')\n",
        f"{app.url}/anything",
        flags=("-X", "dev", "-W", "ignore::DeprecationWarning"),
    )
    assert (child.stdout, child.stderr) == ("well\n", ""), child


def test_exit_is_silent(app: AppServer, run_child: RunChild) -> None:
    """Neither a session nor an unread response that is left at exit says anything."""
    child = run_child(
        "import sys\n"
        "from syncclient import requests\n"
        "session = requests.Session()\n"
        "response = session.get(sys.argv[1], stream=True)\n"
        "print(response.status_code)\n",
        f"{app.url}/bytes/10000000",
    )
    assert (child.status, child.stdout, child.stderr) == (0, "200\n", "")


def test_a_connector_of_ours(unix_app: tuple[AppServer, Path]) -> None:
    """`connector=` of the adapter connects by whatever syncclient can."""
    _, path = unix_app
    connector = syncclient.UnixConnector(str(path))
    with Side.MOUNTED.session(connector=connector) as session:
        assert session.get("http://unix.test/anything").json()["target"] == "/anything"
    connector.close()


def test_closing_engines(app: AppServer) -> None:
    """`close_engines` closes the connections; the next request opens others."""
    first = _number(ours.get(f"{app.url}/anything"))
    ours.close_engines()
    assert _number(ours.get(f"{app.url}/anything")) != first
