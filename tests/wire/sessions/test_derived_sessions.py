"""Sessions derived by ``with_options``: other settings, the same connections and cookies."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import os
import threading
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

import pytest

import syncclient
from syncclient import (
    BasicAuth,
    CookieJar,
    LoopThread,
    Response,
    Retry,
    Session,
    SessionClosedError,
    TCPConnector,
    TraceConfig,
)
from syncclient._async.session import AsyncSession
from syncclient._client.session_settings import SessionOptions, SessionSettings, SharedOptions
from tests.children import RunChild
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer


@pytest.fixture
def session(app: AppServer) -> Iterator[Session]:
    """A session that has a connection, and takes cookies from an IP address."""
    with Session(app.url, cookie_jar=CookieJar(unsafe=True), headers={"X-Parent": "yes"}) as fresh:
        fresh.get("/json").read()
        yield fresh


def sent(session: Session, path: str = "/anything") -> dict[str, str]:
    """The headers that arrive, names in small letters."""
    return {name.lower(): value for name, value in session.get(path).json()["headers"]}


def engine_sessions(session: Session) -> int:
    """How many further sessions of the engine there are beside the session's own."""

    async def look(resident: AsyncSession) -> int:
        return len(resident._others)

    return session._portal.call(look)


# What is shared.


def test_connections_are_shared(session: Session) -> None:
    """A derived session sends its first request over its parent's idle connection."""
    derived = session.with_options(headers={"X-Own": "1"}, timeout=5)
    assert derived.connector is session.connector
    assert derived.get("/json").json()
    snapshot = session.connector.snapshot()
    assert (snapshot.open, snapshot.idle) == (1, 1)


def test_cookies_are_shared_both_ways(session: Session) -> None:
    """What either session is given, the other sends."""
    derived = session.with_options(timeout=5)
    derived.get("/cookies/set", params={"a": "1"}).read()
    session.cookie_jar.update_cookies({"b": "2"})
    assert derived.cookie_jar is session.cookie_jar
    for one in (session, derived):
        assert one.get("/anything").json()["cookies"] == {"a": "1", "b": "2"}


def test_it_costs_no_thread_and_no_crossing(session: Session) -> None:
    """Deriving and closing cross never, and a request made through it crosses once."""
    before, threads = session._portal.crossings, threading.active_count()
    with session.with_options(retry=Retry(), headers={"X-Own": "1"}) as derived:
        assert session._portal.crossings == before
        assert derived.get("/json").json()
    assert session._portal.crossings == before + 1
    assert threading.active_count() == threads


def test_an_unused_parent_stays_unused(app: AppServer) -> None:
    """No loop thread is started to derive a session, nor to close one."""
    with Session(app.url) as parent:
        parent.with_options(timeout=1).close()
        assert not parent._portal.leased
        assert parent.with_options(timeout=5).get("/json").json()  # the first to be used
        assert parent._portal.leased


# What is overridden.


def test_headers_are_merged_and_taken_as_they_are_now(session: Session) -> None:
    """As those of a request are; later changes on either side stay there."""
    derived = session.with_options(headers={"x-parent": "no", "X-Own": "1"})
    session.headers["X-Late"] = "parent"
    derived.headers["X-Later"] = "derived"
    mine, theirs = sent(derived), sent(session)
    assert (mine["x-parent"], mine["x-own"], mine["x-later"]) == ("no", "1", "derived")
    assert (theirs["x-parent"], theirs["x-late"]) == ("yes", "parent")
    assert "x-late" not in mine
    assert "x-own" not in theirs
    assert "x-later" not in theirs


def test_settings_of_the_face(session: Session, app: AppServer) -> None:
    """base_url, auth, json_serialize, raise_for_status and the charset resolver."""
    derived = session.with_options(
        base_url=f"{app.url}/status/",
        auth=("me", "secret"),
        json_serialize=lambda value: "[7]",
        raise_for_status=True,
        fallback_charset_resolver=lambda response, body: "latin-1",
    )
    with pytest.raises(syncclient.ClientResponseError):
        derived.get("404")
    assert sent(derived, "/anything")["authorization"].startswith("Basic ")
    assert derived.post("/anything", json={}).json()["json"] == [7]
    assert session.get("/status/404").status == 404
    assert "authorization" not in sent(session)


