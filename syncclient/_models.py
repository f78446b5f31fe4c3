"""The values that cross between the threads. Immutable, so that both sides may hold them."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie
from typing import NamedTuple, cast

from aiohttp import HttpVersion, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

#: Headers whose values are secrets.
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class Head(NamedTuple):
    """All there is of a response before its body. A tuple, since one is made per request."""

    method: str
    url: URL
    real_url: URL
    status: int
    reason: str | None
    version: HttpVersion | None
    headers: CIMultiDictProxy[str]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    request_info: RequestInfo
    cookies: SimpleCookie | None
    history: tuple[Head, ...]


class Attempt(NamedTuple):
    """One attempt at a request; see ``Retry``."""

    #: Counted from 1.
    number: int
    #: The status of its response; None where there was none.
    status: int | None
    #: The name of the error's class, and the error's message; empty where there was none.
    error: str
    message: str
    #: How long it took, in seconds.
    seconds: float


class Timings(NamedTuple):
    """Where the time of a request went, in seconds; see ``timings=`` of ``Session``.

    None stands for what did not occur: on a connection that is used again there is no look-up,
    no connecting and no TLS. Redirects add up; of several attempts only the last one counts.
    """

    #: Waiting for a free connection of the pool.
    pool: float | None
    #: Looking up the name of the host; next to nothing where the cache has it.
    dns: float | None
    #: Connecting, and what a proxy takes for it.
    connect: float | None
    #: The TLS handshake, and the reading of the certificates to trust before the first one.
    tls: float | None
    #: Sending the body, where it did not go out at once with the head.
    send: float | None
    #: Waiting for the response: until the first byte after all was sent.
    wait: float | None
    #: From the head to the end of the body, the pauses of its reader included; None until the
    #: body has been read to its end.
    body: float | None
    #: In middlewares that block or wait, but for what their handlers take.
    middleware: float | None
    #: All of it: until the end of the body, or to its head until that end is reached.
    total: float


class Reply(NamedTuple):
    """A head, and the body where that had arrived with it."""

    head: Head
    body: bytes | None
    #: All attempts, where there might have been more than one.
    attempts: tuple[Attempt, ...] = ()
    #: Where that was asked for.
    timings: Timings | None = None


_USERINFO = re.compile(r"(?<=//)[^/?#]*@")


def redacted_url(url: URL) -> str:
    """Return ``url`` as text for a message: without the credentials it may hold."""
    if url.raw_user is None and url.raw_password is None:
        return str(url)
    return str(url.with_user(None))


def redacted_text(url: str) -> str:
    """Return what was meant as a URL, and may be none, without the credentials it may hold."""
    return _USERINFO.sub("", url)


def redacted_headers(headers: CIMultiDictProxy[str] | CIMultiDict[str]) -> CIMultiDict[str]:
    """Return a copy of ``headers`` for a message: without the secrets they may hold."""
    return CIMultiDict(
        (name, "[redacted]" if name.lower() in SECRET_HEADERS else value)
        for name, value in headers.items()
    )


def redacted_info(info: RequestInfo) -> RequestInfo:
    """Return a copy of ``info`` for an error: without secrets, and picklable."""
    headers = cast("CIMultiDictProxy[str]", redacted_headers(info.headers))
    return RequestInfo(info.url, info.method, headers, info.real_url)


def redacted_head(head: Head) -> Head:
    """Return a copy of ``head`` for the history of an error: without secrets, and picklable."""
    return head._replace(
        # A proxy, which the engine's are, cannot be pickled.
        headers=cast("CIMultiDictProxy[str]", redacted_headers(head.headers)),
        raw_headers=tuple(
            (name, b"[redacted]" if name.decode("latin-1").lower() in SECRET_HEADERS else value)
            for name, value in head.raw_headers
        ),
        request_info=redacted_info(head.request_info),
        cookies=None,
        history=(),
    )
