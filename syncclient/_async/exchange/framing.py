"""How the body of a request is delimited: by a length or in chunks, and never by both.

A server and a proxy that differ on where a request ends can be made to see another request in the
rest of it (CWE-444). The engine sends the headers that it is given beside those that it makes, so
here they are carried out, or refused: a caller's in the caller's thread, a middleware's when it
sends the request on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import InvalidURL, hdrs
from aiohttp.payload import Payload

from ..._hosts import canonical_server_name
from ..._models import redacted_url
from ..._urls import refine_url, url_or_fault

if TYPE_CHECKING:
    from aiohttp import ClientRequest
    from multidict import CIMultiDict

#: What a header value cannot hold (RFC 9110, section 5.5).
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Methods of which the engine sends no framing where there is no body.
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_LENGTH = re.compile(r"[0-9]{1,18}")


def fault_of(name: str, value: str, *, jar: bool = False) -> str | None:
    """Return what in ``value`` cannot be sent in the header ``name``; None if all can.

    Args:
        jar: whether a Cookie may be one that a server has set, in whatever bytes.
    """
    if _CONTROL.search(value):
        return "CR, LF or another control character"
    if _SURROGATE.search(value) and not (jar and name.lower() == "cookie"):
        return "a lone surrogate"
    return None


def frame(
    headers: CIMultiDict[str], method: str, size: int | None, *, has_body: bool, chunked: bool
) -> bool:
    """Return whether the body goes in chunks; a Transfer-Encoding that says so is taken out.

    Args:
        headers: of the request.
        method: in capital letters.
        size: how many bytes the body has, where that is known.
        has_body: whether there is one.
        chunked: whether it is to go in chunks, whatever the headers say.

    Raises:
        ValueError: the headers are wrong or not supported. The message names the header.
    """
    codings = headers.getall(hdrs.TRANSFER_ENCODING, None)
    lengths = headers.getall(hdrs.CONTENT_LENGTH, None)
    if codings is not None:
        if len(codings) > 1 or codings[0].strip().lower() != "chunked":
            raise ValueError(
                f"Transfer-Encoding can be 'chunked' only, not {', '.join(codings)!r}: no other "
                "coding is applied; compress= compresses the body"
            )
        if lengths is not None:
            raise ValueError("Content-Length cannot be combined with Transfer-Encoding")
        if not has_body and method in _BODILESS:
            raise ValueError(f"Transfer-Encoding is for a body, and this {method} has none")
        del headers[hdrs.TRANSFER_ENCODING]
        return True
    if lengths is None:
        # Without a body the engine would send the end of one, and nothing that announces it.
        return chunked and (has_body or method not in _BODILESS)
    if chunked:
        raise ValueError("Content-Length cannot be combined with chunked= or compress=")
    if len(lengths) > 1:
        raise ValueError(f"Content-Length can be given once, not as {', '.join(lengths)!r}")
    if not _LENGTH.fullmatch(lengths[0]):
        raise ValueError(f"Content-Length must be a number of bytes, not {lengths[0]!r}")
    actual = size if has_body else 0
    if actual is not None and int(lengths[0]) != actual:
        raise ValueError(f"Content-Length is {int(lengths[0])}, and the body has {actual} bytes")
    return False


def frame_options(engine: dict[str, Any], method: str, headers: CIMultiDict[str]) -> None:
    """Decide how the body of a request with these options is delimited; raise as ``frame``."""
    body = engine.get("data")
    chunked = frame(
        headers,
        method,
        body.size if isinstance(body, Payload) else len(body or b""),
        has_body=body is not None,
        chunked=bool(engine.pop("chunked", False) or engine.get("compress")),
    )
    if chunked:
        engine["chunked"] = True


def refuse_chunks(engine: dict[str, Any], headers: CIMultiDict[str]) -> None:
    """Raise where the engine would send chunks, which HTTP/1.0 servers take for the body."""
    body = engine.get("data")
    endless = isinstance(body, Payload) and body.size is None
    endless = endless and hdrs.CONTENT_LENGTH not in headers
    if engine.get("chunked") or endless or (body and engine.get("compress")):
        raise ValueError(
            "HTTP/1.0 has no chunks: give the body a Content-Length, and leave out chunked= "
            "and compress="
        )


def settle_request(request: ClientRequest) -> None:
    """Bring a request that a middleware may have changed into a form that can be sent.

    Raises:
        ValueError: it has none. The message names the header, or what else is wrong.
        InvalidURL: its URL can be none.
    """
    if not TOKEN.fullmatch(request.method):
        raise ValueError(f"method must be a token such as 'GET', not {request.method!r}")
    url = url_or_fault(refine_url, request.url)
    if isinstance(url, str):
        raise InvalidURL(redacted_url(request.url), url)
    if not url.raw_host:
        raise InvalidURL(redacted_url(request.url), "no host")
    if url != request.url:
        request.url = url
    if request.server_hostname is not None:
        request.server_hostname = canonical_server_name(request.server_hostname)
    headers = request.headers
    for name, value in headers.items():
        if not TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is no header name (RFC 9110, section 5.1)")
        if (fault := fault_of(name, value, jar=True)) is not None:
            raise ValueError(f"the header {name!r} must not contain {fault}")
    body = request.body or None
    size = None if body is None else body.size
    if request.chunked and headers.getall(hdrs.TRANSFER_ENCODING, None) == ["chunked"]:
        del headers[hdrs.TRANSFER_ENCODING]  # the engine's own
    elif not request.chunked and hdrs.TRANSFER_ENCODING in headers and body is not None:
        _drop_own_length(headers, size)
    chunked = frame(
        headers,
        request.method,
        size,
        has_body=body is not None,
        chunked=bool(request.chunked),
    )
    request.chunked = True if chunked else None
    if chunked:
        headers[hdrs.TRANSFER_ENCODING] = "chunked"
    elif body is not None and hdrs.CONTENT_LENGTH not in headers:
        if size is None:
            request.chunked = True
            headers[hdrs.TRANSFER_ENCODING] = "chunked"
        else:
            headers[hdrs.CONTENT_LENGTH] = str(size)


def _drop_own_length(headers: CIMultiDict[str], size: int | None) -> None:
    """Drop the Content-Length that the engine has made, where a middleware wants chunks."""
    if size is not None and headers.getall(hdrs.CONTENT_LENGTH, None) == [str(size)]:
        del headers[hdrs.CONTENT_LENGTH]
