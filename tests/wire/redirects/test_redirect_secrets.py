"""Redirects and credentials: whose win, how far they go, and what a downgrade to http costs."""

import ssl
from typing import Any

import pytest

import syncclient
from syncclient import CookieJar, Session
from tests.servers.raw import RawConnection, RawRequest, Script, StartRawServer

A_B = "Basic YTpi"
ME_PW = "Basic bWU6cHc="


def hops(*locations: str) -> Script:
    """Redirect the requests of one connection to these places, one after the other."""

    def script(conn: RawConnection) -> None:
        for location in locations:
            conn.read_request()
            conn.respond(status="302 Found", headers=[("Location", location)])
        while True:
            conn.read_request()
            conn.respond(b"here")

    return script


def authorizations(requests: list[RawRequest]) -> list[str]:
    return [request.header("Authorization") for request in requests]


@pytest.mark.parametrize("where", ["request", "session"])
def test_credentials_of_a_location_win_over_auth(raw_server: StartRawServer, where: str) -> None:
    """A redirect within the origin may name others; as in aiohttp, they hold from then on."""
    wire = raw_server(lambda conn: hops(wire.url.replace("//", "//me:pw@") + "/x", "/y")(conn))
    auth: Any = {"auth": ("a", "b")}
    of_session, of_request = (auth, {}) if where == "session" else ({}, auth)
    with Session(**of_session) as session:
        response = session.get(wire.url, **of_request)
        assert response.text() == "here"
        assert "pw" not in str(response.url)
    assert authorizations(wire.requests) == [A_B, ME_PW, ME_PW]


def test_credentials_of_a_location_elsewhere_are_used(raw_server: StartRawServer) -> None:
    """Another origin gets those its URL names, and never those meant for the first."""
    other = raw_server(hops("/x"))
    first = raw_server(hops(other.url.replace("//", "//me:pw@")))
    with Session() as session:
        session.get(first.url, auth=("a", "b")).read()
        session.get(first.url, headers={"Authorization": A_B}, allow_redirects=False).read()
    assert authorizations(other.requests) == [ME_PW, ME_PW]


def test_an_explicit_header_is_combined_with_no_other(raw_server: StartRawServer) -> None:
    """An Authorization header, the session's too, beside auth= or within its origin a Location's
    credentials is a ValueError, as in aiohttp."""
    wire = raw_server(lambda conn: hops(wire.url.replace("//", "//me:pw@"))(conn))
    with Session(headers={"Authorization": A_B}) as session:
        with pytest.raises(ValueError, match="auth cannot be combined"):
            session.get(wire.url, auth=("me", "pw"))
        assert wire.requests == []
        with pytest.raises(ValueError, match="Cannot combine") as caught:
            session.get(wire.url)
        assert "pw" not in str(caught.value)


def test_auth_follows_within_the_origin(raw_server: StartRawServer) -> None:
    """Each hop to the same server carries it, through middlewares of the user's as well."""
    seen: list[str] = []

    async def look(req: Any, handler: Any) -> Any:
        seen.append(req.headers["Authorization"])
        return await handler(req)

    wire = raw_server(hops("/x", "/y"))
    with Session(middlewares=[look]) as session:
        response = session.get(wire.url, auth=("a", "b"))
        assert response.text() == "here"
        assert response.request_info.headers["Authorization"] == A_B
    assert authorizations(wire.requests) == [A_B] * 3 == seen


def test_auth_does_not_come_back_from_another_origin(raw_server: StartRawServer) -> None:
    """Once a redirect has left the origin, no hop is authorised, not even one back to it."""
    first = raw_server(lambda conn: hops(other.url)(conn))
    other = raw_server(lambda conn: hops(f"{first.url}/back")(conn))
    with Session(auth=("a", "b")) as session:
        session.get(first.url, auth=("a", "b")).read()
        session.get(f"{first.url}/again", allow_redirects=False).read()
    assert authorizations(first.requests) == [A_B, "", A_B]
    assert authorizations(other.requests) == [""]


def test_auth_is_sent_with_a_websocket(raw_server: StartRawServer) -> None:
    """The handshake carries the credentials of the request, or else of the session."""
    wire = raw_server(hops())
    with Session(auth=("a", "b")) as session:
        for options in ({}, {"auth": ("me", "pw")}):
            given: Any = options
            with pytest.raises(syncclient.WSServerHandshakeError):
                session.ws_connect(wire.url, **given)
    assert authorizations(wire.requests) == [A_B, ME_PW]


def test_a_downgrade_is_followed_without_secrets(
    raw_server: StartRawServer, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """From https to http the origin changes: auth, Cookie and Secure cookies stay behind, even
    where the host is the same; the jar's other cookies and the caller's own headers go along."""
    plain = raw_server(hops())
    secure = raw_server(
        hops(plain.url.replace("127.0.0.1", "localhost") + "/landed"), tls=server_tls
    )
    start = secure.url.replace("127.0.0.1", "localhost")
    jar = CookieJar()
    jar.update_cookies_from_headers(["safe=1; Secure; Path=/", "open=1; Path=/"], start)
    with Session(cookie_jar=jar) as session:
        response = session.get(
            start, ssl=client_tls, auth=("a", "b"), cookies={"own": "1"}, headers={"X-Key": "k"}
        )
        assert (response.text(), response.url.scheme) == ("here", "http")
    (before,), (landed,) = secure.requests, plain.requests
    assert before.header("Authorization") == A_B
    assert {"safe=1", "open=1", "own=1"} == set(before.header("Cookie").split("; "))
    assert landed.header("Authorization") == ""
    assert landed.header("Cookie") == "open=1"
    assert landed.header("X-Key") == "k"


def test_a_downgrade_can_be_refused(
    raw_server: StartRawServer, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """A middleware sees each hop, and what it raises reaches the caller before a byte is sent."""
    plain = raw_server(hops())
    secure = raw_server(hops(plain.url), tls=server_tls)

    async def https_only(req: Any, handler: Any) -> Any:
        if req.url.scheme != "https":
            raise syncclient.ClientConnectionError(f"{req.url} is not encrypted")
        return await handler(req)

    with Session(middlewares=[https_only]) as session:
        with pytest.raises(syncclient.ClientConnectionError, match="is not encrypted"):
            session.get(secure.url, ssl=client_tls)
    assert plain.requests == []
