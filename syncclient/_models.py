"""The values that cross between the threads. Immutable, so that both sides may hold them."""

from __future__ import annotations

import re
from typing import NamedTuple, cast

from aiohttp import HttpVersion, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

#: Headers whose values are secrets.
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


class Head(NamedTuple):
    """The head of a response. A tuple, since every request makes one."""

    method: str
    url: URL
    real_url: URL
    status: int
    reason: str | None
    version: HttpVersion | None
    headers: CIMultiDictProxy[str]
    raw_headers: tuple[tuple[bytes, bytes], ...]
    request_info: RequestInfo
    history: tuple[Head, ...]
    #: Whether the body comes from an ``HTTPCache``.
    from_cache: bool = False


class ExactHead(NamedTuple):
    """The exact headers of a request, in this order, and no others."""

    headers: CIMultiDict[str]
    #: The whole head, if aiohttp would not write it unchanged: it has octets that are not UTF-8, or
    #: a target that no URL can express.
    octets: bytes | None


class Attempt(NamedTuple):
    """One attempt at a request; see ``Retry``."""

    #: Counted from 1.
    number: int
    #: The status of its response; None if there was none.
    status: int | None
    #: The name of the error's class, and the error's message; empty without an error.
    error: str
    message: str
    #: How long it took, in seconds.
    seconds: float


class Timings(NamedTuple):
    """The time that a request spent in each phase, in seconds; see ``timings=`` of ``Session``.

    None means that the phase did not occur: a reused connection needs no look-up, no connecting
    and no TLS. Redirects add up; of several attempts only the last one counts.
    """

    #: Waiting for a free connection of the pool.
    pool: float | None
    #: Looking up the name of the host; almost nothing if the cache has it.
    dns: float | None
    #: Connecting, including the work of a proxy.
    connect: float | None
    #: The TLS handshake, and the reading of the certificates to trust before the first one.
    tls: float | None
    #: Sending the body, unless it was sent together with the head.
    send: float | None
    #: Waiting for the first byte of the response, after everything was sent.
    wait: float | None
    #: From the head to the end of the body, the pauses of its reader included; None until the
    #: body has been read to its end.
    body: float | None
    #: In middlewares that block or wait, without the time of their handlers.
    middleware: float | None
    #: All of it: until the end of the body, or to its head until that end is reached.
    total: float


class Reply(NamedTuple):
    """A head, and the body where that had arrived with it."""

    head: Head
    body: bytes | None
    #: Seconds from the beginning of the request to this head; None where that is not known.
    elapsed: float | None = None
    #: All attempts, where there might have been more than one.
    attempts: tuple[Attempt, ...] = ()
    #: Where that was asked for.
    timings: Timings | None = None
    #: How many bytes were sent for the body, where it was compressed.
    compressed: int | None = None


#: What a URL begins with, also one that is misspelt: http://, http:/, http:, http:\\\\, //.
_SCHEME = re.compile(
    r"\s*(?:(?:(?:https?|wss?)(?:\+unix)?|ftp|socks(?:4a?|5h?)):[/\\]*|[a-z][a-z0-9+.-]*:[/\\]+"
    r"|[:/\\]+)?",
    re.IGNORECASE,
)
_WELL_FORMED = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HOST = re.compile(r"(?:\[[^\[\]@]*\]|[^:\[\]@]+)(?P<port>:\d*)?")
_END_OF_AUTHORITY = re.compile(r"[/?#\\]|$")
#: The end of the credentials, also where it has been quoted, or is a character that looks like it.
_AT = re.compile(r"@|%40|\uff20|\ufe6b", re.IGNORECASE)


def redacted_url(url: URL | str) -> str:
    """Return a URL, or an attempt at one, as text for a message: without credentials.

    All messages use this function to show URLs. It reads the text, because many of them cannot be
    parsed: a password may contain any character that should have been quoted, and the scheme may
    be misspelt or missing. In doubt it hides more than the credentials.
    """
    try:
        text = str(url)
    except ValueError:  # a URL(..., encoded=True), which yarl has not parsed before
        return f"{getattr(url, 'scheme', '')}:[redacted]"
    ats = list(_AT.finditer(text))
    if not ats:
        return text
    begin = _SCHEME.match(text)
    assert begin is not None  # it may match nothing
    scheme, rest = begin[0], text[begin.end() :]
    end = _END_OF_AUTHORITY.search(rest)
    assert end is not None  # the end of the text matches
    authority, path = rest[: end.start()], rest[end.start() :]
    userinfo, _, host = authority.rpartition("@")
    if _WELL_FORMED.fullmatch(scheme) and (match := _HOST.fullmatch(host)) is not None:
        before, at, _ = path.rpartition("@")
        if not at or not (userinfo or match["port"] or ":" in before):
            return f"{scheme}{host}{path}"
        # http://user:12/34@host: this may be a port and a path, or a password with a slash.
        # And http://http/user:password@host is what a misspelt URL becomes that is joined.
        return f"{scheme}{host}/[redacted]"
    before = text[: ats[-1].start()]
    if scheme.strip() in ("", "/") and ":" not in before and "/" in before:
        return text  # a relative URL such as people/@me
    return scheme + text[ats[-1].end() :]


_USERINFO = re.compile(r"(?<=//)[^/?#]*@")


def redacted_text(text: str) -> str:
    """Return ``text``, which may quote URLs, without the credentials in them."""
    return _USERINFO.sub("", text)


def redacted_headers(headers: CIMultiDictProxy[str] | CIMultiDict[str]) -> CIMultiDict[str]:
    """Return a copy of ``headers`` for a message, without the secrets in them."""
    return CIMultiDict((name, _redacted_value(name, value)) for name, value in headers.items())


#: Headers whose values are URLs.
_URL_HEADERS = frozenset({"location", "content-location", "referer"})


def _redacted_value(name: str, value: str) -> str:
    lower = name.lower()
    if lower in _URL_HEADERS:
        return redacted_url(value)
    return "[redacted]" if lower in SECRET_HEADERS else value


def redacted_info(info: RequestInfo) -> RequestInfo:
    """Return a copy of ``info`` for an error: without secrets, and picklable."""
    headers = cast("CIMultiDictProxy[str]", redacted_headers(info.headers))
    return RequestInfo(_bare(info.url), info.method, headers, _bare(info.real_url))


def _bare(url: URL) -> URL:
    # The error's text quotes it.
    text = redacted_url(url)
    return url if text == str(url) else URL(text, encoded=True)


def redacted_head(head: Head) -> Head:
    """Return a copy of ``head`` for the history of an error: without secrets, and picklable."""
    return head._replace(
        # A proxy, which the engine's are, cannot be pickled.
        headers=cast("CIMultiDictProxy[str]", redacted_headers(head.headers)),
        raw_headers=tuple(
            (
                name,
                _redacted_value(
                    name.decode("latin-1"), value.decode("utf-8", "surrogateescape")
                ).encode("utf-8", "surrogateescape"),
            )
            for name, value in head.raw_headers
        ),
        request_info=redacted_info(head.request_info),
        history=(),
    )
