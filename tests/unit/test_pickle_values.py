"""What pickles and how: sessions, and the values that they are made of."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from syncclient import (
    AsyncResolver,
    BasicAuth,
    ClientTimeout,
    ClientWSTimeout,
    CookieJar,
    DummyCookieJar,
    Fingerprint,
    FormData,
    LoopThread,
    Request,
    Retry,
    Session,
    SessionClosedError,
    SocksConnector,
    TCPConnector,
    ThreadedResolver,
    TraceConfig,
    UnixConnector,
    timeout,
)
from syncclient._boundary.loop_thread import default_loop_thread
from tests.ids import steady
from tests.servers.process import AppServer


def travelled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def module_function(*args: object) -> Any:
    return args


class Middleware:
    """A middleware that is an object, such as can be pickled."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def __call__(self, request: Any, handler: Any) -> Any:
        return await handler(request)


@pytest.fixture
def session() -> Iterator[Session]:
    """A session without a server."""
    with Session("http://host.test/path/") as fresh:
        yield fresh


# Values.


@pytest.mark.parametrize(
    "value",
    [
        TCPConnector(limit=3, resolver={"a.test": "127.0.0.1"}, ssl=False),
        TCPConnector(ssl=cast(Any, Fingerprint(b"x" * 32)), resolver=ThreadedResolver()),
        UnixConnector("/run/app.sock", limit=2),
        SocksConnector("socks5://user:secret@proxy.test:1", limit=2),
        AsyncResolver(["127.0.0.1"], tries=2),
        ThreadedResolver(),
        Retry(5, budget=10),
        ClientTimeout(total=3, sock_connect=1),
        ClientWSTimeout(ws_close=3),
    ],
    ids=steady,
)
def test_a_value_travels(value: object) -> None:
    """A pickled value arrives equal, and so do its copies."""
    assert travelled(value) == copy.copy(value) == copy.deepcopy(value) == value


def test_a_request_travels() -> None:
    """A pickled request keeps its method, URL, tag and keywords."""
    request = Request("POST", "http://host.test/", tag=7, json={"a": 1}, timeout=3)
    for twin in (travelled(request), copy.copy(request), copy.deepcopy(request)):
        assert (twin.method, twin.url, twin.tag) == ("POST", "http://host.test/", 7)
        assert twin.options == {"json": {"a": 1}, "timeout": 3}


def test_a_form_and_a_deadline_travel() -> None:
    """What is given to a request can be made in another process."""
    assert isinstance(travelled(FormData({"a": "b"})), FormData)
    assert isinstance(travelled(timeout(3)), timeout)


def test_the_systems_trust_store_travels_by_name() -> None:
    """A pickled trust store becomes the store of the system where it arrives."""
    pytest.importorskip("truststore")
    connector = TCPConnector(ssl="system", limit=3)
    assert travelled(connector) == connector


def test_a_context_does_not_travel() -> None:
    """The error names the connector, and what to write."""
    with pytest.raises(TypeError, match=r'TCPConnector with an ssl.SSLContext cannot.*"system"'):
        pickle.dumps(TCPConnector(ssl=ssl.create_default_context()))
    connector = TCPConnector(ssl=ssl.create_default_context())
    assert copy.deepcopy(connector) is copy.copy(connector) is connector


# Sessions.


def test_a_session_travels_as_its_settings() -> None:
    """All that it was given, and what its headers have become."""
    made = Session(
        "http://host.test/path/",
        connector=TCPConnector(limit=3),
        cookies=iter([("a", "1")]),
        headers=iter([("X-Given", "1"), ("X-Given", "2")]),  # an iterator is taken, too
        proxy="http://proxy.test:1",
        proxy_auth=("me", "secret"),
        skip_auto_headers=iter(["User-Agent"]),
        auth=("you", "secret"),
        json_serialize=module_function,
        raise_for_status=module_function,
        timeout=7,
        trust_env=True,
        read_bufsize=1000,
        fallback_charset_resolver=module_function,
        middlewares=iter([Middleware("first"), Middleware("second")]),  # type: ignore[arg-type]  # likewise
        max_body=10,
        retry=Retry(4),
    )
    with made, travelled(made) as twin:
        made.headers["X-Late"] = "3"
        with travelled(made) as late:
            assert [*late.headers.items()] == [*twin.headers.items(), ("X-Late", "3")]
        assert twin.headers.getall("X-Given") == ["1", "2"]
        assert [each.name for each in twin._place.settings.middlewares] == ["first", "second"]
        theirs, ours = twin._place.settings, made._place.settings
        assert theirs.keywords().keys() == ours.keywords().keys()
        for name in ours.keywords().keys() - {"middlewares", "cookie_jar", "headers"}:
            assert theirs.keywords()[name] == ours.keywords()[name], name
        assert theirs.proxy_url == ours.proxy_url
        assert twin.skip_auto_headers == made.skip_auto_headers
        assert twin.connector is not made.connector
    gc.collect()


