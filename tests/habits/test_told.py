"""What does not work is told, where it is written: attributes, keywords, names of the module."""

import copy
import pickle
import re
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import syncclient
import syncclient.testing
from syncclient._other_libraries import HINTS

client: Any = syncclient


@pytest.mark.parametrize(
    ("name", "cure"),
    {
        "retry": "Session(retry=...), or session.with_options(retry=...)",
        "base_url": "Session(base_url=...), or session.with_options(base_url=...)",
        "middlewares": "Session(middlewares=...)",
        "params": "Session(params=...)",
        "max_redirects": "Session(max_redirects=...)",
        "auth": "Session(auth=...)",
        "timeout": "Session(timeout=...)",
        "connector": "Session(connector=...)",
        "headers": "session.headers.update(...)",
        "verify": "Session(ssl=...)",
        "cookies": "cookie_jar",
        "foo": "'foo' to set",
        "closed": "'closed' of a Session cannot be set",
    }.items(),
)
def test_an_attribute_that_is_set_to_no_avail(name: str, cure: str) -> None:
    """Every attribute of a session that nothing would look at; of session.aio as well."""
    session = client.Session()
    for owner in (session, session.aio):
        with pytest.raises(AttributeError, match=re.escape(cure)):
            setattr(owner, name, 1)


def test_a_subclass_has_attributes_of_its_own() -> None:
    """But none of those that would say how requests are made."""

    class Mine(syncclient.Session):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

    session: Any = Mine()
    session.calls += 1
    assert (session.calls, copy.copy(session).calls) == (1, 1)
    for name in ("retry", "verify", "headers"):
        with pytest.raises(AttributeError, match=r"here it is"):
            setattr(session, name, 1)


@pytest.mark.parametrize("name", HINTS["syncclient"])
def test_a_name_of_the_module_says_ours(name: str) -> None:
    """As an attribute, and when it is imported; hasattr() stays honest."""
    with pytest.raises(AttributeError, match=f"'{name}'; here it is "):
        getattr(syncclient, name)
    with pytest.raises(ImportError, match=f"'{name}' from 'syncclient'; here it is "):
        exec(f"from syncclient import {name}")
    assert not hasattr(syncclient, name)


def test_a_name_that_nobody_has() -> None:
    """It is answered as Python does."""
    with pytest.raises(AttributeError, match=r"module 'syncclient' has no attribute 'nonsense'$"):
        client.nonsense  # noqa: B018  # looked up is enough
    with pytest.raises(ImportError, match=r"cannot import name 'nonsense'"):
        exec("from syncclient import nonsense")


@pytest.mark.parametrize("kind", HINTS)
def test_no_hint_names_what_is_private_or_absent(kind: str) -> None:
    """Of the names of ours in a hint each exists, and none is private."""
    for hint in HINTS[kind].values():
        assert not re.search(r"(?<![\w*])_\w", hint), hint
        for name in re.findall(r"\b([A-Z]\w+[a-z]\w*)\b", hint):
            known = hasattr(syncclient, name) or hasattr(syncclient.testing, name)
            assert known or f"http.{name}" in hint or name in NOT_OURS, (hint, name)


NOT_OURS = {"Cookie", "JSONDecodeError", "Location", "SSLContext", "Retry-After", "TimeoutError"}
NOT_OURS |= {"After", "False", "True", "HTTP"}


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (
            lambda: client.ClientTimeout(connect=5, read=5),
            "'read'; write sock_read=",
        ),
        (lambda: client.TCPConnector(pool_maxsize=9), "TCPConnector.*'pool_maxsize'; write limit="),
        (lambda: client.Retry(total=3), "Retry.*'total'; write attempts="),
        (lambda: client.Retry(3, backoff_factor=0.1), "'backoff_factor'; write backoff="),
        (lambda: client.Session(retries=3), r"'retries'; here it is Session\(retry=\.\.\.\)"),
        (lambda: client.Session(nonsense=3), "Session takes no keyword 'nonsense'$"),
    ],
)
def test_a_keyword_of_another_librarys_class(make: Callable[[], object], cure: str) -> None:
    """Settings that are objects of their own: limits, pools, retries, sessions."""
    with pytest.raises(TypeError, match=cure):
        make()


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (
            lambda: client.get("http://h/", param={}),
            "a request takes no keyword 'param'; write params=",
        ),
        (lambda: client.get("http://h/", header={}), "'header'; write headers="),
        (lambda: client.post("http://h/", jsn={}), "'jsn'; write json="),
        (lambda: client.Session(cookie={}), "'cookie'; here it is cookies="),
        (lambda: client.Session().with_options(time_out=1), "'time_out'; here it is timeout="),
        (
            lambda: client.Session().ws_connect("ws://h/", max_msgsize=1),
            "'max_msgsize'; write max_msg_size=",
        ),
        (
            lambda: client.get("http://h/", allow_redirects="no"),
            "allow_redirects must be True or False, not 'no'",
        ),
        (lambda: client.post("http://h/", json={1}), "json: Object of type set is not"),
        (lambda: client.Session(5), "base_url must be a str or a yarl.URL, not int"),
    ],
)
def test_a_slip_names_the_argument(make: Callable[[], object], cure: str) -> None:
    """A keyword that is nearly one of ours, and a value that cannot be."""
    with pytest.raises(TypeError, match=cure):
        make()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:8000/x", "localhost:8000/x - no scheme; write http://localhost:8000/x or"),
        ("127.0.0.1:8000", "127.0.0.1:8000 - no scheme; write http://"),
        (
            "example.test",
            "example.test - no scheme; write http://.*, or give the session a base_url",
        ),
        ("mailto:me@example.test", "the scheme must be one of http, https"),
        ("", "'' - the url is empty"),
    ],
)
def test_a_url_without_a_scheme(url: str, told: str) -> None:
    """It is shown as it was written, a port and all."""
    with pytest.raises(client.ClientError, match=told):
        client.get(url)


