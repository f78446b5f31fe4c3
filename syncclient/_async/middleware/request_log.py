"""A log of requests and responses, without the secrets in them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ..._models import SECRET_HEADERS, redacted_url
from .secrets import is_secret

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

#: The name of the logger, unless another one is given.
LOGGER = "syncclient.requests"

_HIDDEN = "[redacted]"


class RequestLog:
    """An aiohttp middleware: logs each request with its status and duration.

    It logs a line for each response at level INFO, one for each failed request at WARNING, and
    another with the headers of both at DEBUG. Each hop of a redirect and each attempt has its own
    lines. Possible secrets are left out: credentials in URLs, and the values of headers and query
    parameters with names like key, token or password. Bodies are not logged, nor the texts of
    errors, which reach the caller anyway.

    Logging happens on the loop thread, in a copy of the caller's context. A handler that blocks
    delays all requests, so write to files and networks by a ``logging.handlers.QueueHandler``.
    The last middleware of a session sees requests exactly as they are sent.

    Args:
        logger: a Logger or the name of one.
        secrets: further names of headers or query parameters whose values are left out.
    """

    def __init__(
        self, logger: logging.Logger | str = LOGGER, *, secrets: Iterable[str] = ()
    ) -> None:
        if isinstance(secrets, str):
            raise TypeError(f"secrets must be a list of names: write [{secrets!r}]")
        if not isinstance(logger, (str, logging.Logger)):
            raise TypeError(f"logger must be a Logger or its name, not {type(logger).__name__}")
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._secrets = SECRET_HEADERS.union(name.lower() for name in secrets)

    def __repr__(self) -> str:
        return f"<RequestLog {self._logger.name}>"

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request on, and log its result."""
        logger = self._logger
        began = time.monotonic()
        try:
            response = await handler(request)
        except BaseException as exc:
            if logger.isEnabledFor(logging.WARNING):
                logger.warning(
                    "%s %s failed after %.3f s: %s",
                    request.method,
                    self.without_secrets(request.url),
                    time.monotonic() - began,
                    type(exc).__name__,  # its text may repeat the URL
                )
            raise
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "%s %s -> %d in %.3f s",
                request.method,
                self.without_secrets(request.url),
                response.status,
                time.monotonic() - began,
            )
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s sent %s and got %s",
                request.method,
                self.without_secrets(request.url),
                self._headers(request.headers),
                self._headers(response.headers),
            )
        return response

    def without_secrets(self, url: URL) -> str:
        """Return ``url`` as text, without possible secrets and without its fragment."""
        url = url.with_fragment(None)
        if any(self._is_secret(name) for name in url.query):
            url = url.with_query(
                [(name, _HIDDEN if self._is_secret(name) else v) for name, v in url.query.items()]
            )
        return redacted_url(url)

    def _headers(self, headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> dict[str, str]:
        return {
            name: _HIDDEN if self._is_secret(name) else ", ".join(headers.getall(name))
            for name in headers
        }

    def _is_secret(self, name: str) -> bool:
        return name.lower() in self._secrets or is_secret(name)
