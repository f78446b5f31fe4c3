"""Credentials of every kind, in every way of asking: another port is another server."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import syncclient
from syncclient import BearerAuth, DigestAuthMiddleware, Session
from tests.servers.raw import RawRequest, StartRawServer
from tests.wire.redirects.test_redirect_secrets import hops

BASIC = "Basic bWU6cHc="

#: What the session is made with, what the request is, and what stands before the URL's host.
KINDS: dict[str, tuple[Callable[[], dict[str, Any]], dict[str, Any], str]] = {
    "auth": (dict, {"auth": ("me", "pw")}, ""),
    "session-auth": (lambda: {"auth": ("me", "pw")}, {}, ""),
    "url": (dict, {}, "me:pw@"),
    "headers": (
        dict,
        {"headers": {"Authorization": BASIC, "Cookie": "a=b", "Proxy-Authorization": BASIC}},
        "",
    ),
    "session-headers": (lambda: {"headers": {"Authorization": BASIC, "Cookie": "a=b"}}, {}, ""),
    "bearer": (lambda: {"middlewares": [BearerAuth(lambda: "t")]}, {}, ""),
    "digest": (lambda: {"middlewares": [DigestAuthMiddleware("me", "pw")]}, {}, ""),
    "blocking": (
        lambda: {"auth": ("me", "pw"), "middlewares": [lambda request, go_on: go_on(request)]},
        {},
        "",
    ),
}


async def _aio(session: Session, url: str, options: dict[str, Any]) -> None:
    async with session.aio.get(url, **options) as response:
        await response.read()


def _sse(session: Session, url: str, options: dict[str, Any]) -> None:
    with pytest.raises(syncclient.ClientResponseError):
        session.sse(url, reconnects=0, **options)


def _ws(session: Session, url: str, options: dict[str, Any]) -> None:
    with pytest.raises(syncclient.WSServerHandshakeError):
        session.ws_connect(url, **options)


WAYS: dict[str, Callable[[Session, str, dict[str, Any]], object]] = {
    "get": lambda session, url, options: session.get(url, **options).read(),
    "submit": lambda session, url, options: session.submit("GET", url, **options).result(10).read(),
    "map": lambda session, url, options: list(session.map([url], **options)),
    "aio": lambda session, url, options: asyncio.run(_aio(session, url, options)),
    "sse": _sse,
    "ws_connect": _ws,
    "retry": lambda session, url, options: session.get(
        url, retry=syncclient.Retry(1), **options
    ).read(),
}

_SECRET = ("Authorization", "Cookie", "Proxy-Authorization")


def secrets_of(requests: list[RawRequest]) -> list[list[str]]:
    return [[each for name in _SECRET if (each := request.header(name))] for request in requests]


@pytest.mark.parametrize("way", [*WAYS, "download"])
@pytest.mark.parametrize("kind", KINDS)
def test_another_port_gets_no_credentials(
    raw_server: StartRawServer, tmp_path: Path, kind: str, way: str
) -> None:
    """A redirect to another port takes none along, and back home they are not taken up again."""
    of_session, of_request, userinfo = KINDS[kind]
    other = raw_server(lambda conn: hops(f"{first.url}/home")(conn))
    first = raw_server(lambda conn: hops(other.url)(conn))
    url = first.url.replace("//", f"//{userinfo}")
    with Session(timeout=20, **of_session()) as session:
        if way == "download":
            session.download(url, tmp_path / "f", **of_request)
        else:
            WAYS[way](session, url, of_request)
    assert secrets_of(other.requests) == [[]]
    sent = secrets_of(first.requests)
    assert len(sent) == 2
    if kind == "bearer":
        assert sent == [["Bearer t"], ["Bearer t"]]  # each hop to its origin is authorised
    elif kind == "digest":
        assert sent == [[], []]  # it is sent to those only that ask for it
    else:
        assert BASIC in sent[0]
        assert sent[1] == []
