"""The Cookie header of a request, octet for octet.

aiohttp would sort the cookies by name, send one of each name, and parse and quote them again.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping, Sequence
from http.cookies import BaseCookie, Morsel
from typing import TYPE_CHECKING, Any

from aiohttp import ClientRequest, ClientResponse, hdrs

from ..._version import USER_AGENT
from ..engine.client import hold_head_back, replace_head, replace_in_head
from ..exchange.progress import progress

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection

    from ..._types import LooseCookies


class SentCookies(BaseCookie[str]):
    """The cookies of one request: by name, and all of them in order as ``pairs``."""

    #: Not made for each: most requests have none.
    pairs: Sequence[tuple[str, str]] = ()

    def add(self, name: str, text: str, morsel: Morsel[str]) -> None:
        """Append a cookie; the first one with a name is the one found by that name."""
        self.pairs = (*self.pairs, (name, text))
        dict.setdefault(self, name, morsel)

    def copy(self) -> SentCookies:
        """Return a copy, to which cookies can be added."""
        copied = SentCookies()
        dict.update(copied, self)
        copied.pairs = self.pairs
        return copied

    def load(self, rawdata: Any) -> None:
        """Append the cookies given for one request, replacing those with the same names.

        aiohttp calls this with ``cookies=``.
        """
        super().load(rawdata)
        if isinstance(rawdata, Mapping):
            kept = [pair for pair in self.pairs if pair[0] not in rawdata]
            self.pairs = (*kept, *(_pair(self[name]) for name in rawdata))


def _pair(morsel: Morsel[str]) -> tuple[str, str]:
    name, value = morsel.key, morsel.coded_value
    return name, f"{name}={value}" if name else value


class CookieRequest(ClientRequest):
    """aiohttp's request, which sends its cookies unchanged, and names us as the user agent."""

    #: The Cookie header, if it is not UTF-8.
    _octets: bytes | None = None
    #: The whole head, where aiohttp would not write it as it is to be.
    _head: bytes | None = None

    def update_auto_headers(self, skip_auto_headers: Iterable[str] | None) -> None:
        """Add the headers that are added by themselves, with our User-Agent."""
        given = hdrs.USER_AGENT in self.headers
        super().update_auto_headers(skip_auto_headers)
        if not given and hdrs.USER_AGENT in self.headers:
            self.headers[hdrs.USER_AGENT] = USER_AGENT

    def update_cookies(self, cookies: LooseCookies | None) -> None:
        """Add the cookies to the Cookie header that the caller gave, if any.

        They replace cookies with the same names in that header, as in aiohttp.
        """
        if not isinstance(cookies, SentCookies):
            # Cookies of one of aiohttp's jars, which keeps aiohttp's rules.
            super().update_cookies(cookies)
            return
        if not cookies.pairs:
            return
        said = [text for _, text in cookies.pairs]
        if hdrs.COOKIE in self.headers:
            written = "; ".join(self.headers.getall(hdrs.COOKIE)).split(";")
            kept = [pair.strip() for pair in written if _name(pair) not in cookies]
            said = [*filter(None, kept), *said]
        header = self.headers[hdrs.COOKIE] = "; ".join(said)
        if not header.isascii():
            octets = header.encode("utf-8", "surrogateescape")
            if octets != header.encode("utf-8", "replace"):
                self._octets = octets

    # Neither is a coroutine itself: every request passes here.

    def send(self, conn: Connection) -> Coroutine[Any, Any, ClientResponse]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Send the request."""
        exchange = progress.get()
        if exchange is not None and (exact := exchange.exact) is not None:
            self.headers = exact.headers
            if exact.octets is not None:
                self._head = exact.octets
                # Without a body there would be no write_bytes() between the head and its sending.
                hold_head_back(self)
        return super().send(conn) if self._octets is None else self._send_octets(conn)

    async def _send_octets(self, conn: Connection) -> ClientResponse:
        header = self.headers.get(hdrs.COOKIE, "")
        if header.encode("utf-8", "surrogateescape") != self._octets:
            self._octets = None  # a middleware has changed it
            return await super().send(conn)
        # Without a body there would be no write_bytes() between the head and its sending.
        hold_head_back(self)
        # aiohttp encodes the head as UTF-8: for now without the cookies that cannot be.
        self.headers[hdrs.COOKIE] = _encodable(header)
        try:
            return await super().send(conn)
        finally:
            self.headers[hdrs.COOKIE] = header

    def write_bytes(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> Coroutine[Any, Any, None]:
        """Put the octets of the cookies into the head, then write the body."""
        if self._head is not None:
            replace_head(writer, self._head)
        elif self._octets is not None:
            header = _encodable(self._octets.decode("utf-8", "surrogateescape")).encode()
            line = b"\r\nCookie: %b\r\n"
            replace_in_head(writer, line % header, line % self._octets)
        return super().write_bytes(writer, conn, content_length)


def _encodable(header: str) -> str:
    """Return a Cookie header without the cookies that are not UTF-8."""
    pairs = header.split("; ")
    return "; ".join(p for p in pairs if p.encode("utf-8", "replace").decode() == p)


def take_cookies(request: ClientRequest, response: ClientResponse) -> None:
    """Keep the cookies of ``response``, and add them to ``request``, which is sent again.

    For middlewares that send a request again: the session sees only the last response.
    """
    headers = response.headers.getall(hdrs.SET_COOKIE, ())
    if headers:
        jar = request.session.cookie_jar
        jar.update_cookies_from_headers(headers, response.url)
        request.update_cookies(jar.filter_cookies(request.url))


def _name(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return name.strip() if equals else ""
