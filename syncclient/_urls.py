"""URLs in the form in which they are sent, and whether two have one origin.

``yarl.URL(text)`` decodes escapes that are not necessary: ``%2F`` in a query, ``%27``, ``%2C`` and
``%3A`` in a path. To a server these are other URLs, and a signature over them breaks. So text is
normalised here, and passed to ``yarl`` with ``encoded=True``: illegal characters are encoded,
escapes of unreserved characters are decoded, the other escapes get capital letters, ``.`` and
``..`` are removed, and nothing else changes (RFC 3986, sections 2.2 and 6.2.2). A ``yarl.URL`` of
the caller is not changed, except for illegal characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, ParamSpec
from urllib.parse import SplitResult

from aiohttp.typedefs import Query
from yarl import URL

from ._hosts import canonical_host
from ._models import redacted_url

P = ParamSpec("P")

#: RFC 3986, appendix B.
_REFERENCE = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
)
_LEGAL = r"A-Za-z0-9\-._~!$&'()*+,;="
_STRAY = "%(?![0-9A-Fa-f]{2})"
_ILLEGAL_IN_USER = re.compile(rf"(?:{_STRAY}|[^{_LEGAL}:%])+")
_ILLEGAL_IN_PATH = re.compile(rf"(?:{_STRAY}|[^{_LEGAL}:@/%])+")
_ILLEGAL_IN_QUERY = re.compile(rf"(?:{_STRAY}|[^{_LEGAL}:@/?%])+")
_ESCAPES = tuple(f"%{byte:02X}" for byte in range(256))
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
#: RFC 3986, section 2.3.
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")
_SEGMENT_OF_DOTS = re.compile(r"(?:^|/)\.\.?(?:/|$)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
#: Ignored before a URL; the last three within it, too (WHATWG URL Standard).
_BLANK = "".join(map(chr, range(0x21)))
_BREAKS = str.maketrans("", "", "\t\r\n")
_PORT = re.compile(r"0{0,20}[0-9]{1,5}")
_HIGHEST_PORT = 65535
#: The handshake of a WebSocket has the same origin as a request to its server.
_ORIGIN_SCHEMES = {"ws": "http", "wss": "https"}


class Reference(NamedTuple):
    """The parts of a URL or a relative reference; None for a part that is absent."""

    scheme: str | None
    authority: str | None
    path: str
    query: str | None
    fragment: str | None


@lru_cache(maxsize=1024)
def parse_url(text: str) -> URL:
    """Return the URL, perhaps a relative one, that ``text`` stands for.

    Raises:
        ValueError: it is not a URL. The message does not quote it.
    """
    if _SURROGATE.search(text):
        raise ValueError("it contains a lone surrogate, which cannot be encoded")
    return _url(split_url(text))


@lru_cache(maxsize=1024)
def refine_url(url: URL) -> URL:
    """Return ``url`` with illegal characters encoded, and otherwise unchanged.

    Raises:
        ValueError: its host or its port is not valid.
    """
    return _url(_parts(str(url)), literal=True)


def to_url(url: str | URL) -> URL:
    """Return ``url`` in the form in which it is sent; raise as ``parse_url``."""
    return refine_url(url) if isinstance(url, URL) else parse_url(url)


#: Parts of the URL that a message might quote.
_QUOTED = re.compile(r"'.*'|\".*\"", re.DOTALL)


def url_or_fault(make: Callable[P, URL], /, *args: P.args, **kwargs: P.kwargs) -> URL | str:
    """Return the result of ``make``, or the text of its ValueError, without a part of the URL.

    An error raised from that one, or while it is handled, would show the text that could not be
    parsed, which may be a password.
    """
    try:
        return make(*args, **kwargs)
    except ValueError as exc:
        return fault_of_url(exc)


def fault_of_url(error: ValueError) -> str:
    """Return why something is not a URL, without a part of it."""
    return _QUOTED.sub("...", str(error)) or "it cannot be parsed"


def checked_url(url: str | URL, name: str = "url") -> URL:
    """Return ``url`` as yarl reads it; raise ValueError with the argument's name and no secret."""
    if not isinstance(url, (str, URL)):
        raise TypeError(f"{name} must be a str or a yarl.URL, not {type(url).__name__}")
    found = url_or_fault(URL, url)
    if isinstance(found, str):
        raise ValueError(f"{name} is no URL, {redacted_url(url)!r}: {found}")
    return found


@lru_cache(maxsize=1024)
def join_url(base: URL, reference: str | URL) -> URL:
    """Return ``reference`` resolved against ``base``: RFC 3986, section 5.2.

    Raises:
        ValueError: the result is not a URL.
    """
    literal = isinstance(reference, URL)
    text = str(reference)
    if _SURROGATE.search(text):
        raise ValueError("it contains a lone surrogate, which cannot be encoded")
    return _url(resolve(base, split_url(text)), literal=literal, joined=True)


def follow_location(base: URL, location: str, *, literal: bool = False) -> URL:
    """Return the URL that a Location header leads to.

    Bytes beyond ASCII, which the engine has decoded with ``surrogateescape``, are percent-encoded
    unchanged. ``http:path`` is a path, as in browsers. The fragment of ``base`` is kept if the
    Location has none.

    Raises:
        ValueError: it does not lead to a URL. The message does not quote it.
    """
    reference = split_url(location)
    if reference.authority is None and reference.scheme == base.scheme:
        reference = reference._replace(scheme=None)
    reference = resolve(base, reference)
    if reference.fragment is None and base.raw_fragment:
        reference = reference._replace(fragment=base.raw_fragment)
    return _url(reference, literal=literal, joined=True)


