"""A log of requests and responses, without the secrets in them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from .._models import SECRET_HEADERS

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

#: The name of the logger, unless another one is given.
LOGGER = "syncclient.requests"

_HIDDEN = "[redacted]"

#: A word of a name: of X-Api-Key, api_key or apiKey.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")

#: A name with one of these words in it has a secret as its value.
_SECRET_WORDS = frozenset(
    {
        *("auth", "authorization", "code", "cookie", "credential", "credentials", "jwt", "key"),
        *("passphrase", "password", "passwd", "pwd", "secret", "session", "sid", "sig"),
        *("signature", "token"),
    }
)

#: Written as one word: apikey, accesstoken.
_SECRET_ENDINGS = ("key", "password", "secret", "signature", "token")


class RequestLog:
    """An aiohttp middleware: logs each request with its status and the seconds it took.

    At level INFO there is a line for each response, at WARNING one for each request that
    failed, and at DEBUG one more with the headers of both. Each hop of a redirect and each
    attempt has its own. What may be a secret is left out: credentials in URLs, and the values
    of headers and query parameters whose names speak of a key, a token, a password or the
    like. Bodies are not logged, nor the texts of errors, which reach the caller anyway.

    Logging happens on the loop thread, in a copy of the caller's context: a handler that
    blocks holds up all requests, so write to files and networks by a
    ``logging.handlers.QueueHandler``. The last middleware of a session sees what is sent.

    Args:
        logger: a Logger or the name of one.
        secrets: more names, of headers or query parameters, whose values are left out.
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
        """Send the request on, and log what came of it."""
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
        """Return ``url`` as text without the secrets it may hold, nor its fragment."""
        url = url.with_fragment(None)
        if url.raw_user is not None or url.raw_password is not None:
            url = url.with_user(None)
        if any(self._is_secret(name) for name in url.query):
            url = url.with_query(
                [(name, _HIDDEN if self._is_secret(name) else v) for name, v in url.query.items()]
            )
        return str(url)

    def _headers(self, headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> dict[str, str]:
        return {
            name: _HIDDEN if self._is_secret(name) else ", ".join(headers.getall(name))
            for name in headers
        }

    def _is_secret(self, name: str) -> bool:
        lower = name.lower()
        return (
            lower in self._secrets
            or lower.endswith(_SECRET_ENDINGS)
            or not _SECRET_WORDS.isdisjoint(word.lower() for word in _WORD.findall(name))
        )
