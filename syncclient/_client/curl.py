"""curl commands equivalent to requests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import FormData
from aiohttp.payload import BytesPayload, Payload
from multidict import CIMultiDict
from yarl import URL

from .._bodies.forms import FORM_TYPES, form_of
from .._models import Head
from .redaction import HIDDEN, shown_header, text_without_secrets, url_text
from .transports import split_unix_url

#: Stands for a body that is not available: of a file or an iterator, or a long one.
ELSEWHERE = "@BODY"
#: Bytes of a body above which it is left out.
LONGEST = 2**16

#: Headers that curl adds itself, except a Host other than the URL's.
_CURLS_OWN = frozenset({"content-length", "transfer-encoding", "connection", "accept-encoding"})


class CurlBody(NamedTuple):
    """A body, in the form that curl needs."""

    arguments: Sequence[str] = ()
    #: The data to pipe into curl.
    stdin: bytes | None = None
    #: Whether curl creates the Content-Type, including the boundary.
    multipart: bool = False


def curl_command(
    method: str,
    url: URL,
    headers: Iterable[tuple[str, str]],
    body: CurlBody = CurlBody(),  # noqa: B008  # a value
    *,
    unix_socket: str | None = None,
    options: Sequence[str] = (),
    secrets: bool = False,
) -> str:
    """Return the command, for a POSIX shell.

    Args:
        headers: the headers to send; those that curl adds anyway are left out.
        unix_socket: the path of the socket to connect to.
        options: further options of curl.
        secrets: whether to include passwords, tokens and cookies. The body decides for itself.
    """
    words = ["curl", *options]
    target = url_text(url, secrets=secrets)
    if any(character in str(url) for character in "[]{}"):
        words.append("--globoff")
    if unix_socket is not None:
        words += ["--unix-socket", unix_socket]
    if method == "HEAD":
        words.append("--head")
    elif method != ("POST" if body.arguments else "GET"):
        words += ["-X", method]
    words += _header_words(headers, url, body, secrets=secrets)
    words += body.arguments
    command = shlex.join([*words, target])
    if body.stdin is None:
        return command
    octal = "".join(f"\\{byte:03o}" for byte in body.stdin)
    return f"printf '{octal}' | {command}"


def _header_words(
    headers: Iterable[tuple[str, str]], url: URL, body: CurlBody, *, secrets: bool
) -> list[str]:
    words: list[str] = []
    typed = False
    for name, value in headers:
        lower = name.lower()
        if lower == "accept-encoding":
            words.append("--compressed")
        if lower in _CURLS_OWN or (lower == "host" and value == url.host_port_subcomponent):
            continue
        if (lower, value) == ("accept", "*/*") or (lower == "content-type" and body.multipart):
            continue
        typed = typed or lower == "content-type"
        shown = shown_header(name, value, secrets=secrets)
        words += ["-H", f"{name}: {shown}" if shown else f"{name};"]
    if body.arguments and not typed and not body.multipart:
        words += ["-H", "Content-Type:"]  # or curl would call it a form
    return words


def body_of_bytes(data: bytes, content_type: str, *, secrets: bool) -> CurlBody:
    """Return a body that is available as bytes."""
    if not data:
        return CurlBody()
    if len(data) > LONGEST:
        return CurlBody(["--data-binary", ELSEWHERE])
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or b"\0" in data:
        return CurlBody(["--data-binary", "@-"], data)
    return CurlBody(["--data-raw", text if secrets else text_without_secrets(text, content_type)])


def curl_of_options(
    method: str, url: str | URL, options: Mapping[str, Any], *, secrets: bool
) -> str:
    """Return the command for a request described by the keywords of ``Session.request``.

    Raises:
        ValueError: the URL is relative.
    """
    over = split_unix_url(url)
    unix_socket, target = (None, url) if over is None else over
    address = URL(target)
    if not address.is_absolute():
        raise ValueError(f"the URL is relative, so it depends on the session: {address}")
    if (params := options.get("params")) is not None:
        address = address.extend_query(params)
    headers = CIMultiDict[str](options.get("headers") or ())
    if cookies := options.get("cookies"):
        pairs = cookies.items() if isinstance(cookies, Mapping) else cookies
        headers.add("Cookie", "; ".join(f"{name}={value}" for name, value in pairs))
    more: list[str] = []
    if (auth := options.get("auth")) is not None:
        more += ["-u", f"{auth[0]}:{auth[1]}" if secrets else f"{auth[0]}:{HIDDEN}"]
    body = body_of(options.get("data"), options.get("json"), headers, secrets=secrets)
    return curl_command(
        method.upper(),
        address.with_fragment(None),
        headers.items(),
        body,
        unix_socket=unix_socket,
        options=more,
        secrets=secrets,
    )


def body_of(data: object, document: Any, headers: CIMultiDict[str], *, secrets: bool) -> CurlBody:
    """Return the body for ``data=`` or ``json=``; adds its type to ``headers``."""
    if document is not None:
        headers.setdefault("Content-Type", "application/json")
        return body_of_bytes(json.dumps(document).encode(), "application/json", secrets=secrets)
    if data is None:
        return CurlBody()
    payload: object = data
    kind = "application/octet-stream"
    if isinstance(data, FORM_TYPES):
        payload = form_of(data)()
    elif isinstance(data, FormData):
        payload = None  # may be created only once, because it may contain files
    elif isinstance(data, str):
        payload, kind = data.encode(), "text/plain; charset=utf-8"
    if isinstance(payload, BytesPayload):
        kind = headers.setdefault("Content-Type", payload.content_type)
        return body_of_bytes(payload.decode("latin-1").encode("latin-1"), kind, secrets=secrets)
    if isinstance(payload, (bytes, bytearray, memoryview)):
        kind = headers.setdefault("Content-Type", kind)
        return body_of_bytes(bytes(payload), kind, secrets=secrets)
    if isinstance(payload, Payload):
        headers.setdefault("Content-Type", payload.content_type)
    return CurlBody(["--data-binary", ELSEWHERE])


def curl_of_response(head: Head, sent: object, *, secrets: bool) -> str:
    """Return the command for the request of a response.

    Args:
        sent: the request's body as passed to the engine; None if unknown.
    """
    info = head.request_info
    headers = list(info.headers.items())
    names = {name.lower(): value for name, value in headers}
    body = CurlBody()
    # A redirect may have dropped the body.
    if names.get("content-length", "0") != "0" or "transfer-encoding" in names:
        if isinstance(sent, BytesPayload):
            sent = sent.decode("latin-1").encode("latin-1")
        if isinstance(sent, bytes) and sent:
            body = body_of_bytes(sent, names.get("content-type", ""), secrets=secrets)
        else:
            body = CurlBody(["--data-binary", ELSEWHERE])
    return curl_command(head.method, head.url, headers, body, secrets=secrets)
