"""Bad input: refused in the caller's thread, before any crossing, with the argument named."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from yarl import URL

import syncclient
from syncclient import ClientTimeout, InvalidURL, NonHttpUrlClientError, Session
from tests.servers.process import AppServer


@pytest.fixture
def untouched(app: AppServer) -> Iterator[Session]:
    """A session that has never crossed, and must not have in the end."""
    with Session(app.url) as session:
        yield session
        assert session._portal.crossings == 0
        assert not session._portal.leased


class Unserialisable:
    """What json.dumps() cannot take."""


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"json": {}, "data": b""}, ValueError, "data and json"),
        ({"json": Unserialisable()}, TypeError, "JSON serializable"),
        ({"headers": {"X-Split": "a\r\nX-Evil: 1"}}, ValueError, "X-Split.*CR, LF or another"),
        ({"headers": {"X-Split": "a\nb"}}, ValueError, "X-Split"),
        ({"headers": {"X-Nul": "a\0b"}}, ValueError, "X-Nul"),
        ({"headers": {"X-Bell": "a\x07b"}}, ValueError, "X-Bell"),
        ({"headers": {"X: Split\r\n": "a"}}, ValueError, "header name"),
        ({"headers": {"": "a"}}, ValueError, "header name"),
        ({"headers": {"X-Int": 1}}, TypeError, "X-Int.*int"),
        ({"headers": {"X-None": None}}, TypeError, "X-None.*is None.*skip_auto_headers="),
        ({"headers": {1: "a"}}, TypeError, "headers.*name.*int"),
        ({"headers": {b"X": "a"}}, TypeError, "headers.*name.*bytes"),
        ({"headers": ["ab", "c"]}, TypeError, "headers"),
        ({"headers": [1]}, TypeError, "headers"),
        ({"timeout": -1}, ValueError, "timeout.*-1"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "5"}, TypeError, "timeout.*str"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"timeout": (3, 5, 7)}, TypeError, "timeout.*tuple"),
        ({"timeout": (3, "5")}, TypeError, "timeout.sock_read"),
        ({"timeout": ClientTimeout(sock_read=-1)}, ValueError, "timeout.sock_read"),
        ({"timeout": ClientTimeout(total=float("inf"))}, ValueError, "timeout.total.*None"),
        ({"auth": "ada:pw"}, TypeError, "auth.*str"),
        ({"auth": ("ada",)}, TypeError, "auth"),
        ({"auth": ("ada", "pw"), "headers": {"Authorization": "x"}}, ValueError, "auth.*header"),
        ({"params": {"a": object()}}, TypeError, "params"),
        ({"params": 5}, TypeError, "params.*mapping"),
        ({"params": {"a": None}}, TypeError, "params.*'a' is None: leave the name out"),
        ({"params": [("a", [1, None])]}, TypeError, "params.*'a' is None: leave the name out"),
        ({"params": {"a": True}}, TypeError, "params.*'a' is True: write.*'true'"),
        ({"params": {"a": {"b": 1}}}, TypeError, r"params.*'a' is a dict.*'a\[key\]'"),
        ({"data": {"f": ("a.txt", b"x", "text/plain")}}, TypeError, "'f'.*add_field"),
        ({"auth": "token"}, TypeError, r"auth must be.*BearerAuth\(token\)"),
        ({"auth": lambda request: request}, TypeError, "auth must be.*middlewares="),
        ({"proxy": "http://127.0.0.1/", "proxy_auth": "a"}, TypeError, "proxy_auth"),
        ({"ssl": "yes"}, TypeError, "ssl"),
        ({"compress": "br"}, ValueError, "compress must be 'gzip'.*'br'"),
        ({"cookies": "a=1"}, TypeError, "cookies must be"),
        ({"cookies": 5}, TypeError, "cookies must be"),
        ({"cookies": [("a", "1", "2")]}, TypeError, "cookies must be"),
        ({"skip_auto_headers": "User-Agent"}, TypeError, r"skip_auto_headers.*\['User-Agent'\]"),
        ({"skip_auto_headers": 5}, TypeError, "skip_auto_headers"),
        ({"max_redirects": -1}, ValueError, "max_redirects"),
        ({"max_redirects": "3"}, TypeError, "max_redirects"),
        ({"read_bufsize": 0}, ValueError, "read_bufsize"),
        ({"read_bufsize": -1}, ValueError, "read_bufsize"),
        ({"read_bufsize": "1"}, TypeError, "read_bufsize"),
        ({"max_line_size": 0}, ValueError, "max_line_size"),
        ({"max_field_size": 1.5}, TypeError, "max_field_size"),
        ({"max_headers": None, "max_line_size": True}, TypeError, "max_line_size"),
        ({"raise_for_status": "yes"}, TypeError, "raise_for_status.*str"),
        ({"middlewares": 5}, TypeError, "middlewares"),
        ({"middlewares": ["ab"]}, TypeError, "middlewares"),
        ({"server_hostname": b"host"}, TypeError, "server_hostname.*bytes"),
    ],
)
def test_an_argument_of_a_request_is_checked(
    untouched: Session, options: Any, error: type[Exception], message: str
) -> None:
    """The error is the builtin one, and says which argument it was."""
    with pytest.raises(error, match=message):
        untouched.post("/post", **options)


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("http://", InvalidURL, "host"),
        ("http:///path", InvalidURL, "host"),
        ("https://:443/", InvalidURL, "host"),
        ("http://host:port/", InvalidURL, "port"),
        ("http://host:99999/", InvalidURL, "[Pp]ort"),
        ("http://[::1/", InvalidURL, "IPv6"),
        ("ftp://host/", NonHttpUrlClientError, "^ftp://host/ - the scheme.*http"),
        ("mailto:ada@example.com", NonHttpUrlClientError, "scheme"),
        ("localhost:8080/x", NonHttpUrlClientError, "localhost:8080/x"),
    ],
)
def test_a_url_is_checked(
    untouched: Session, url: str, error: type[Exception], message: str
) -> None:
    """InvalidURL and its kin are ValueErrors of aiohttp's, and show the URL."""
    for given in (url, url.replace("//", "//eve:secret@")):
        with pytest.raises(error, match=message) as caught:
            untouched.get(given)
        assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.args}"


