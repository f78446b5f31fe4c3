"""The shorter way of our Session: what comes of it is what requests does."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from syncclient import requests as ours
from tests.servers.process import AppServer

BOTH = pytest.mark.parametrize("make", [requests.Session, ours.Session], ids=["theirs", "ours"])


def _headers(response: requests.Response) -> dict[str, str]:
    return dict(response.json()["headers"])


@BOTH
def test_headers_that_change(make: Any, app: AppServer) -> None:
    """Headers of the session are sent as they are at that moment; None leaves one out."""
    with make() as session:
        assert "X-One" not in _headers(session.get(f"{app.url}/anything"))
        session.headers["X-One"] = "1"
        assert _headers(session.get(f"{app.url}/anything"))["X-One"] == "1"
        session.headers["x-one"] = "2"
        assert _headers(session.get(f"{app.url}/anything"))["x-one"] == "2"
        response = session.get(f"{app.url}/anything")
        response.request.headers["X-Two"] = "not the session's"
        assert "X-Two" not in session.headers
        session.headers["X-One"] = None
        assert "X-One" not in _headers(session.get(f"{app.url}/anything"))
        session.headers["X-One"] = "a\nb"
        with pytest.raises(requests.exceptions.InvalidHeader):
            session.get(f"{app.url}/anything")


@BOTH
def test_netrc(make: Any, app: AppServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .netrc counts, also one that is written between two requests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    with make() as session:
        assert "Authorization" not in _headers(session.get(f"{app.url}/anything"))
        (tmp_path / ".netrc").write_text("default login me password secret\n", encoding="utf-8")
        assert _headers(session.get(f"{app.url}/anything"))["Authorization"].startswith("Basic ")


@BOTH
def test_the_bundle_of_the_environment(
    make: Any, tls_app: AppServer, ca: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """REQUESTS_CA_BUNDLE counts, unless the request says otherwise."""
    bundle = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(bundle))
    with make() as session:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
        assert session.get(f"{tls_app.url}/json").ok
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"{tls_app.url}/json")


@BOTH
def test_settings_of_the_session(make: Any, app: AppServer) -> None:
    """params, auth, hooks and cookies of the session are used."""
    with make() as session:
        session.params = {"a": "b"}
        session.auth = ("me", "secret")
        seen: list[int] = []
        session.hooks["response"].append(lambda r, *args, **kwargs: seen.append(r.status_code))
        session.cookies.set("c", "d")
        response = session.get(f"{app.url}/anything")
        assert response.json()["args"] == [["a", "b"]]
        assert {"Authorization", "Cookie"} <= _headers(response).keys()
        assert seen == [200]
        assert response.elapsed.total_seconds() > 0


@BOTH
def test_redirects(make: Any, app: AppServer) -> None:
    """Redirects are followed and counted; not followed, `next` is the next request."""
    with make() as session:
        response = session.get(f"{app.url}/redirect/3")
        assert [hop.status_code for hop in response.history] == [302] * 3
        assert response.history[2].history == response.history[:2]
        response = session.get(f"{app.url}/redirect/1", allow_redirects=False)
        assert response.is_redirect
        assert response.next.url == f"{app.url}/get"
        session.max_redirects = 2
        with pytest.raises(requests.TooManyRedirects):
            session.get(f"{app.url}/redirect/3")


@pytest.mark.parametrize("url", ["", "no-scheme/", "http://", "http://*.test/", "nope://x/", b"x"])
def test_urls_that_are_none(url: Any) -> None:
    """A wrong URL is the error of requests, in its words."""
    faults = []
    for make in (requests.Session, ours.Session):
        with make() as session, pytest.raises(requests.RequestException) as caught:
            session.get(url)
        faults.append((caught.type, str(caught.value)))
    assert faults[0] == faults[1]


def test_functions_that_are_replaced(app: AppServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is replaced in the module of requests' Session is called."""
    monkeypatch.setattr(requests.sessions, "get_netrc_auth", lambda url: ("me", "secret"))
    with ours.Session() as session:
        assert "Authorization" in _headers(session.get(f"{app.url}/anything"))


