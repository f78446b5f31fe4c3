"""The response of the lean exchange: what the rest of the core asks of aiohttp's."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeAlias

from aiohttp import ClientConnectionError, ClientResponse

from ..engine.lean_names import rest_of

if TYPE_CHECKING:
    from aiohttp import RequestInfo, StreamReader
    from multidict import CIMultiDictProxy
    from yarl import URL

    from ..._models import Head
    from ..engine.lean_connection import AnyConnection


class LeanResponse:
    """A head, the reader of the body, and the connection until that has ended. Event loop only.

    Its names are those of aiohttp's ClientResponse.
    """

    __slots__ = ("_history", "_released", "connection", "content", "head")

    #: Requests with tracers go the other way.
    _traces: ClassVar[tuple[()]] = ()

    def __init__(self, head: Head, content: StreamReader, connection: AnyConnection) -> None:
        self.head = head
        self.content = content
        self.connection: AnyConnection | None = connection
        self._history: tuple[AnyResponse, ...] = ()
        self._released = False

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def url(self) -> URL:
        return self.head.url

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self.head.headers

    @property
    def request_info(self) -> RequestInfo:
        return self.head.request_info

    @property
    def history(self) -> tuple[AnyResponse, ...]:
        return self._history

    async def read(self) -> bytes:
        """Return the body, which is here to its end."""
        return rest_of(self.content)

    def release(self) -> None:
        """Give the connection back; one with unread data on it is closed."""
        self._break_off()
        if self.connection is not None:
            self.connection.release()
            self.connection = None

    def close(self) -> None:
        """Close the connection."""
        self._break_off()
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def end(self) -> None:
        """Give the connection back, for the body has ended."""
        # One on which the server has switched protocols, unasked, is closed by this.
        if self.connection is not None:
            self.connection.release()
            self.connection = None

    def _break_off(self) -> None:
        if not self._released:
            self._released = True
            if self.content.exception() is None:
                self.content.set_exception(ClientConnectionError("Connection closed"))


#: The response of one hop, whichever way it went.
AnyResponse: TypeAlias = "ClientResponse | LeanResponse"
