"""The parsed headers that our responses and the engine's, as we make it, have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs
from aiohttp.client_reqrep import ContentDisposition
from multidict import CIMultiDictProxy, MultiDictProxy
from yarl import URL

from .content_disposition import content_disposition
from .links import Link, links


class ParsedHeaders:
    """What the headers of a response say that is more than text."""

    if TYPE_CHECKING:

        @property
        def headers(self) -> CIMultiDictProxy[str]: ...

        @property
        def url(self) -> URL: ...

    @property
    def links(self) -> MultiDictProxy[Link]:
        """The Link headers by relation (RFC 8288): ``response.links["next"]["url"]``.

        A link with several relations is there under each, one with none under its target.
        Malformed links are passed over.
        """
        return links(self.headers.getall(hdrs.LINK, ()), self.url)

    @property
    def content_disposition(self) -> ContentDisposition | None:
        """The Content-Disposition header (RFC 6266) as browsers read it, or None.

        Its ``filename`` is what the server says: it may hold ``/`` and ``..``.
        """
        return content_disposition(self.headers.getall(hdrs.CONTENT_DISPOSITION, ()))