def test_a_base_url_without_a_scheme() -> None:
    """The cure is not the base_url that it already is."""
    with pytest.raises(client.InvalidURL, match=r"https://\.\.\.$"):
        client.Session("example.test")


def test_a_slip_in_a_name_of_the_module() -> None:
    """Python can say which public name was meant."""
    with pytest.raises(AttributeError) as caught:
        client.gett  # noqa: B018
    names = dir(caught.value.obj)
    assert caught.value.name == "gett"
    assert "get" in names
    assert not any(name.startswith("_") for name in names)


def test_positional_arguments_name_the_keyword() -> None:
    """As requests' second argument would be: of sessions, one-shot functions and session.aio."""
    session = client.Session()
    for home in (session, client, session.aio):
        for verb, cure in {
            "get": "params=",
            "post": "data=... or json=",
            "delete": "params=",
        }.items():
            with pytest.raises(TypeError, match=f"only the URL is given by position: write {cure}"):
                getattr(home, verb)("http://127.0.0.1/", {"a": 1})
        with pytest.raises(TypeError, match=r"only the URL"):
            home.request("PUT", "http://127.0.0.1/", b"x")


@pytest.mark.parametrize("arguments", [("http://127.0.0.1/",), (), (None,)])
def test_an_aio_session_is_made_by_a_session(arguments: tuple[object, ...]) -> None:
    """AioSession(...) as in httpx and aiohttp says where it comes from."""
    with pytest.raises(TypeError, match=r"Session\(\.\.\.\)\.aio"):
        client.AioSession(*arguments)
    with pytest.raises(TypeError, match=r"Session\(\.\.\.\)\.aio"):
        client.AioSession(timeout=5)


@pytest.mark.anyio
async def test_async_with_names_aio() -> None:
    """`async with Session()` says what to write."""
    with pytest.raises(TypeError, match=r"async with Session\(\.\.\.\)\.aio as session"):
        async with client.Session():
            raise AssertionError("it was entered")


def test_ssl_and_a_connector_are_two_ways_to_say_it() -> None:
    """Session(ssl=) beside connector= says where it belongs; so does with_options(ssl=)."""
    with pytest.raises(ValueError, match=r"TCPConnector\(ssl=\.\.\.\)"):
        client.Session(ssl=False, connector=client.TCPConnector())
    with pytest.raises(TypeError, match=r"Session\(ssl=\.\.\.\)"):
        client.Session().with_options(ssl=False)


def test_basic_auth_does_not_warn() -> None:
    """What we advise is no deprecated thing: made, copied, pickled."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        auth = syncclient.BasicAuth("eve", "pw")
        assert pickle.loads(pickle.dumps(auth)) == copy.copy(auth) == auth
        assert auth.encode() == syncclient.encode_basic_auth("eve", "pw")
        syncclient.Session(auth=auth)
    with pytest.raises(ValueError, match=r"colon"):
        syncclient.BasicAuth("a:b")


def test_the_error_of_a_status_crosses_processes(site: str) -> None:
    """A pickled StatusError has head and body, and no secret; one of session.aio is the same."""
    with pytest.raises(syncclient.StatusError) as caught:
        syncclient.post(f"{site}/login", data={"user": "a"}, auth=("eve", "pw")).raise_for_status()
    twin = pickle.loads(pickle.dumps(caught.value))
    assert str(twin) == str(caught.value)
    assert twin.response.json() == caught.value.response.json()
    assert twin.response.request_info.headers["Authorization"] == "[redacted]"
    assert isinstance(caught.value.response.elapsed, timedelta)


@pytest.mark.anyio
async def test_the_same_for_session_aio(site: str) -> None:
    """raise_for_status() returns the response, and lines are text, for awaited code as well."""
    async with syncclient.Session(site).aio as session:
        response = await session.get("/log")
        assert response.raise_for_status() is response
        assert len([line async for line in response]) == 3
        assert len([line async for line in response.iter_lines()]) == 3
        with pytest.raises(
            syncclient.StatusError, match=r'^422 Unprocessable Content: {"detail"'
        ) as caught:
            (await session.post("/login", data={"user": "a"})).raise_for_status()
        # Blocking, and here: nothing is waited for.
        assert "wrong password" in caught.value.response.text()
