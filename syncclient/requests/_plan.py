"""What of a prepared request goes to the engine, byte for byte as urllib3 would send it.

``planned`` returns a ``str`` where the engine cannot do that: the reason why urllib3 sends it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from multidict import CIMultiDict
from requests.exceptions import InvalidURL
from urllib3.util import SKIP_HEADER
from urllib3.util.url import _encode_target
from yarl import URL

from .._async.exchange.framing import TOKEN, fault_of
from .._hosts import canonical_host
from ._headers import pairs_of

#: As urllib3 calls itself where a request says nothing.
_USER_AGENT = f"python-urllib3/{version('urllib3')}"

#: Bytes of a file that are read at a time.
_BLOCK = 2**16


class Target(NamedTuple):
    """Where a request goes."""

    url: URL
    scheme: str
    #: Path and query, as they are sent.
    path: str


class Plan(NamedTuple):
    """A request as the engine takes it."""

    target: Target
    headers: CIMultiDict[str]
    body: Any


def planned(request: requests.PreparedRequest) -> Plan | str:
    """Return what to send for ``request``, or why the engine cannot."""
    method, url = request.method, request.url
    if not isinstance(method, str) or not method.isupper() or not TOKEN.fullmatch(method):
        return "its method is not a token in capitals"
    target = target_of(url) if isinstance(url, str) else None
    if target is None:
        return "its URL is one that the engine refuses"
    if request.hooks and _looks_below(request.hooks.get("response")):
        return "its authentication is of urllib3's connection"
    fields = _fields(pairs_of(request.headers))
    if isinstance(fields, str):
        return fields
    body = request.body
    if isinstance(body, str):
        body = body.encode()
    if (fault := _misframed(fields, body)) is not None:
        return fault
    return Plan(target, fields, body)


@lru_cache(maxsize=1024)
def target_of(url: str) -> Target | None:
    """Return where ``url`` leads, without its credentials; None if the engine refuses it."""
    try:
        parts = urlsplit(url)
        host, port, scheme = parts.hostname, parts.port, parts.scheme.lower()
        if not host or "%" in host or scheme not in ("http", "https"):
            return None
        path = _encode_target(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}")
        netloc = f"[{host}]" if ":" in host else host
        if canonical_host(netloc) != netloc:
            return None
        if port is not None:
            netloc = f"{netloc}:{port}"
        made = URL(f"{scheme}://{netloc}{path}", encoded=True)
        if made.raw_path_qs != path or (made.host_subcomponent or "").strip("[]") != host:
            return None
    except ValueError:
        return None
    return Target(made, scheme, path)


def refuse_host(request: requests.PreparedRequest) -> None:
    """Raise InvalidURL for a host with an empty label, or with one that is too long.

    urllib3 has errors for it that are none of requests', and only once it connects; ``ssl`` has
    one after the tunnel of a proxy is open.
    """
    try:
        (urlsplit(str(request.url)).hostname or "").encode("idna")
    except ValueError:
        raise InvalidURL("URL has an invalid label.", request=request) from None


@lru_cache(maxsize=64)
def _fields(headers: tuple[tuple[Any, Any], ...]) -> CIMultiDict[str] | str:
    """Return the headers in the order in which urllib3 sends them. They are not to be changed."""
    fields: CIMultiDict[str] = CIMultiDict()
    given: list[tuple[str, str]] = []
    names = set()
    for name, value in headers:
        if isinstance(value, bytes):
            value = value.decode("latin-1")
        if not isinstance(name, str) or not isinstance(value, str):
            return "a header of it is no text"
        if not value.isascii() or not TOKEN.fullmatch(name):
            return "a header of it is not ASCII"
        if (fault := fault_of(name, value)) is not None:
            return f"a header of it has {fault}"
        names.add(lower := name.lower())
        if lower in _LEFT_TO_URLLIB3 and (
            lower != "authorization" or value[:9].lower().startswith(_BOUND)
        ):
            return f"its {name} concerns the connection"
        if value == SKIP_HEADER:
            if lower == "host":
                return "it goes without a Host"
            continue
        given.append((name, value))
    if "accept-encoding" not in names:
        fields.add("Accept-Encoding", "identity")
    if "user-agent" not in names:
        fields.add("User-Agent", _USER_AGENT)
    fields.extend(given)
    return fields


#: Headers of a request after which the connection speaks something else.
_LEFT_TO_URLLIB3 = frozenset({"authorization", "upgrade"})

#: Schemes that authorise a connection, which must not be another caller's afterwards.
_BOUND = ("ntlm", "negotiate")


#: Packages whose hooks authorise a connection, and look for the server's certificate in its socket.
_BELOW = frozenset(
    {
        "requests_credssp",
        "requests_gssapi",
        "requests_kerberos",
        "requests_negotiate_sspi",
        "requests_ntlm",
    }
)


def _looks_below(hooks: Any) -> bool:
    if not hooks:
        return False
    names = (getattr(hook, "__module__", None) for hook in ([hooks] if callable(hooks) else hooks))
    return not _BELOW.isdisjoint(str(name).partition(".")[0] for name in names)


def _misframed(fields: CIMultiDict[str], body: Any) -> str | None:
    """Return what is wrong with the headers that delimit ``body``; None if nothing is."""
    length, coding = fields.get("Content-Length"), fields.get("Transfer-Encoding")
    if body is None:
        right = coding is None and length in (None, "0")
    elif isinstance(body, bytes):
        right = coding is None and length == str(len(body))
    elif length is None:
        right = coding == "chunked"
    else:
        right = coding is None and length.isascii() and length.isdigit()
    return None if right else "its headers do not say how long its body is"


def pieces_of(body: Any) -> Iterator[bytes]:
    """Yield a body that is no bytes as urllib3 sends it. In the thread of the caller."""
    read = getattr(body, "read", None)
    pieces: Iterable[Any]
    if callable(read):
        pieces = iter(lambda: read(_BLOCK), "" if isinstance(body, io.TextIOBase) else b"")
    else:
        try:
            view = memoryview(body)
        except TypeError:
            pieces = body
        else:
            pieces = (bytes(view),)
    for piece in pieces:
        if piece:
            yield piece.encode() if isinstance(piece, str) else piece