def test_overridden_steps_are_called(app: AppServer) -> None:
    """What a subclass changes of requests' steps is called."""

    class Counting(ours.Session):
        sent = prepared = 0

        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            self.sent += 1
            return super().send(request, **kwargs)

        def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
            self.prepared += 1
            return super().prepare_request(request)

    with Counting() as session:
        assert session.get(f"{app.url}/redirect/2").ok
    assert (session.prepared, session.sent) == (1, 3)


_ARGUMENTS: list[dict[str, Any]] = [
    {"params": {"a": "1", "b": ["x y", "ü&="], "none": None, "n": 5}},
    {"params": {}, "url": "/anything?q=1"},
    {"params": {"a": "b"}, "url": "/anything?q=1"},
    {"params": {"a": "b"}, "url": "/anything?q=1#part"},
    {"params": {"a": "b"}, "url": "/anything/%7E%2F?b=%41%20"},
    {"params": {"only": None}},
    {"params": "a=b c"},
    {"params": [("a", "1"), ("a", "2")]},
    {"headers": {"X-A": "1", "accept": "text/plain", "User-Agent": None}},
    {"headers": {"X-Bytes": b"1", "x-session": "other"}},
    {"headers": requests.structures.CaseInsensitiveDict({"X-A": "1"})},
    {"headers": {"X-Session": None}},
    {"cookies": {"c": "d", "kept": "request's"}},
    {"cookies": requests.cookies.cookiejar_from_dict({"c": "d"})},  # type: ignore[no-untyped-call]
    {"headers": {"Cookie": "by=hand"}},
    {"auth": ("me", "secret")},
    {"auth": requests.auth.HTTPBasicAuth("me", "secret")},
    {"auth": ()},
    {"auth": ("me", "secret"), "headers": {"Authorization": "other"}},
    {"method": "POST"},
    {"method": "post", "data": {"a": ["1", "2"]}},
    {"method": "PUT", "data": "text", "headers": {"Content-Type": "text/plain"}},
    {"method": "PATCH", "json": {"a": None}},
    {"method": "POST", "json": {}, "auth": ("me", "secret"), "params": {"p": "q"}},
    {"method": "POST", "files": {"f": ("name", b"abc", "text/plain")}, "data": {"a": "1"}},
    {"method": "DELETE", "data": b"bytes"},
    {"method": "HEAD", "params": {"p": "q"}},
    {"method": "Purge"},
]