def test_settings_of_the_engine(session: Session) -> None:
    """timeout, max_body, skip_auto_headers and middlewares hold for it alone."""
    seen: list[str] = []

    def note(request: Any, handler: Any) -> Response:
        seen.append(str(request.url.path))
        return cast(Response, handler(request))

    derived = session.with_options(
        max_body=10, skip_auto_headers=["User-Agent"], middlewares=[note], timeout=0.2
    )
    with pytest.raises(syncclient.ClientPayloadError, match="max_body"):
        derived.get("/bytes/100").read()
    with pytest.raises(syncclient.TotalTimeoutError):
        derived.get("/delay/5")
    assert seen == ["/bytes/100", "/delay/5"]
    unlimited = derived.with_options(max_body=None, timeout=None, middlewares=())
    assert "user-agent" not in sent(unlimited)
    assert len(unlimited.get("/bytes/100").read()) == 100
    assert len(session.get("/bytes/100").read()) == 100
    assert "user-agent" in sent(session)
    assert seen == ["/bytes/100", "/delay/5"]


def test_trace_configs(session: Session) -> None:
    """Callbacks are told of the requests of the session they were given to."""
    told: list[str] = []

    async def note(client: object, context: object, params: Any) -> None:
        told.append(params.url.path)

    config = TraceConfig()
    config.on_request_start.append(note)
    session.with_options(trace_configs=[config]).get("/json").read()
    session.get("/get").read()
    assert told == ["/json"]


def test_a_retry_policy_and_none(raw_server: StartRawServer) -> None:
    """A policy can be added, and taken off again."""

    def fail(connection: RawConnection) -> None:
        connection.read_head()
        connection.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    server = raw_server(fail, fail, fail, fail)
    with Session(server.url) as session:
        trying = session.with_options(retry=Retry(3, backoff=0.001))
        assert trying.with_options(retry=None).get("/").status == 503
        response = trying.get("/")
        assert (response.status, len(response.attempts)) == (503, 3)


def test_cookies_of_its_own(session: Session) -> None:
    """With another jar the parent's cookies stay where they are."""
    session.cookie_jar.update_cookies({"a": "1"})
    derived = session.with_options(cookie_jar=CookieJar(unsafe=True), cookies={"b": "2"})
    assert derived.get("/anything").json()["cookies"] == {"b": "2"}
    assert session.get("/anything").json()["cookies"] == {"a": "1"}
    assert session.with_options(cookie_jar=None).get("/anything").json()["cookies"] == {}


def test_a_proxy_and_none(session: Session, app: AppServer) -> None:
    """A derived session may have a proxy, and one derived from that may do without."""
    proxied = session.with_options(proxy=app.url)
    assert proxied.get("/json").ok  # the application takes an absolute URL for its path
    assert proxied.with_options(proxy=None)._place.settings.proxy_url is None
    assert proxied.with_options(proxy=None).get("/json").json()


def test_every_way_to_ask_goes_through_the_derived_session(session: Session) -> None:
    """submit, map, download and ws_connect use its settings and the parent's loop thread."""
    derived = session.with_options(headers={"X-Own": "1"}, max_body=100_000)
    submitted = derived.submit("GET", "/anything").result(10).json()
    mapped = next(derived.map(["/anything"])).json()
    for answer in (submitted, mapped):
        assert ["X-Own", "1"] in answer["headers"]
    with derived.ws_connect("/echo") as socket:
        socket.send_str("hello")
        assert socket.receive_str() == "hello"


# Credentials do not wander.


def test_auth_stays_with_the_origin_it_was_given_for(session: Session, app: AppServer) -> None:
    """With a base_url of another origin the auth is left behind, unless it is given anew."""
    parent = session.with_options(auth=("me", "secret"))
    assert parent.with_options(base_url=f"{app.url}/anything/").auth == ("me", "secret")
    assert parent.with_options(base_url="http://other.test/").auth is None
    assert parent.with_options(base_url=None).auth is None
    other = parent.with_options(base_url="http://other.test/", auth=("you", "x"))
    assert other.auth == ("you", "x")


def test_proxy_auth_stays_with_its_proxy(app: AppServer) -> None:
    """Another proxy does not get the credentials of the first."""
    with Session(app.url, proxy="http://one.test:1", proxy_auth=("me", "secret")) as session:
        other = session.with_options(proxy="http://two.test:1")
        for each, user in ((session, "me"), (session.with_options(timeout=1), "me"), (other, None)):
            assert each._place.settings.proxy_url is not None
            assert each._place.settings.proxy_url.user == user


# What cannot be overridden.


@pytest.mark.parametrize(
    ("name", "value"),
    [("connector", TCPConnector()), ("connector_owner", False), ("loop_thread", LoopThread())],
)
def test_what_needs_other_connections_is_refused(session: Session, name: str, value: Any) -> None:
    """The error says why, and what to write instead."""
    overrides = cast(SessionOptions, {name: value})
    with pytest.raises(TypeError, match=rf"cannot change {name}=.*Session\({name}=\.\.\.\)"):
        session.with_options(**overrides)


