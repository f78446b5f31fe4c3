"""A request of httpx's as what crosses to the loop thread."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult

from multidict import CIMultiDict
from yarl import URL

from .._bodies.payload import NO_BODY, AsyncSourceOf, Outgoing, outgoing
from .._hosts import canonical_server_name
from .._models import ExactHead
from .._timeout import ClientTimeout
from .._urls import refine_url

if TYPE_CHECKING:
    from .library import Library
    from .settings import Way

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VISIBLE = re.compile(rb"[\x21-\x7e]+")

#: A limit of 0 is over at once there, and means none here.
_AT_ONCE = 1e-6


class Outbound(NamedTuple):
    """A request that is ready to cross."""

    method: str
    url: URL
    timeout: ClientTimeout
    options: dict[str, Any]
    body: Outgoing


def prepare(
    library: Library, way: Way, request: Any, asynchronous: AsyncSourceOf | None = None
) -> Outbound:
    """Return ``request`` ready to cross.

    Args:
        asynchronous: what takes from the request's stream, if that is an asynchronous one.

    Raises:
        UnsupportedProtocol, LocalProtocolError, ConnectError: of the library's, if it cannot be
            sent.
    """
    url, extensions = request.url, request.extensions
    scheme = url.scheme
    if scheme not in ("http", "https"):
        _refuse_scheme(library, request, scheme)
    if "trace" in extensions:
        raise NotImplementedError(
            "the extension 'trace' tells of steps that are not taken here: give the transport a "
            "session=syncclient.Session(trace_configs=[...])"
        )
    if not _TOKEN.fullmatch(request.method.encode()):
        raise _refuse(library, request, f"Illegal method characters in {request.method!r}")
    raw_path = url.raw_path
    try:
        target, exact_target = _target(scheme, url.netloc, raw_path)
    except ValueError as exc:
        raise library.module.ConnectError(str(exc), request=request) from exc
    fields = request.headers.raw
    if way.proxy_headers and scheme == "http":
        said = {name.lower() for name, _ in fields}
        fields = [pair for pair in way.proxy_headers if pair[0].lower() not in said] + fields
    if fields and fields[0][0].lower() != b"host":
        fields = sorted(fields, key=_is_not_host)  # it goes first, as h11 has it
    headers, is_text = _headers(library, request, fields)
    options = dict(way.options)
    body = _framed_body(library, request, headers, options, asynchronous)
    octets = None
    own_target = extensions.get("target")
    if own_target is not None and not _VISIBLE.fullmatch(own_target):
        raise _refuse(library, request, f"Illegal target characters in {own_target!r}")
    if not (is_text and exact_target) or own_target is not None:
        line = own_target if own_target is not None else raw_path
        if way.is_forwarded and scheme == "http":
            line = bytes(str(url.copy_with(fragment=None)), "ascii")
        octets = _octets(request.method, line, fields)
    options["exact"] = ExactHead(headers, octets)
    if way.is_theirs:
        theirs = headers.copy()
        if options.get("chunked"):
            theirs.popall("Transfer-Encoding")
        options["headers"] = theirs
    if (name := extensions.get("sni_hostname")) and scheme == "https":
        try:
            text = name.decode("ascii") if isinstance(name, bytes) else name
            options["server_hostname"] = canonical_server_name(text)
        except ValueError as exc:
            raise _refuse(library, request, f"the extension 'sni_hostname': {exc}") from exc
    if scheme == "http":
        options.pop("ssl", None)
    timeout = _timeout(**extensions.get("timeout", _NO_LIMITS))
    return Outbound(request.method, target, timeout, options, body)


_NO_LIMITS: dict[str, float | None] = {}


@lru_cache(maxsize=64)
def _timeout(
    connect: float | None = None,
    read: float | None = None,
    write: float | None = None,
    pool: float | None = None,
) -> ClientTimeout:
    given = {"connect": connect, "read": read, "write": write, "pool": pool}
    for name, limit in given.items():
        if limit is not None and not isinstance(limit, (int, float)):
            raise TypeError(f"timeout: {name} must be seconds or None, not {limit!r}")
    limits = [_AT_ONCE if limit == 0 else limit for limit in given.values()]
    return ClientTimeout(
        connect=limits[0], sock_read=limits[1], sock_write=limits[2], pool=limits[3]
    )


@lru_cache(maxsize=512)
def _target(scheme: str, netloc: bytes, raw_path: bytes) -> tuple[URL, bool]:
    """Return the URL as the engine has it, and whether it says the same to the letter.

    Raises ValueError for a host or a port that can be none. The Host header stays the library's.
    """
    path, question, query = raw_path.decode("ascii").partition("?")
    whole = URL(SplitResult(scheme, netloc.decode("ascii"), path, query, ""), encoded=True)
    url = refine_url(whole)
    return url, url.raw_path_qs == path + question + query


def _is_not_host(field: tuple[bytes, bytes]) -> bool:
    return field[0].lower() != b"host"


def _refuse_scheme(library: Library, request: Any, scheme: str) -> None:
    if scheme in ("ws", "wss"):
        message = "a WebSocket is no request here: use syncclient.Session.ws_connect()"
    elif scheme:
        message = f"Request URL has an unsupported protocol '{scheme}://'."
    else:
        message = "Request URL is missing an 'http://' or 'https://' protocol."
    raise library.module.UnsupportedProtocol(message, request=request)


def _refuse(library: Library, request: Any, message: str) -> Exception:
    error: Exception = library.module.LocalProtocolError(message, request=request)
    return error


def _headers(
    library: Library, request: Any, fields: list[tuple[bytes, bytes]]
) -> tuple[CIMultiDict[str], bool]:
    """Return the headers as text, and whether the text is what is to be sent."""
    headers: CIMultiDict[str] = CIMultiDict()
    is_text = True
    for name, value in fields:
        if not _TOKEN.fullmatch(name):
            raise _refuse(library, request, f"Illegal header name {name!r}")
        if _CONTROL.search(value):
            raise _refuse(library, request, f"Illegal header value of {name.decode()!r}")
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text, is_text = value.decode("latin-1"), False
        headers.add(name.decode("ascii"), text)
    if headers.get("Upgrade", "").lower() == "websocket":
        raise _refuse(
            library,
            request,
            "a WebSocket cannot be opened through this transport: use "
            "syncclient.Session.ws_connect()",
        )
    return headers, is_text


def _framed_body(
    library: Library,
    request: Any,
    headers: CIMultiDict[str],
    options: dict[str, Any],
    asynchronous: AsyncSourceOf | None,
) -> Outgoing:
    """Put the body into ``options``, framed as the headers say, and return it."""
    stream, length = request.stream, headers.get("Content-Length")
    is_chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    is_here = isinstance(stream, library.module.ByteStream)
    data = b"".join(stream) if is_here else None
    if is_here and not data and not is_chunked:
        if length is not None and length.strip() != "0":
            raise _refuse(library, request, "Too little data for declared Content-Length")
        return NO_BODY
    if is_chunked:
        options["chunked"] = True
    elif length is None:
        if not is_here:
            raise _refuse(library, request, "a stream needs a Content-Length or chunks")
        raise _refuse(library, request, "Too much data for declared Content-Length")
    else:
        if data is not None and length.strip() != str(len(data)):
            amount = "little" if len(data) < int(length) else "much"
            raise _refuse(library, request, f"Too {amount} data for declared Content-Length")
        options["headers"] = {"Content-Length": length}
    if data is not None:
        body = outgoing(data)
    elif asynchronous is None:
        body = outgoing(iter(stream))
    else:
        body = outgoing(_only_async(stream), None, asynchronous)
    options["data"] = body.value
    return body


def _only_async(stream: AsyncIterable[bytes]) -> AsyncIterable[bytes]:
    """Return an iterator over ``stream``, which may be a blocking iterable as well."""
    return stream.__aiter__()


def _octets(method: str, target: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("ascii"), target, lines)
