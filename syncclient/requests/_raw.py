"""``response.raw``: a urllib3 response over a body of the engine."""

from __future__ import annotations

from http.client import HTTPMessage
from typing import Any

import requests
from urllib3._collections import HTTPHeaderDict
from urllib3.response import HTTPResponse
from urllib3.util.retry import Retry

from .._models import Head
from ._body import Body

#: The headers that cookies come in, in lower case.
_SETS_COOKIES = frozenset({b"set-cookie", b"set-cookie2"})


def latin(text: bytes) -> str:
    """Return ``text`` as http.client decodes the lines of a head."""
    return text.decode("latin-1")


class RawResponse(HTTPResponse):
    """urllib3's HTTPResponse, reading what the engine has received.

    Everything of it works as there: ``read(decode_content=)``, ``stream``, ``tell``,
    ``drain_conn``, ``json``... It holds no connection of urllib3's, so ``connection`` is None and
    ``fileno`` raises; the engine takes its own connection back at the end of the body.
    """

    def __init__(
        self,
        head: Head,
        body: Body,
        request: requests.PreparedRequest,
        target: str,
        retries: Retry | None,
    ) -> None:
        headers = HTTPHeaderDict()
        cookies = False
        for name, value in head.raw_headers:
            headers.add(latin(name), latin(value))
            cookies = cookies or name.lower() in _SETS_COOKIES
        major, minor = head.version or (1, 1)
        options: dict[str, Any] = {}
        if cookies:
            options["original_response"] = Original(headers, body)
        super().__init__(
            body=body,  # type: ignore[arg-type]  # anything with read() will do
            headers=headers,
            status=head.status,
            version=10 * major + minor,
            version_string=f"HTTP/{major}.{minor}",
            reason=head.reason,
            preload_content=False,
            decode_content=False,
            retries=retries,
            request_method=request.method,
            request_url=target,
            **options,
        )
        body.chunked = self.chunked

    def reads(self, body: Body) -> bool:
        """Return whether ``body`` is read from here, with nothing in between."""
        fp: object = self._fp
        return fp is body

    def read_from(self, body: Body) -> None:
        """Read from ``body`` instead, which has the same bytes."""
        self._fp = body  # type: ignore[assignment]

    def read_past(self, count: int) -> None:
        """Note that the whole body, ``count`` bytes, was read past this object."""
        if not self.chunked:  # which urllib3 does not count
            self._fp_bytes_read = count
        if self.length_remaining is not None:
            self.length_remaining -= count

    def release_conn(self) -> None:
        """Do nothing: the connection goes back by itself at the end of the body."""


class Original:
    """The part of ``http.client``'s response that is used: its headers, for their cookies."""

    def __init__(self, headers: HTTPHeaderDict, body: Body) -> None:
        self._body = body
        self.msg = HTTPMessage()
        for name, value in headers.iteritems():
            self.msg[name] = value

    def isclosed(self) -> bool:
        """Return whether the body has been read to its end, or closed."""
        return self._body.isclosed()

    def close(self) -> None:
        """Close the body."""
        self._body.close()