def test_cookies_for_the_shared_jar_are_refused(session: Session) -> None:
    """They would be the parent's, too."""
    with pytest.raises(TypeError, match="cookie_jar=CookieJar"):
        session.with_options(cookies={"a": "1"})


def test_wrong_settings_are_refused_as_the_session_refuses_them(session: Session) -> None:
    """The same checks, with the same words."""
    with pytest.raises(ValueError, match="max_body must be 0 or more"):
        session.with_options(max_body=-1)
    with pytest.raises(TypeError, match="takes no keyword 'verify'; here it is"):
        session.with_options(**cast(SessionOptions, {"verify": False}))
    with pytest.raises(ValueError, match="base_url must end in a slash"):
        session.with_options(base_url="http://other.test/path")


def test_every_keyword_is_either_shared_or_overridden() -> None:
    """A new keyword of Session's has to be put on one of the two lists."""
    keywords = inspect.signature(Session).parameters.keys() - {"misspelt"}
    overridden, shared = (cls.__annotations__.keys() for cls in (SessionOptions, SharedOptions))
    assert overridden | shared == keywords
    assert not overridden & shared
    # ssl is short for a connector.
    assert {field.name for field in fields(SessionSettings) if field.init} == keywords - {"ssl"}


def test_all_calls_of_a_derived_session_go_by_its_parents_portal(session: Session) -> None:
    """One of its own would take a second lease, and use another pool."""
    derived = session.with_options(timeout=5)
    assert derived._portal is session._portal
    assert derived.aio._place is derived._place


# Lives.


def test_closing_the_derived_session_leaves_the_rest(session: Session) -> None:
    """It refuses requests; what was opened through it, and its parent and children, go on."""
    derived = session.with_options(timeout=20)
    child = derived.with_options(timeout=30)
    with derived:
        held = derived.get("/bytes/3000000")
    assert derived.closed
    assert not (session.closed or child.closed)
    with pytest.raises(SessionClosedError, match="closed"):
        derived.get("/json")
    with pytest.raises(SessionClosedError, match="closed"):
        derived.with_options(timeout=1)
    assert len(held.read()) == 3_000_000
    assert session.get("/json").json()
    assert child.get("/json").json()
    derived.close()  # again


def test_closing_the_parent_closes_all(app: AppServer) -> None:
    """Derived sessions, those derived from them, and what was opened through them."""
    with Session(app.url) as session:
        derived = session.with_options(timeout=20)
        child = derived.with_options(timeout=30)
        held = child.get("/bytes/30000000")
        socket = derived.ws_connect("/echo")
    assert derived.closed
    assert child.closed
    with pytest.raises(SessionClosedError):
        child.get("/json")
    with pytest.raises(SessionClosedError):
        held.read()
    assert socket.receive().type in (syncclient.WSMsgType.CLOSED, syncclient.WSMsgType.CLOSE)


def test_the_derived_session_keeps_its_parent_alive(app: AppServer) -> None:
    """Dropping the parent's name closes nothing while a derived session is in use."""
    derived = Session(app.url).with_options(timeout=20)
    gc.collect()
    assert derived.get("/json").json()
    root = derived._root
    assert isinstance(root, Session)
    root.close()


def test_dropped_derived_sessions_leave_nothing_on_the_loop(session: Session) -> None:
    """The engine's sessions of those that are gone go with the next that is made."""
    for seconds in range(1, 30):
        session.with_options(timeout=20 + seconds).get("/json").read()
        gc.collect()
    assert engine_sessions(session) <= 2


def test_what_a_dropped_derived_session_opened_goes_on(session: Session) -> None:
    """A body, a WebSocket and a future outlive the session they were asked of."""
    held = session.with_options(timeout=21).get("/bytes/3000000")
    socket = session.with_options(timeout=22).ws_connect("/echo")
    future = session.with_options(timeout=23).submit("GET", "/delay/0.2")
    gc.collect()
    for seconds in range(3):  # each time, those that nobody needs are let go
        session.with_options(timeout=30 + seconds).get("/json").read()
    assert len(held.read()) == 3_000_000
    socket.send_str("still here")
    assert socket.receive_str() == "still here"
    socket.close()
    assert future.result(10).ok