def test_a_relative_url_needs_a_base_url() -> None:
    """The error says what to do about it."""
    with Session() as session, pytest.raises(InvalidURL, match="base_url"):
        session.get("/path")


@pytest.mark.parametrize("url", [5, b"http://host/", None])
def test_a_url_is_text_or_a_url(untouched: Session, url: Any) -> None:
    """TypeError names the argument and the type."""
    with pytest.raises(TypeError, match=f"url.*{type(url).__name__}"):
        untouched.get(url)


@pytest.mark.parametrize(
    ("method", "error"),
    [("GET /", ValueError), ("G\r\n", ValueError), ("", ValueError), (1, TypeError)],
)
def test_a_method_is_a_token(untouched: Session, method: Any, error: type[Exception]) -> None:
    """Nothing can be smuggled into the request line."""
    with pytest.raises(error, match="method must be"):
        untouched.request(method, "/get")


def test_credentials_are_given_once(untouched: Session, app: AppServer) -> None:
    """auth= and a header exclude credentials in the URL; none of them is shown."""
    url = app.url.replace("//", "//eve:secret@")
    for options in ({"auth": ("ada", "pw")}, {"headers": {"authorization": "Basic x"}}):
        with pytest.raises(ValueError, match="credentials in") as caught:
            untouched.get(url, **options)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("keyword", "right"),
    [
        ("verify", "ssl="),
        ("files", "data="),
        ("content", "data="),
        ("proxies", "proxy="),
        ("cert", "ssl="),
        ("stream", "until it is read"),
        ("follow_redirects", "allow_redirects="),
        ("hooks", "trace_configs="),
        ("nonsense", "nonsense"),
    ],
)
def test_an_unknown_keyword_is_named_and_the_right_one_too(
    untouched: Session, keyword: str, right: str
) -> None:
    """Those who come from requests or httpx are told what to write here."""
    options: Any = {keyword: True}
    with pytest.raises(TypeError, match=f"{keyword}.*{right}|{right}"):
        untouched.get("/get", **options)
    with pytest.raises(TypeError, match=f"'{keyword}'"):
        syncclient.get("http://127.0.0.1:1/", **options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"base_url": "http://host/path"}, ValueError, r"base_url.*'http://host/path/'"),
        ({"base_url": "host/"}, InvalidURL, "scheme"),
        ({"base_url": "/only/a/path/"}, InvalidURL, "scheme"),
        ({"base_url": 5}, TypeError, "url.*int"),
        ({"connector": "tcp"}, TypeError, "connector"),
        ({"cookie_jar": {}}, TypeError, "cookie_jar.*dict"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": "5"}, TypeError, "timeout"),
        ({"headers": {"X": "a\r\nb"}}, ValueError, "X"),
        ({"auth": "ada:pw"}, TypeError, "auth"),
        ({"cookies": "a=1"}, TypeError, "cookies"),
        ({"skip_auto_headers": "Accept"}, TypeError, "skip_auto_headers"),
        ({"raise_for_status": "yes"}, TypeError, "raise_for_status"),
        ({"trace_configs": [5]}, TypeError, "trace_configs.*int"),
        ({"trace_configs": syncclient.TraceConfig()}, TypeError, "trace_configs.*list"),
        ({"read_bufsize": 0}, ValueError, "read_bufsize"),
        ({"max_headers": "5"}, TypeError, "max_headers"),
        ({"middlewares": [5]}, TypeError, "middlewares"),
        ({"verify": False}, TypeError, "verify"),
        ({"nonsense": 1}, TypeError, "nonsense"),
    ],
)
def test_an_argument_of_a_session_is_checked(
    options: Any, error: type[Exception], message: str
) -> None:
    """When the session is made, and not with its first request."""
    with pytest.raises(error, match=message):
        Session(**options)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("verify", "ssl"),
        ("cookies", "cookie_jar"),
        ("mount", "connector"),
        ("proxies", "proxy"),
        ("params", "params="),
        ("nonsense", "nonsense"),
    ],
)
def test_an_unknown_attribute_of_a_session_is_named(
    untouched: Session, name: str, right: str
) -> None:
    """requests' attributes are answered with ours; hasattr() stays honest."""
    with pytest.raises(AttributeError, match=f"Session has no attribute '{name}'.*{right}|{right}"):
        getattr(untouched, name)
    assert not hasattr(untouched, name)


