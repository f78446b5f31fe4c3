"""What responses, requests and sessions show of themselves: curl's command, HTML, repr."""

import asyncio
import json
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any

import pytest

import syncclient
from syncclient import FormData, Request, Session
from tests.servers.process import AppServer
from tests.servers.raw import RawConnection, StartRawServer

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def by_curl(command: str) -> Any:
    """What the echoing server says of a command, run by a shell."""
    ran = subprocess.run(["sh", "-c", command], stdout=-1, stderr=-1, timeout=60, check=True)
    return json.loads(ran.stdout)


BODIES: list[dict[str, Any]] = [
    {"json": {"a": [1, "it's \u00e9"]}},
    {"data": {"a": "1&2", "b": "x y"}},
    {"data": "text\nwith lines"},
    {"data": b"\x00\xff%d"},
    {"data": b"raw", "headers": {"Content-Type": "text/x"}},
    {"params": {"q": "x y"}, "headers": {"X-One": "a b"}, "cookies": {"c": "d"}},
    {"auth": ("ada", "p w")},
]


@needs_curl
@pytest.mark.parametrize("options", BODIES)
def test_curl_sends_what_was_sent(app: AppServer, session: Session, options: Any) -> None:
    """The command of a response, and that of a Request, make curl send the same."""
    url = f"{app.url}/anything"
    method = "PUT" if {"json", "data"} & options.keys() else "GET"
    with session.request(method, url, **options) as response:
        ours = response.json()
        commands = [response.as_curl(secrets=True)]
    commands.append(Request(method, url, **options).as_curl(secrets=True))
    for command in commands:
        theirs = by_curl(command)
        for name in ("method", "args", "form", "json", "text"):
            assert theirs[name] == ours[name], command
        for name in ("Content-Type", "Authorization", "X-One", "Cookie"):
            got, wanted = (dict(echo["headers"]).get(name) for echo in (theirs, ours))
            assert got == wanted, command


@needs_curl
def test_curl_of_every_way(app: AppServer, session: Session) -> None:
    """submit(), map(), the one-shot functions and aio keep what they sent."""

    async def by_aio() -> syncclient.AioResponse:
        response = await session.aio.post(f"{app.url}/anything", json=[4])
        await response.read()
        return response

    url = f"{app.url}/anything"
    responses: list[Any] = [
        session.submit("POST", url, json=[1]).result(),
        *session.map([Request("POST", url, json=[2])]),
        syncclient.post(url, json=[3]),
        asyncio.run(by_aio()),
    ]
    assert [by_curl(each.as_curl())["json"] for each in responses] == [[1], [2], [3], [4]]


def test_secrets_are_left_out_of_curl(app: AppServer, session: Session) -> None:
    """Passwords, tokens and cookies are in the command only if they are asked for."""
    options: dict[str, Any] = {
        "params": {"token": "hunter2"},
        "headers": {"X-Api-Key": "hunter2"},
        "cookies": {"c": "hunter2"},
        "auth": ("ada", "hunter2"),
        "json": {"user": {"password": "hunter2"}},
    }
    with session.post(f"{app.url}/anything", **options) as response:
        shown = [response.as_curl(), Request("POST", f"{app.url}/", **options).as_curl()]
        told = response.as_curl(secrets=True)
    for command in shown:
        assert "hunter2" not in command
        assert "[redacted]" in command
    assert "hunter2" in told


def test_a_body_that_is_not_kept(app: AppServer, session: Session) -> None:
    """A generator, a file or a multipart form stands in the command by a name to fill in."""
    form = FormData(default_to_multipart=True)
    form.add_field("a", "1")
    for data in (iter([b"a"]), form):
        with session.post(f"{app.url}/anything", data=data) as response:
            assert "--data-binary @BODY" in response.as_curl()


def test_curl_after_a_redirect(app: AppServer, session: Session) -> None:
    """A body that a redirect has dropped is not in the command."""
    with session.post(f"{app.url}/redirect/1", data=b"x") as response:
        assert response.method == "GET"
        assert "data" not in response.as_curl()


def test_a_relative_url_has_no_command() -> None:
    """A Request that depends on its session says so."""
    with pytest.raises(ValueError, match="relative"):
        Request("GET", "/a").as_curl()


class Text(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


ALLOWED = {"div", "span", "b", "code", "details", "summary", "table", "tr", "td"}


def test_a_response_in_a_notebook(app: AppServer, session: Session) -> None:
    """Status, URL, a bar of the timings and the headers are shown, and no secret."""
    options: dict[str, Any] = {"auth": ("ada", "hunter2"), "params": {"key": "hunter2"}}
    with session.get(f"{app.url}/anything", timings=True, **options) as response:
        response.read()
        page = Text(response._repr_html_())
    assert page.tags <= ALLOWED
    for part in ("200 OK", "GET http://", "wait", "total", "Content-Type", "Authorization"):
        assert part in page.text
    assert "hunter2" not in page.text


def test_html_of_a_server_is_not_obeyed(raw_server: StartRawServer, session: Session) -> None:
    """What a server puts into a reason, a header or a Location is text, and no markup."""
    nasty = "<script>alert(1)</script>\"'<img src=x>"

    def redirect(conn: RawConnection) -> None:
        conn.read_request()
        conn.respond(b"", status="302 Found", headers=[("Location", "/<b>'\"")])

    def answer(conn: RawConnection) -> None:
        conn.read_request()
        conn.send(f"HTTP/1.1 200 {nasty}\r\nX-A: {nasty}\r\nContent-Length: 0\r\n\r\n".encode())

    with session.get(raw_server(redirect, answer).url, timings=True) as response:
        page = Text(response._repr_html_())
    assert page.tags <= ALLOWED
    assert page.text.count(nasty) == 2


def test_a_session_in_a_notebook(app: AppServer) -> None:
    """Settings and the pool are shown, without secrets; a closed session says that it is."""
    settings: dict[str, Any] = {"headers": {"X-Token": "hunter2", "X-B": "<b>&"}, "timeout": 7}
    with Session(app.url, **settings) as session:
        assert "connections: 0 in use" in Text(session._repr_html_()).text
        session.get("/get").read()
        page = Text(session._repr_html_())
        with session.get("/stream/3"):
            pass
    assert page.tags <= ALLOWED
    for part in ("total 7 s", "1 idle", app.url, "<b>&"):
        assert part in page.text
    assert "hunter2" not in page.text
    assert "(closed)" in Text(session._repr_html_()).text
    assert repr(session).endswith("(closed)>")
