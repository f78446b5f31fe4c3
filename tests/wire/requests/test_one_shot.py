"""The one-shot functions: syncclient.get() and friends, on the session of the whole process."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import syncclient
from syncclient import ClientResponseError, Response
from tests.children import RunChild
from tests.servers.content import pattern
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

OneShot = Callable[..., Response]


@pytest.mark.parametrize(
    "function",
    [
        syncclient.get,
        syncclient.post,
        syncclient.put,
        syncclient.patch,
        syncclient.delete,
        syncclient.options,
    ],
)
def test_each_function_sends_its_own_verb(app: AppServer, function: OneShot) -> None:
    """syncclient.put() sends PUT, and so on, with the keywords of a session's request."""
    echo = function(f"{app.url}/anything", params={"a": "1"}, headers={"X-Mine": "m"}).json()
    assert (echo["method"], echo["args"]) == (function.__name__.upper(), [["a", "1"]])
    assert ["X-Mine", "m"] in echo["headers"]


def test_head_does_not_follow_redirects_unless_told(app: AppServer) -> None:
    """syncclient.head() does not follow redirects by default, as a session's head() does not."""
    assert syncclient.head(f"{app.url}/redirect/1").status == 302
    assert syncclient.head(f"{app.url}/redirect/1", allow_redirects=True).status == 200


def test_request_takes_any_method(app: AppServer) -> None:
    """request() sends what it is told to."""
    response = syncclient.request("post", f"{app.url}/post", json={"a": 1})
    assert response.json()["json"] == {"a": 1}


def test_the_body_is_here_before_the_function_returns(app: AppServer) -> None:
    """However large it is: nothing stays open, and there is nothing to close."""
    response = syncclient.get(f"{app.url}/bytes/3000000")
    assert response.closed
    app.wait_until(lambda stats: not stats.in_flight)
    assert response.read() == pattern(3_000_000)
    assert response.ok


def test_a_body_cut_short_raises_in_the_function(raw_server: StartRawServer) -> None:
    """There is no later read() that could tell."""

    def script(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")

    with pytest.raises(syncclient.ClientPayloadError, match="while reading the body"):
        syncclient.get(raw_server(script).url)


def test_an_error_status_is_raised_when_asked_for(app: AppServer) -> None:
    """Before, after, or not at all."""
    with pytest.raises(ClientResponseError):
        syncclient.get(f"{app.url}/status/404", raise_for_status=True)
    response = syncclient.get(f"{app.url}/status/404")
    with pytest.raises(ClientResponseError):
        response.raise_for_status()


def test_connections_are_pooled_and_cookies_are_not_kept(app: AppServer) -> None:
    """One call profits from the last one's connection, and knows nothing else of it.

    The redirect of a call that sets a cookie is still that call.
    """
    before = app.stats().connections_opened
    assert syncclient.get(f"{app.url}/cookies/set?a=1").json() == {"cookies": {"a": "1"}}
    named = app.url.replace("127.0.0.1", "localhost")
    assert syncclient.get(f"{app.url}/cookies", cookies={"b": "2"}).json()["cookies"] == {"b": "2"}
    assert syncclient.get(f"{app.url}/cookies").json() == {"cookies": {}}
    assert app.stats().connections_opened == before + 1
    assert syncclient.get(f"{named}/cookies").json() == {"cookies": {}}


def test_threads_share_one_session_from_the_first_call_on(app: AppServer) -> None:
    """Threads that make the first call at once end up on one loop thread, with their own answer."""
    barrier = threading.Barrier(16)

    def work(number: int) -> Any:
        barrier.wait(10)
        return syncclient.get(f"{app.url}/get", params={"n": number}).json()["args"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(work, range(16)))
    assert answers == [[["n", str(number)]] for number in range(16)]
    loops = [t for t in threading.enumerate() if t.name == "syncclient-loop"]
    assert len(loops) == 1


def test_a_script_of_one_call_ends_at_once_and_quietly(app: AppServer, run_child: RunChild) -> None:
    """Nothing need be closed: the interpreter's exit takes care of the shared session."""
    code = f"import syncclient; print(syncclient.get('{app.url}/get').status)"
    child = run_child(code, flags=("-X", "dev", "-W", "error"))
    assert (child.status, child.stdout, child.stderr) == (0, "200\n", "")
    assert child.seconds < 20


def test_a_function_called_in_a_forked_child_works(app: AppServer, run_child: RunChild) -> None:
    """The child connects anew; the parent's session goes on."""
    code = f"""
import os, sys, syncclient
first = syncclient.get("{app.url}/connections").json()["this"]
pid = os.fork()
if pid == 0:
    mine = syncclient.get("{app.url}/connections").json()["this"]
    os._exit(0 if mine != first else 1)
assert os.waitpid(pid, 0)[1] == 0
assert syncclient.get("{app.url}/connections").json()["this"] == first
"""
    child = run_child(code, flags=("-X", "dev", "-W", "ignore::DeprecationWarning"))
    assert (child.status, child.stderr) == (0, "")