def _sent(session: requests.Session, base: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What came of a request: all that is told of it, but for a boundary made by chance."""
    given = {"method": "GET", "url": "/anything", **arguments}
    url = base + given.pop("url")
    response = session.request(given.pop("method"), url, **given)
    request = response.request
    boundary = request.headers.get("Content-Type", "").partition("boundary=")[2] or "no boundary"
    headers: Any = request.headers  # values may be bytes
    body: Any = request.body.encode() if isinstance(request.body, str) else request.body
    return {
        "url": (request.method, request.url),
        "headers": [
            (name, value.replace(boundary, "-") if isinstance(value, str) else value)
            for name, value in headers.items()
        ],
        "body": None if body is None else body.replace(boundary.encode(), b"-"),
        "cookies": sorted((c.name, c.value) for c in vars(request)["_cookies"]),
        "jar": sorted((c.name, c.value) for c in session.cookies),
        "server": sorted(_headers(response)) if request.method != "HEAD" else None,
        "history": response.history,
    }


@pytest.mark.parametrize("number", range(len(_ARGUMENTS)))
@pytest.mark.parametrize("given", ["nothing", "settings"])
def test_requests_are_prepared_as_by_requests(number: int, given: str, app: AppServer) -> None:
    """Whatever is given, our Session sends the request that requests' own prepares."""
    arguments = _ARGUMENTS[number]
    seen = []
    for make in (requests.Session, ours.Session):
        with make() as session:
            if given == "settings":
                session.headers["X-Session"] = "1"
                session.headers["X-None"] = None  # type: ignore[assignment]  # as requests has it
                session.cookies.set("kept", "session's")
                session.auth = ("session", "secret")
            seen += [_sent(session, app.url, arguments) for _ in range(2)]
    assert seen[2:] == seen[:2]


@pytest.mark.parametrize(
    "arguments",
    [
        {"params": {"a": "1"}, "headers": {"X-A": "1"}, "timeout": 10, "auth": ("me", "secret")},
        {"cookies": {"c": "d"}, "verify": False},
        {"data": {"a": "1"}, "files": {"f": b"abc"}},
        {"json": {"a": 1}, "stream": True},
        {"data": b"abc", "proxies": {"https": "http://127.0.0.1:9"}},
    ],
    ids="+".join,
)
def test_what_takes_the_shorter_way(
    arguments: dict[str, Any], app: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keywords of most requests do not lead through requests' own Session."""
    monkeypatch.setattr(requests.Session, "request", None)
    with ours.Session() as session:
        assert session.post(f"{app.url}/anything", **arguments).ok


@BOTH
def test_wrong_keywords(make: Any, app: AppServer) -> None:
    """What cannot be sent is refused in requests' words, on every way."""
    with make() as session:
        for headers in ({"X-A": 5}, {"X-A": ["1"]}, {"X-A": " blank"}, {"X-A": "a\r\nb"}):
            with pytest.raises(requests.exceptions.InvalidHeader):
                session.get(f"{app.url}/anything", headers=headers)
        with pytest.raises(requests.exceptions.InvalidJSONError):
            session.post(f"{app.url}/anything", json={"a": float("nan")})


def test_one_shot_requests_share_nothing_but_connections(
    app: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A one-shot request begins with the settings of a new session, whatever the last one got."""
    first = ours.get(f"{app.url}/cookies/set?a=b", headers={"X-A": "1"}, allow_redirects=False)
    assert first.cookies.get_dict() == {"a": "b"}
    second = ours.get(f"{app.url}/anything")
    assert not {"Cookie", "X-A"} & _headers(second).keys()
    made = []
    init = requests.Session.__init__

    def counted(self: requests.Session) -> None:
        made.append(self)
        init(self)

    monkeypatch.setattr(requests.Session, "__init__", counted)
    assert ours.get(f"{app.url}/anything").json()["connection"] == second.json()["connection"]
    assert len(made) == 1


@BOTH
def test_proxies(make: Any, app: AppServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies are those of the request, the session, and the environment, as they are then."""
    nowhere = {"http": "http://127.0.0.1:9"}
    monkeypatch.delenv("no_proxy", raising=False)
    with make() as session:

        def is_by_proxy(**given: Any) -> bool:
            try:
                return not session.get(f"{app.url}/json", **given).ok
            except requests.exceptions.ProxyError:
                return True

        assert not is_by_proxy()
        assert is_by_proxy(proxies=nowhere)
        session.proxies = nowhere
        assert is_by_proxy()
        session.proxies = {}
        monkeypatch.setenv("Http_Proxy", "http://127.0.0.1:9")
        assert is_by_proxy()
        assert not is_by_proxy(proxies={"no_proxy": "127.0.0.1"})
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert not is_by_proxy()
        monkeypatch.delenv("no_proxy")
        session.trust_env = False
        assert not is_by_proxy()


@BOTH
def test_verify(make: Any, tls_app: AppServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """verify of a request counts more than the session's, also where it asks for the default."""
    url = f"{tls_app.url}/json"
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with make() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session.verify = False
        assert session.get(url).ok
        with pytest.raises(requests.exceptions.SSLError):
            session.get(url, verify=True)
        session.verify = True
        assert session.get(url, verify=False).ok
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "nowhere.pem")
        with pytest.raises(OSError, match=r"nowhere\.pem"):
            session.get(url, verify=True)
