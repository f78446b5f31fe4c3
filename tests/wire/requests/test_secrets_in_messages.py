"""Passwords in URLs, well-formed or not: no message, repr, log line or traceback shows one."""

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

import syncclient
from syncclient import Session
from syncclient._cli.urls import full_url
from syncclient._models import redacted_url
from syncclient.testing import MockTransport, mount
from tests.servers.raw import RawConnection, StartRawServer

SECRET = "s3cr3t"

#: How a program may come to write the password of a URL; 127.0.0.1:1 refuses connections.
FORMS = {
    "proper": "http://u:s3cr3t@127.0.0.1:1/x",
    "as-user": "http://s3cr3t@127.0.0.1:1/",
    "no-scheme": "u:s3cr3t@127.0.0.1:1/",
    "no-scheme-as-user": "s3cr3t@127.0.0.1:1",
    "scheme-relative": "//u:s3cr3t@127.0.0.1:1/",
    "one-slash": "http:/u:s3cr3t@127.0.0.1:1/",
    "no-slash": "http:u:s3cr3t@127.0.0.1:1/",
    "three-slashes": "http:///u:s3cr3t@127.0.0.1:1/",
    "backslashes": "http:\\\\u:s3cr3t@127.0.0.1:1/",
    "no-colon": "http//u:s3cr3t@127.0.0.1:1/",
    "misspelt": "htp://u:s3cr3t@127.0.0.1:1/",
    "other-scheme": "ftp://u:s3cr3t@127.0.0.1:1/",
    "blank-before": " http://u:s3cr3t@127.0.0.1:1/",
    "quoted": '"http://u:s3cr3t@127.0.0.1:1/"',
    "no-host": "http://u:s3cr3t@/x",
    "bad-port": "http://u:s3cr3t@127.0.0.1:port/",
    "great-port": "http://u:s3cr3t@127.0.0.1:99999/",
    "bad-host": "http://u:s3cr3t@[::1/",
    "blank-in-host": "http://u:s3cr3t@a b/",
    "bad-label": "http://u:s3cr3t@a..b:1/",
    "slash": "http://u:s3cr3t/x@127.0.0.1:1/",
    "slash-before": "http://u:x/s3cr3t@127.0.0.1:1/",
    "slash-after-digits": "http://127.0.0.1:1/s3cr3t@127.0.0.1:1/",
    "question": "http://u:s3cr3t?x@127.0.0.1:1/",
    "hash": "http://u:s3cr3t#x@127.0.0.1:1/",
    "at": "http://u:x@s3cr3t@127.0.0.1:1/",
    "at-and-slash": "http://u:x@127.0.0.1:1/s3cr3t@127.0.0.1:1/",
    "backslash": "http://u:s3cr3t\\x@127.0.0.1:1/",
    "percent": "http://u:s3cr3t%@127.0.0.1:1/",
    "percent-encoded": "http://u:s3cr3t%2Fx@127.0.0.1:1/",
    "encoded-at": "http://u:s3cr3t%40127.0.0.1:1/",
    "blank": "http://u:s3cr3t x@127.0.0.1:1/",
    "line-break": "http://u:s3cr3t\n@127.0.0.1:1/",
    "bracket": "http://u:s3cr3t[@127.0.0.1:1/",
    "fullwidth-at": "http://u:s3cr3t\uff20127.0.0.1:1/",
    "unix": "http+unix://u:s3cr3t@/x",
    "ws": "ws://u:s3cr3t@127.0.0.1:1/",
}


def _session(url: str, do: Callable[[Session], Any]) -> None:
    with Session(timeout=5) as session:
        do(session)


def _base_url(url: str) -> None:
    with Session(url, timeout=5) as session:
        raise AssertionError(repr(session))


def _proxy(url: str) -> None:
    _session(url, lambda s: s.get("http://127.0.0.1:1/", proxy=url))


