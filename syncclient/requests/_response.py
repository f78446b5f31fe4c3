"""requests' Response, which makes its seldom used attributes on first use."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import requests
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from .._models import Head
from ._body import Body, WholeBody
from ._headers import dict_over
from ._raw import RawResponse, latin


class Response(requests.Response):
    """The response to a request that the engine made: a ``requests.Response``, pickled as one.

    ``raw`` and ``cookies`` are made when they are first asked for.
    """

    def __init__(
        self,
        head: Head,
        body: Body,
        request: requests.PreparedRequest,
        make_raw: Callable[[Head, Body], RawResponse],
    ) -> None:
        # Not requests' own __init__, half of whose objects would be thrown away here.
        self._content: Any = False
        self._content_consumed = False
        self._next = None
        self.status_code = head.status
        self.headers = headers = _headers(head)
        #: Whether there is a Set-Cookie.
        self.sets_cookies = "set-cookie" in headers or "set-cookie2" in headers
        self.encoding = _encoding(headers.get("content-type"))
        self.url = request.url or ""
        self.reason = head.reason or ""
        self.history = []
        self.request = request
        self._head = head
        self._body = body
        self._make_raw = make_raw
        self._raw: Any = None
        #: How many bytes were read without ``raw``; None if that reads, or nothing has.
        self._read_past: int | None = None
        self._jar: RequestsCookieJar | None = None

    @property
    def raw(self) -> Any:
        """The urllib3 response, or the object that was put in its place."""
        raw = self._raw
        if raw is None:
            raw = self._raw = self._make_raw(self._head, self._body)
            if self._read_past is not None:
                raw.read_past(self._read_past)
        return raw

    @raw.setter
    def raw(self, raw: Any) -> None:
        self._raw = raw

    @property
    def cookies(self) -> RequestsCookieJar:
        """The cookies that this response sets."""
        jar = self._jar
        if jar is None:
            jar = self._jar = RequestsCookieJar()
            if self.sets_cookies:
                extract_cookies_to_jar(jar, self.request, self.raw)  # type: ignore[no-untyped-call]
        return jar

    @cookies.setter
    def cookies(self, jar: RequestsCookieJar) -> None:
        self._jar = jar

    @property
    def content(self) -> Any:
        """The body, decoded; read whole, if it has not been."""
        if self._content is False and not self._content_consumed:
            content = self._at_once()
            if content is not None:
                self._content, self._content_consumed = content, True
                return content
        return super().content

    def _at_once(self) -> bytes | None:
        """Return the body, read and decoded past ``raw``; None for what ``raw`` has to do."""
        raw, coding = self._raw, self.headers.get("content-encoding")
        if coding is not None and coding != "gzip":
            return None
        if raw is not None and not (type(raw) is RawResponse and raw.reads(self._body)):
            return None  # it has been begun, or is another
        data = self._body.at_once()
        if data is None:
            return None
        content = data if coding is None else _unzipped(data)
        if content is None:
            # The fault in it is urllib3's to find.
            self._body = WholeBody(data)
            if raw is not None:
                raw.read_from(self._body)
            return None
        self._read_past = len(data)
        if raw is not None:
            raw.read_past(len(data))
        return content

    def close(self) -> None:
        """Close the connection, unless the body has been read."""
        if self._raw is not None:
            super().close()
        elif not self._content_consumed:
            self._body.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as requests' own class: it is read whole, and needs nothing of the engine."""
        state = cast("Any", self).__getstate__()  # which stubs do not know before 3.11
        return requests.Response, (), state


def _headers(head: Head) -> CaseInsensitiveDict[str]:
    store: OrderedDict[str, tuple[str, str]] = OrderedDict()
    for key, octets in head.raw_headers:
        name, lower = _name(key)
        value = latin(octets)
        if (before := store.get(lower)) is not None:
            # As urllib3 joins them: under the spelling that came first.
            name, value = before[0], f"{before[1]}, {value}"
        store[lower] = name, value
    return dict_over(store)


@lru_cache(maxsize=256)
def _name(key: bytes) -> tuple[str, str]:
    """Return the name of a header, and the same in lower case."""
    name = latin(key)
    return name, name.lower()


def _unzipped(data: bytes) -> bytes | None:
    """Return ``data`` unzipped; None if it is anything but one whole gzip stream."""
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        content = decoder.decompress(data)
    except zlib.error:
        return None
    return content if decoder.eof and not decoder.unused_data else None


@lru_cache(maxsize=128)
def _encoding(content_type: str | None) -> str | None:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    if content_type is not None:
        headers["content-type"] = content_type
    return get_encoding_from_headers(headers)