def extend_url(url: URL, params: Query) -> URL:
    """Return ``url`` with ``params`` added to its query; a str is taken as already encoded.

    Raises:
        TypeError, ValueError: ``params`` is not valid.
    """
    if isinstance(params, str):
        if _SURROGATE.search(params):
            raise ValueError("params contains a lone surrogate, which cannot be encoded")
        added = _quoted(params.removeprefix("?"), _ILLEGAL_IN_QUERY, literal=False)
    else:
        added = URL().extend_query(params).raw_query_string
        if params and any(map(_SURROGATE.search, _texts(params))):  # yarl leaves them out
            raise ValueError("params contains a lone surrogate, which cannot be encoded")
    if not added:
        return url
    path, query = _path_and_query(url)
    if query:
        added = f"{query}{'' if query[-1] == '&' else '&'}{added}"
    whole = SplitResult(url.scheme, url.raw_authority, path, added, url.raw_fragment)
    return URL(whole, encoded=True)


def paths_of(url: URL) -> tuple[str, str]:
    """Return the path of ``url``, as it is sent and decoded, without a question mark."""
    path, query = _path_and_query(url)
    return path, url.path[:-1] if query == "" else url.path


def is_encodable(text: str) -> bool:
    """Return whether ``text`` has no lone surrogate, which ``yarl`` would leave out."""
    return _SURROGATE.search(text) is None


def _texts(params: Mapping[str, Any] | Sequence[tuple[str, Any]]) -> Iterator[str]:
    for name, value in params.items() if isinstance(params, Mapping) else params:
        yield name
        for each in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(each, str):
                yield each


def same_origin(one: URL, other: URL) -> bool:
    """Return whether both URLs have one origin: scheme, host and port (RFC 6454)."""
    return origin_of(one) == origin_of(other)


def origin_of(url: URL) -> tuple[str, str, int | None]:
    """Return the scheme, the host and the port of ``url``, in a form that can be compared."""
    scheme = _ORIGIN_SCHEMES.get(url.scheme, url.scheme)
    return scheme, (url.raw_host or "").lower(), url.port


def split_url(text: str) -> Reference:
    """Return the parts of ``text``, unchanged."""
    return _parts(text.lstrip(_BLANK).translate(_BREAKS))


def _parts(text: str) -> Reference:
    match = _REFERENCE.fullmatch(text)
    assert match is not None  # anything at all matches
    scheme, authority, path, query, fragment = match.groups()
    return Reference(scheme and scheme.lower(), authority, path, query, fragment)


def resolve(base: URL, reference: Reference) -> Reference:
    """Return ``reference`` with its missing parts taken from ``base``."""
    scheme, authority, path, query, fragment = reference
    if scheme is not None:
        return reference
    if authority is None:
        authority = base.raw_authority
        base_path, base_query = _path_and_query(base)
        if not path:
            path, query = base_path, base_query if query is None else query
        elif path[0] != "/":
            path = f"{base_path[: base_path.rfind('/') + 1] or '/'}{path}"
    return Reference(base.scheme, authority, path, query, fragment)


def _path_and_query(url: URL) -> tuple[str, str | None]:
    path = url.raw_path
    if path[-1:] == "?":  # as ``_url`` has put it there
        return path[:-1], ""
    return path, url.raw_query_string or None


def _url(parts: Reference, *, literal: bool = False, joined: bool = False) -> URL:
    scheme, authority, path, query, fragment = parts
    path = _quoted(path, _ILLEGAL_IN_PATH, literal)
    if authority is not None:
        authority = _authority(authority)
        if (joined or not literal) and _SEGMENT_OF_DOTS.search(path):
            path = _without_dots(path)
    query = query and _quoted(query, _ILLEGAL_IN_QUERY, literal)
    if query == "":
        # ``yarl`` knows no empty query, and servers do: they may have signed it.
        path = f"{path or '/'}?"
    fragment = fragment and _quoted(fragment, _ILLEGAL_IN_QUERY, literal)
    whole = SplitResult(scheme or "", authority or "", path, query or "", fragment or "")
    return URL(whole, encoded=True)


def _authority(authority: str) -> str:
    user, at, rest = authority.rpartition("@")
    if rest[:1] == "[":
        host, bracket, port = rest.partition("]")
        host += bracket
        if port and port[0] != ":":
            raise ValueError("only a port can follow the brackets of the host")
        port = port[1:]
    else:
        host, _, port = rest.partition(":")
    if not host:
        raise ValueError("no host")
    if port:
        if not _PORT.fullmatch(port) or int(port) > _HIGHEST_PORT:
            raise ValueError(f"the port is no number from 0 to {_HIGHEST_PORT}")
        port = f":{int(port)}"
    host = canonical_host(host)
    if not at:
        return f"{host}{port}"
    return f"{_quoted(user, _ILLEGAL_IN_USER, literal=True)}@{host}{port}"


def _quoted(text: str, illegal: re.Pattern[str], literal: bool) -> str:
    if not literal and "%" in text:
        text = _ESCAPE.sub(_decoded, text)
    return illegal.sub(_encoded, text) if illegal.search(text) else text


def _decoded(match: re.Match[str]) -> str:
    character = chr(int(match[0][1:], 16))
    return character if _UNRESERVED.match(character) else match[0].upper()


def _encoded(match: re.Match[str]) -> str:
    return "".join(map(_ESCAPES.__getitem__, match[0].encode("utf-8", "surrogateescape")))


def _without_dots(path: str) -> str:
    """Return an absolute ``path`` without its ``.`` and ``..``: RFC 3986, section 5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
