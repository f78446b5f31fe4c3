"""Cookies of the one-shot functions: they last as long as the redirects of one call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests

import syncclient
from tests.servers.raw import RawConnection, StartRawServer


def login(conn: RawConnection) -> None:
    """Answer with the Cookie header; on the way to /me set cookies, by two redirects."""
    while True:
        request = conn.read_request()
        if request.target == "/login":
            headers = [("Location", "/next"), ("Set-Cookie", "a=b==,c; Path=/")]
            conn.respond(status="302 Found", headers=headers)
        elif request.target == "/next":
            headers = [("Location", "/me"), ("Set-Cookie", "d=1")]
            conn.respond(status="307 Temporary Redirect", headers=headers)
        else:
            conn.respond(request.header("Cookie").encode())


@pytest.mark.parametrize("body", [None, b"x", iter([b"x"])], ids=["none", "bytes", "iterator"])
def test_cookies_of_a_redirect_go_to_where_it_leads(raw_server: StartRawServer, body: Any) -> None:
    """As in requests and httpx, octet for octet; the next call has none of them."""
    url = raw_server(login).url
    expected = b"a=b==,c; d=1"
    assert syncclient.get(f"{url}/login").read() == expected
    assert requests.get(f"{url}/login").content == expected
    assert httpx.get(f"{url}/login", follow_redirects=True).content == expected
    assert syncclient.get(f"{url}/me").read() == b""
    response = syncclient.request("POST", f"{url}/login", data=body, cookies={"own": "2"})
    assert response.read() == b"a=b==,c; d=1; own=2"


def test_a_page_that_redirects_to_itself_until_its_cookie_comes(
    raw_server: StartRawServer,
) -> None:
    """The redirects end, for a blocking middleware of the call as well."""

    def script(conn: RawConnection) -> None:
        while True:
            if conn.read_request().header("Cookie"):
                conn.respond(b"here")
            else:
                headers = [("Location", "/"), ("Set-Cookie", "seen=1")]
                conn.respond(status="302 Found", headers=headers)

    url = raw_server(script).url
    assert syncclient.get(url).read() == b"here"
    passed: list[str] = []

    def middleware(request: Any, handler: Any) -> Any:
        passed.append(request.headers.get("Cookie", ""))
        return handler(request)

    assert syncclient.get(url, middlewares=[middleware]).read() == b"here"
    assert passed == ["", "seen=1"]


def test_cookies_of_one_call_are_not_those_of_another(raw_server: StartRawServer) -> None:
    """Calls at the same time, and cookies of another host on the way, stay apart."""

    def other(conn: RawConnection) -> None:
        while True:
            conn.respond(conn.read_request().header("Cookie").encode())

    elsewhere = raw_server(other, host="127.0.0.2").url

    def script(conn: RawConnection) -> None:
        while True:
            request = conn.read_request()
            if request.target.startswith("/set/"):
                number = request.target.removeprefix("/set/")
                headers = [("Location", "/me"), ("Set-Cookie", f"n={number}; Path=/")]
                conn.respond(status="302 Found", headers=headers)
            elif request.target == "/away":
                headers = [("Location", elsewhere), ("Set-Cookie", "n=1; Path=/")]
                conn.respond(status="302 Found", headers=headers)
            else:
                conn.respond(request.header("Cookie").encode())

    url = raw_server(script).url

    def fetch(number: int) -> bytes:
        return syncclient.get(f"{url}/set/{number}").read()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(fetch, range(40))) == [f"n={n}".encode() for n in range(40)]
    assert syncclient.get(f"{url}/away").read() == b""