def _session_proxy(url: str) -> None:
    with Session(proxy=url, timeout=5) as session:
        assert SECRET not in repr(session)
        session.get("http://127.0.0.1:1/")


def _bearer(url: str) -> None:
    raise AssertionError(repr(syncclient.BearerAuth(lambda: "t", origin=url)))


def _socks(url: str) -> None:
    raise AssertionError(repr(syncclient.SocksConnector(url)))


def _submit(url: str) -> None:
    _session(url, lambda s: s.submit("GET", url).result(10))


def _aio(url: str) -> None:
    async def ask(session: Session) -> None:
        await session.aio.get(url)

    _session(url, lambda s: asyncio.run(ask(s)))


def _request(url: str) -> None:
    raise AssertionError(repr(syncclient.Request("GET", url)))


def _encoded(url: str) -> None:
    try:
        encoded = URL(url, encoded=True)
    except ValueError:
        return  # yarl's own words, before any of ours
    _session(url, lambda s: s.get(encoded))


def _in_middleware(url: str) -> None:
    def lead(request: Any, handler: Any) -> Any:
        request.url = url
        assert SECRET not in repr(request)
        return handler(request)

    with Session(middlewares=[lead], timeout=5) as session:
        session.get("http://127.0.0.1:1/")


def _status_of(url: str) -> None:
    """Ask for a URL that a middleware sets, and that is answered: the status raises."""

    def lead(request: Any, handler: Any) -> Any:
        request.url = url
        return handler(request)

    with mount(MockTransport(lambda request: 404)):
        with Session(middlewares=[lead], timeout=5) as session:
            session.get("http://a.test/", raise_for_status=True)


def _full_url(url: str) -> None:
    """Ask for what the command line makes of it."""
    _session(full_url(url), lambda s: s.get(full_url(url)))


def _cookies(url: str) -> None:
    jar = syncclient.CookieJar()
    for ask in (
        lambda: jar.update_cookies({"a": "b"}, url),
        lambda: jar.update_cookies_from_headers(["a=b"], url),
        lambda: jar.filter_cookies(url),
        lambda: syncclient.CookieJar(treat_as_secure_origin=url),
    ):
        caught: list[BaseException] = []
        try:
            ask()
        except ValueError as exc:
            caught.append(exc)
        assert SECRET not in "".join(map(_chain, caught))


ENTRIES: dict[str, Callable[[str], None]] = {
    "get": lambda url: _session(url, lambda s: s.get(url)),
    "module": lambda url: syncclient.get(url, timeout=5).close(),
    "retry": lambda url: _session(
        url, lambda s: s.get(url, retry=syncclient.Retry(2, backoff=0.001))
    ),
    "deadline": lambda url: _session(url, lambda s: _past_deadline(s, url)),
    "encoded": _encoded,
    "base_url": _base_url,
    "submit": _submit,
    "map": lambda url: _session(url, lambda s: list(s.map([url]))),
    "request": _request,
    "sse": lambda url: _session(url, lambda s: s.sse(url, reconnects=0)),
    "download": lambda url: _session(url, lambda s: s.download(url, "nowhere", retries=0)),
    "ws_connect": lambda url: _session(url, lambda s: s.ws_connect(url)),
    "aio": _aio,
    "proxy": _proxy,
    "session-proxy": _session_proxy,
    "bearer": _bearer,
    "socks": _socks,
    "middleware": _in_middleware,
    "status": _status_of,
    "cookies": _cookies,
    "command-line": _full_url,
}


def _past_deadline(session: Session, url: str) -> None:
    with syncclient.timeout(1e-9):
        session.get(url)


