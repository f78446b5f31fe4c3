"""Cookies that come with a 401 which a middleware answers: kept, and sent at once."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from requests.auth import HTTPDigestAuth

from syncclient import BearerAuth, CookieJar, DigestAuthMiddleware, DummyCookieJar, Session
from tests.servers.raw import RawConnection, StartRawServer

TOKENS = ["new", "old"]


def login(conn: RawConnection) -> None:
    """Answer with the cookies of a request that is authorised; ask others to be, by a cookie."""
    while True:
        request = conn.read_request()
        said = request.header("Authorization")
        if said.startswith("Digest ") or said == "Bearer new":
            conn.respond("; ".join(v for n, v in request.headers if n == "Cookie").encode())
        else:
            headers = [
                ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"'),
                ("Set-Cookie", "sid=a==,b; Path=/"),
            ]
            conn.respond(status="401 Unauthorized", headers=headers)


def bearer() -> BearerAuth:
    tokens = list(TOKENS)
    return BearerAuth(tokens.pop)


def digest() -> DigestAuthMiddleware:
    return DigestAuthMiddleware("u", "p")


@pytest.mark.parametrize("make", [digest, bearer])
@pytest.mark.parametrize("data", [None, b"body"], ids=["GET", "POST"])
def test_cookies_of_a_challenge(raw_server: StartRawServer, make: Any, data: Any) -> None:
    """As in requests and httpx: the second request has them, and so have later ones."""
    url = raw_server(login).url
    method = "GET" if data is None else "POST"
    with Session(middlewares=[make()]) as session:
        assert session.request(method, url, data=data).read() == b"sid=a==,b"
        assert session.get(url).read() == b"sid=a==,b"
        assert [cookie.key for cookie in session.cookie_jar] == ["sid"]
    assert requests.request(
        method, url, data=data, auth=HTTPDigestAuth("u", "p"), timeout=5
    ).content == (b"sid=a==,b")
    with httpx.Client(auth=httpx.DigestAuth("u", "p")) as client:
        assert client.request(method, url, content=data).content == b"sid=a==,b"


@pytest.mark.parametrize("make", [digest, bearer])
def test_they_go_beside_the_cookies_that_are_there(raw_server: StartRawServer, make: Any) -> None:
    """Those of the jar, of cookies= and of a header stay; one of the same name is replaced."""
    url = raw_server(login).url
    jar = CookieJar()
    jar.update_cookies({"kept": "1", "sid": "old"}, url)
    with Session(middlewares=[make()], cookie_jar=jar) as session:
        response = session.get(url, cookies={"own": "2"}, headers={"Cookie": "said=3"})
        assert set(response.text().split("; ")) == {"kept=1", "sid=a==,b", "own=2", "said=3"}


def test_jars_of_other_kinds(raw_server: StartRawServer) -> None:
    """A session without cookies sends none; a jar of aiohttp's follows its own rules."""
    url = raw_server(login).url
    with Session(middlewares=[digest()], cookie_jar=DummyCookieJar()) as session:
        assert session.get(url).read() == b""

    async def make() -> aiohttp.CookieJar:
        return aiohttp.CookieJar(unsafe=True, quote_cookie=False)  # wants a running loop

    with Session(middlewares=[digest()], cookie_jar=asyncio.run(make())) as session:
        assert session.get(url).read().startswith(b"sid=a==")