def test_chains_hold_on_to_the_first_session_only(session: Session) -> None:
    """Deriving again and again builds up nothing."""
    derived = session
    for number in range(50):
        derived = derived.with_options(headers={f"X-{number}": "1"})
    assert derived._root is session
    assert {f"x-{number}" for number in range(50)} <= sent(derived).keys()


def test_threads_derive_at_the_same_time(session: Session) -> None:
    """Each gets its own settings, whatever the others do to the parent's headers."""
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(20):
            session.headers[f"X-Shared-{number}"] = str(turn)
            with session.with_options(headers={"X-Mine": f"{number}.{turn}"}) as derived:
                if sent(derived)["x-mine"] != f"{number}.{turn}":
                    wrong.append(derived)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)


# Subclasses, and the copy module.


class Api(Session):
    """A subclass with a constructor and an attribute of its own."""

    def __init__(self, url: str, token: str) -> None:
        self.before = [token]
        super().__init__(url, headers={"X-Token": token})
        self.token = token


def test_a_subclass_stays_one(app: AppServer) -> None:
    """Its attributes come along, and its constructor is not called again."""
    with Api(app.url, "t") as api:
        derived = api.with_options(timeout=20)
        assert type(derived) is Api
        assert (derived.token, derived.before) == ("t", ["t"])
        assert derived.before is api.before
        assert sent(derived)["x-token"] == "t"


def test_a_shallow_copy_shares_the_connections(session: Session) -> None:
    """copy.copy() is with_options() without options."""
    twin = copy.copy(session)
    assert twin.get("/json").json()
    assert twin.cookie_jar is session.cookie_jar
    assert session.connector.snapshot().open == 1
    twin.close()
    assert not session.closed


def test_a_deep_copy_stands_alone(session: Session) -> None:
    """Its own connections, and a copy of the cookies: it outlives what it was copied from."""
    session.cookie_jar.update_cookies({"a": "1"})
    session.headers["X-Late"] = "1"
    with copy.deepcopy(session) as twin:
        twin.cookie_jar.update_cookies({"b": "2"})
        twin.headers["X-Twin"] = "1"
        assert session.get("/anything").json()["cookies"] == {"a": "1"}
        assert "x-twin" not in sent(session)
        session.close()
        assert twin.get("/anything").json()["cookies"] == {"a": "1", "b": "2"}
        assert sent(twin)["x-late"] == "1"
    with copy.deepcopy(session) as twin:
        assert twin.closed


def test_a_deep_copy_of_a_subclass(app: AppServer) -> None:
    """Attributes of a subclass are copied as deep, those that refer to the session too."""
    with Api(app.url, "t") as api:
        api.before.append(cast(str, api))
        with copy.deepcopy(api) as twin:
            assert twin.before[0] == "t"
            assert cast(object, twin.before[1]) is twin
            assert twin.token == "t"


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")
def test_settings_show_what_holds(session: Session) -> None:
    """The properties of a derived session are its own."""
    derived = session.with_options(auth=BasicAuth("a", "b"), timeout=7, trust_env=True)
    assert derived.auth == BasicAuth("a", "b")
    assert (derived.timeout.total, session.timeout.total) == (7, 300)
    assert (derived.trust_env, session.trust_env) == (True, False)
    assert repr(derived) == repr(session)


def test_awaited_requests_go_through_the_derived_session(session: Session) -> None:
    """``derived.aio`` has its settings as well, and closing it closes no more than the other."""

    async def ask(derived: Session) -> dict[str, str]:
        async with derived.aio as aio, aio.get("/anything") as response:
            told = await response.json()
        return {name.lower(): value for name, value in told["headers"]}

    derived = session.with_options(headers={"X-Own": "1"}, skip_auto_headers=["User-Agent"])
    arrived = asyncio.run(ask(derived))
    assert arrived["x-own"] == "1"
    assert "user-agent" not in arrived
    assert derived.closed
    assert not session.closed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_derived_session_survives_a_fork(run_child: RunChild, app: AppServer) -> None:
    """In the child as in the parent it goes on with its settings."""
    code = """
import os, sys, warnings, syncclient
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
with syncclient.Session(sys.argv[1]) as session:
    derived = session.with_options(headers={"X-Own": "1"}, max_body=50)
    derived.get("/bytes/50").read()
    pid = os.fork()
    assert ["X-Own", "1"] in derived.with_options(max_body=None).get("/anything").json()["headers"]
    try:
        derived.get("/bytes/51").read()
    except syncclient.ClientPayloadError:
        if pid == 0:
            session.close()
            os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    child = run_child(code, app.url, flags=("-X", "dev", "-W", "error"))
    assert (child.stdout, child.stderr, child.status) == ("7\n", "", 0)