def test_defaults_stay_out_of_the_pickle(session: Session) -> None:
    """What was not given is the default of the version that it arrives at."""
    assert session._place.settings.keywords().keys() == {"base_url", "cookie_jar"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol(session: Session, protocol: int) -> None:
    """A pickle of any protocol will do."""
    with pickle.loads(pickle.dumps(session, protocol)) as twin:
        assert repr(twin) == repr(session)


def test_an_unused_session_stays_unused(session: Session) -> None:
    """Pickling an unused session makes no pool and no loop thread; nor does unpickling it."""
    twin = travelled(session)
    assert not session._portal.leased
    assert not twin._portal.leased
    assert default_loop_thread._run is None or not default_loop_thread._run.usable()


def test_cookies_travel(app: AppServer) -> None:
    """Those given at first and those set since, but not what was removed."""
    jar = CookieJar(unsafe=True)
    with Session(app.url, cookie_jar=jar, cookies={"given": "1", "gone": "2"}) as session:
        with travelled(session) as twin:  # before the first request
            assert twin.get("/anything").json()["cookies"] == {"given": "1", "gone": "2"}
        session.get("/cookies/set", params={"late": "3"}).read()
        jar.clear(lambda morsel: morsel.key == "gone")
        with travelled(session) as twin:
            assert twin.get("/anything").json()["cookies"] == {"given": "1", "late": "3"}
            twin.cookie_jar.clear()
        assert len(jar) == 2


def test_a_jar_shared_before_is_shared_after() -> None:
    """Sessions that travel together arrive with one jar."""
    with Session(cookie_jar=CookieJar()) as one, Session(cookie_jar=one.cookie_jar) as two:
        first, second = travelled((one, two))
        assert first.cookie_jar is second.cookie_jar
        first.close()
        second.close()
    with Session(cookie_jar=DummyCookieJar()) as one, travelled(one) as twin:
        assert isinstance(twin.cookie_jar, DummyCookieJar)


def test_a_derived_session_arrives_on_its_own(session: Session) -> None:
    """A derived session arrives without its parent: with all settings, and its own connections."""
    derived = session.with_options(headers={"X-Own": "1"}, timeout=7)
    with travelled(derived) as twin:
        assert twin._root is None
        assert (twin.headers["X-Own"], twin.timeout.total) == ("1", 7)
        assert repr(twin) == repr(session)


def test_a_closed_session_arrives_closed() -> None:
    """A closed session can be pickled; the copy raises when it is used."""
    session = Session("http://host.test/")
    session.close()
    twin = travelled(session)
    assert twin.closed
    with pytest.raises(SessionClosedError):
        twin.get("/")


class Api(Session):
    """A subclass with a constructor, and attributes, of its own."""

    def __init__(self, token: str) -> None:
        self.token = token
        super().__init__(headers={"X-Token": token})
        self.friends: list[Api] = [self]


def test_a_subclass_travels() -> None:
    """A subclass keeps its attributes, even ones that refer to it, without its constructor."""
    with Api("t") as api, travelled(api) as twin:
        assert type(twin) is Api
        assert (twin.token, twin.headers["X-Token"]) == ("t", "t")
        assert twin.friends == [twin]


def test_pickled_while_other_threads_use_it(app: AppServer) -> None:
    """Requests, headers and cookies that change meanwhile disturb nothing."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def work(session: Session, number: int) -> None:
        turn = 0
        try:
            while not stop.is_set():
                turn += 1
                session.headers[f"X-{number}-{turn % 50}"] = str(turn)
                session.get("/cookies/set", params={f"c{turn % 20}": "1"}).read()
        except BaseException as exc:
            errors.append(exc)

    with Session(app.url, cookie_jar=CookieJar(unsafe=True)) as session:
        threads = [threading.Thread(target=work, args=(session, number)) for number in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(50):
                travelled(session).close()
        finally:
            stop.set()
            for thread in threads:
                thread.join(10)
    assert not errors


# What does not travel.


def local_function() -> Callable[..., Any]:
    def inner(*args: object) -> Any:
        return args

    return inner


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("json_serialize", lambda value: "", "use a function defined in a module"),
        ("raise_for_status", local_function(), "use a function defined in a module"),
        ("middlewares", [local_function()], "leave middlewares= out, and"),
        ("loop_thread", LoopThread(), "leave loop_thread= out, and"),
        ("trace_configs", [TraceConfig()], "leave trace_configs= out, and"),
        ("connector", TCPConnector(ssl=ssl.create_default_context()), "SSLContext"),
    ],
)
def test_what_does_not_pickle_is_named(name: str, value: object, cure: str) -> None:
    """The error names the keyword, and says what to do."""
    with Session(**{name: value}) as session:  # type: ignore[arg-type]  # any keyword
        with pytest.raises(TypeError, match=rf"Session with {name}=.*cannot be pickled.*{cure}"):
            pickle.dumps(session)
        copy.copy(session).close()
        copy.deepcopy(session).close()  # neither needs a pickle


def test_no_secret_is_in_the_refusal() -> None:
    """The error shows types, not values."""
    with Session(
        headers={"A": "hush"}, auth=("me", "hush"), json_serialize=lambda v: ""
    ) as session:
        with pytest.raises(TypeError) as caught:
            pickle.dumps(session)
    assert "hush" not in str(caught.value)


def test_cloudpickle_takes_functions_as_code() -> None:
    """A pickler that knows how to pickle more is left to do it."""
    cloudpickle = pytest.importorskip("cloudpickle")
    with Session(json_serialize=lambda value: f"{value}!", max_body=7) as session:
        with pickle.loads(cloudpickle.dumps({"session": session}))["session"] as twin:
            assert twin.json_serialize(1) == "1!"
            assert twin._place.settings.max_body == 7


@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")
def test_basic_auth_travels(session: Session) -> None:
    """aiohttp's own credentials, too."""
    with travelled(session.with_options(auth=BasicAuth("me", "secret"))) as twin:
        assert twin.auth == BasicAuth("me", "secret")


def test_nothing_live_is_in_a_pickle(app: AppServer) -> None:
    """No address, descriptor or count of the process that it was made in."""
    with Session(app.url, cookie_jar=CookieJar(unsafe=True)) as session:
        before = pickle.dumps(session)
        held = session.get("/bytes/3000000")
        with session.ws_connect("/echo"):
            assert pickle.dumps(session) == before
        held.close()
    assert str(os.getpid()).encode() not in before