@pytest.mark.parametrize(("name", "right"), [("verify", "ssl"), ("proxies", "proxy=")])
def test_an_attribute_of_requests_is_not_set_to_no_avail(
    untouched: Session, name: str, right: str
) -> None:
    """session.verify = ... is an error that says what to write; so is every other name."""
    with pytest.raises(AttributeError, match=f"'{name}' to set; here it is .*{right}"):
        setattr(untouched, name, "ca.pem")
    with pytest.raises(AttributeError, match="'mine' to set"):
        untouched.mine = 1  # type: ignore[attr-defined]  # of a subclass it could be


def test_the_encoding_of_a_response_is_not_set_to_no_avail(session: Session) -> None:
    """response.encoding = ... would change nothing, and says what does."""
    with session.get("/get") as response:
        with pytest.raises(AttributeError, match=r"'encoding' to set; here it is .*text\("):
            response.encoding = "latin-1"  # type: ignore[attr-defined]  # the mistake
        assert not hasattr(response, "encoding")


def test_a_header_of_the_session_is_checked_with_each_request(untouched: Session) -> None:
    """session.headers can be changed at any time, so that it is looked at again."""
    untouched.headers["X-Later"] = "a\r\nb"
    with pytest.raises(ValueError, match="X-Later"):
        untouched.get("/get")


def test_an_error_of_the_serialiser_reaches_the_caller(app: AppServer) -> None:
    """What json_serialize raises comes as itself, with its traceback, and nothing was sent."""

    def refuse(value: object) -> str:
        raise LookupError("not today")

    with Session(app.url, json_serialize=refuse) as session:
        with pytest.raises(LookupError, match="not today"):
            session.post("/post", json={})
        assert session._portal.crossings == 0
        assert session.post("/post", data=json.dumps({})).ok


def test_a_closed_session_refuses(app: AppServer) -> None:
    """SessionClosedError is a RuntimeError too, as in aiohttp; close() may repeat."""
    session = Session(app.url)
    session.get("/get").read()
    session.close()
    session.close()
    assert session.closed
    for error in (syncclient.SessionClosedError, syncclient.ClientError, RuntimeError):
        with pytest.raises(error, match=f"<Session {app.url}.*> is closed"):
            session.get("/get")
    never_used = Session()
    never_used.close()
    with pytest.raises(syncclient.SessionClosedError):
        never_used.get(URL(app.url))


@pytest.mark.parametrize(
    ("name", "right"), [("recv", "receive"), ("send", "send_str"), ("nonsense", "'nonsense'$")]
)
def test_an_unknown_attribute_of_a_websocket_is_named(
    session: Session, name: str, right: str
) -> None:
    """The names of websocket-client and websockets are answered with ours."""
    with session.ws_connect("/echo") as socket:
        with pytest.raises(
            AttributeError, match=f"WebSocket has no attribute '{name}'.*{right}|{right}"
        ):
            getattr(socket, name)
        assert not hasattr(socket, name)


@pytest.mark.parametrize(
    ("name", "right"), [("ping_interval", "heartbeat="), ("header", "headers="), ("odd", "'odd'$")]
)
def test_an_unknown_keyword_of_ws_connect_is_named(
    untouched: Session, name: str, right: str
) -> None:
    """Likewise, and before anything is connected."""
    options: dict[str, Any] = {name: 20}
    with pytest.raises(TypeError, match=f"takes no keyword '{name}'.*{right}|{right}"):
        untouched.ws_connect("/echo", **options)