def _chain(error: BaseException | None, *, fields: bool = True) -> str:
    """Every text that hangs on an error: suppressed contexts too, and with `fields` its values."""
    texts: list[str] = []
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        texts.append(str(each))
        if fields:
            texts += [repr(each), repr(each.args), repr(vars(each))]
        todo += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    return "\n".join(texts)


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("form", FORMS)
def test_no_message_shows_a_password(
    form: str,
    entry: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Whatever is wrong with a URL and wherever it is given, errors and logs leave its password
    out: in the text, in the fields, and in all that is chained to them."""
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG, logger="syncclient")
    try:
        ENTRIES[entry](FORMS[form])
    except Exception as exc:
        text = _chain(exc) + "".join(traceback.format_exception(exc))
        assert SECRET not in text
    assert SECRET not in caplog.text


#: Forms that a program cannot have written into a header.
_NO_HEADERS = frozenset({"line-break", "fullwidth-at", "blank-before"})


@pytest.mark.parametrize("entry", ["get", "submit", "map", "sse", "download", "ws_connect", "aio"])
@pytest.mark.parametrize("form", sorted(FORMS.keys() - _NO_HEADERS))
def test_no_redirect_shows_a_password(
    raw_server: StartRawServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    entry: str,
) -> None:
    """A Location with a password, well-formed or not, gives it to no message either."""
    monkeypatch.chdir(tmp_path)

    def script(conn: RawConnection) -> None:
        while True:
            conn.read_request()
            conn.respond(status="302 Found", headers=[("Location", FORMS[form])])

    wire = raw_server(script)
    try:
        ENTRIES[entry](wire.url + "/")
    except Exception as exc:
        # Without the fields: some forms are relative, and the URLs in the history hold them.
        text = _chain(exc, fields=False) + "".join(traceback.format_exception(exc))
        assert SECRET not in text


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
@pytest.mark.parametrize("form", sorted(FORMS.keys() - {"unix", "ws"}))
def test_no_proxy_of_the_environment_shows_its_password(
    monkeypatch: pytest.MonkeyPatch, form: str, variable: str
) -> None:
    """What a variable holds is not repeated, be it the URL of a proxy or not."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(variable, FORMS[form])
    with Session(trust_env=True, timeout=5) as session:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - any of them must be clean
            session.get("http://127.0.0.1:1/")
    assert SECRET not in _chain(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a.test/b?c=d#e", "http://a.test/b?c=d#e"),
        ("http://u:p@a.test/b", "http://a.test/b"),
        ("http://a.test/@u/b", "http://a.test/@u/b"),
        ("http://a.test/?mail=u@b.test", "http://a.test/?mail=u@b.test"),
        ("http://a.test:12/b@c", "http://a.test:12/[redacted]"),
        ("http://a.test/http://u:p@b.test/", "http://a.test/[redacted]"),
        ("http://[::1]:8/b", "http://[::1]:8/b"),
        ("http+unix://%2Frun%2Fa.sock/b", "http+unix://%2Frun%2Fa.sock/b"),
        ("people/@me", "people/@me"),
        ("/@me", "/@me"),
        ("u:p@a.test", "a.test"),
        ("http:/u:p@a.test", "http:/a.test"),
        ("http://u:p/q@a.test/b", "http://a.test/b"),
        ("", ""),
    ],
)
def test_what_is_left_of_a_url(url: str, shown: str) -> None:
    """Only the credentials go, unless it is in doubt where they end."""
    assert redacted_url(url) == shown


def test_what_holds_a_url_shows_it_without_credentials() -> None:
    """Each repr names the server or the proxy, and nothing of who uses it."""
    url = "https://u:s3cr3t@a.test/b/"
    with Session(url, proxy=url) as session:
        shown = [
            repr(session),
            repr(session.connector),
            repr(session.with_options(timeout=1)),
            repr(syncclient.BearerAuth(lambda: "t", origin=url)),
            repr(syncclient.SocksConnector("socks5://u:s3cr3t@a.test")),
            repr(syncclient.Request("GET", url)),
        ]
    assert SECRET not in str(shown)
    assert shown[0] == "<Session https://a.test/b/>"
    assert shown[3] == "<BearerAuth for https://a.test:443>"
