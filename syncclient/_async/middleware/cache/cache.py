"""A cache of responses, as a middleware (RFC 9111)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from aiohttp import ClientConnectionError, hdrs
from multidict import CIMultiDict

from ...connect.per_loop import PerLoop
from ...cookies.sent import take_cookies
from ...engine.decoded_reader import DecodedReader
from ...engine.kept_reader import KeptReader
from ...engine.stored_response import can_make_responses, stored_response
from ...exchange import progress as phase
from ...exchange.progress import Phase, Progress, enter
from ..secrets import is_secret
from .file import CacheFile, Found
from .rules import (
    ERRORS,
    SAFE,
    Reuse,
    Stored,
    age,
    asked,
    conditions,
    goes_past,
    invalidated,
    is_about,
    is_public,
    is_storable,
    matches,
    reuse,
    stands_in,
    storable_headers,
    updated_headers,
    variant_of,
)

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("syncclient")

#: Maximum number of seconds for a validation in the background.
_VALIDATION_LIMIT = 60.0

_DAY = 86400.0


class HTTPCache:
    """A middleware that caches responses in a file (RFC 9111)::

        cache = HTTPCache("~/.cache/my-program/http.db")
        session = Session(middlewares=[cache])

    Fresh responses to GET are served without a request. Stale responses are served after the
    server has confirmed them (304), or as ``stale-while-revalidate`` and ``stale-if-error``
    allow. ``Cache-Control`` of a request is respected as well. ``Response.from_cache`` shows
    whether a response came from the cache. A body is stored once it has been read to its end; a
    body longer than ``max_body`` passes through without being stored.

    Any number of sessions, threads and processes may use the file at once. The cache is private:
    a response is served only to requests with the same credentials, which are the headers
    Authorization and Cookie, and headers with names like key or token. Only responses that the
    server marks as ``public`` are shared. So place the cache after middlewares that add
    credentials. If credentials are not in headers, such as client certificates, use a
    ``partition`` for each user.

    The cache never makes a request fail: if the file cannot be read or written, this is logged,
    and the request goes to the server. File access happens on worker threads; the loop thread
    never waits for the disk.

    Args:
        path: the file. It is created with its folder, readable by this user only.
        partition: separates responses in the same file from those of other partitions.
        max_size: maximum total size in bytes; beyond it, the least recently used responses are
            removed.
        max_body: maximum size of a decompressed body in bytes; longer bodies are not stored.
        max_age: seconds after which a response is dropped, fresh or not.
        stale_if_error: seconds for which a stale response is served if the server cannot be
            reached or responds with 500, 502, 503 or 504, as if every response allowed it.

    Raises:
        ValueError: ``path`` is another kind of file.
        OSError: the file cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        partition: str = "",
        max_size: int = 2**28,
        max_body: int = 2**20,
        max_age: float = 30 * _DAY,
        stale_if_error: float = 0.0,
    ) -> None:
        for name, number in (("max_size", max_size), ("max_body", max_body)):
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name} must be a whole number of bytes, not {number!r}")
            if number < 1:
                raise ValueError(f"{name} must be 1 or more bytes, not {number}")
        for name, seconds in (("max_age", max_age), ("stale_if_error", stale_if_error)):
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
                raise TypeError(f"{name} must be a number of seconds, not {seconds!r}")
            if not seconds >= 0:
                raise ValueError(f"{name} must be 0 or more seconds, not {seconds}")
        if not isinstance(partition, str):
            raise TypeError(f"partition must be a str, not {type(partition).__name__}")
        self._keywords: dict[str, Any] = {
            "path": path,
            "partition": partition,
            "max_size": max_size,
            "max_body": max_body,
            "max_age": max_age,
            "stale_if_error": stale_if_error,
        }
        self._path = Path(path).expanduser().absolute()
        self._file = CacheFile(self._path, max_size, max_age)
        self._partition = _digest(partition)
        self._max_body = max_body
        self._stale_if_error = stale_if_error
        self._loops: PerLoop[_Here] = PerLoop(_Here)

    def __repr__(self) -> str:
        return f"<HTTPCache {self._path}>"

    def __reduce__(self) -> tuple[object, ...]:
        return partial(type(self), **self._keywords), ()

    def clear(self) -> None:
        """Remove everything from the file, in all partitions. Any thread; blocks for the disk."""
        self._file.clear()

    @property
    def size(self) -> tuple[int, int]:
        """Return the number of stored responses, and their size in bytes. Blocks for the disk."""
        return self._file.measure()

    #: The clock: seconds since the epoch, the same for all processes.
    _now = staticmethod(time.time)

    # -- on the loop thread ------------------------------------------------------------

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Answer the request from the cache, or send it on."""
        method = request.method.upper()
        if method not in SAFE:
            response = await handler(request)
            await self._invalidate(request, response)
            return response
        if goes_past(method, request.headers) or not can_make_responses():
            return await handler(request)
        return await _Visit(self, request, handler).answer()

    async def _invalidate(self, request: ClientRequest, response: ClientResponse) -> None:
        wrong = invalidated(request.url.with_fragment(None), response.status, response.headers)
        if urls := [str(url) for url in wrong]:
            await self._run(None, self._file.delete, urls, self._partition)

    def _owners_for(self, request: ClientRequest) -> tuple[bytes, bytes]:
        """Return who everybody is, and who the sender of ``request`` is."""
        secrets = sorted(
            (name.lower(), value) for name, value in request.headers.items() if is_secret(name)
        )
        everybody = self._partition + _digest("")
        return everybody, self._partition + _digest(repr(secrets)) if secrets else everybody

    async def _run(
        self, default: R, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Return what ``function`` returns on a worker thread; ``default`` where it fails.

        One at a time: more would only wait for each other's locks on the file.
        """
        here = self._loops.here()
        async with here.turn:
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(None, partial(function, *args, **kwargs))
            except Exception as exc:
                if type(exc) not in here.said:
                    here.said.add(type(exc))
                    _log.warning("%r is not used for some requests: %s", self, exc)
                return default

    def _validate_later(self, key: object, validate: Callable[[], Awaitable[object]]) -> None:
        """Run ``validate`` in the background, once at a time for each ``key``."""
        validating = self._loops.here().validating
        if key not in validating:
            task = asyncio.ensure_future(_quietly(validate))
            validating[key] = task
            task.add_done_callback(lambda _: validating.pop(key, None))


class _Here:
    """What a cache keeps for one event loop."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.validating: dict[object, asyncio.Task[None]] = {}
        #: The kinds of error that were logged.
        self.said: set[type[Exception]] = set()


class _Visit:
    """One request at the cache. Event loop only."""

    def __init__(
        self, cache: HTTPCache, request: ClientRequest, handler: ClientHandlerType
    ) -> None:
        self._cache = cache
        self._request = request
        self._handler = handler
        self._url = str(request.url.with_fragment(None))
        self._asked = asked(request.headers)
        # A copy: what the middlewares behind this one add is for the server.
        self._headers = request.headers.copy()
        self._owners = cache._owners_for(request)

    async def answer(self) -> ClientResponse:
        """Return the response to the request."""
        enter(Phase.MIDDLEWARE, "looking into the cache")
        now = self._cache._now()
        found = await self._cache._run(
            None, self._cache._file.find, self._url, self._owners, self._choose, now
        )
        enter(Phase.HEAD)
        if found is not None:
            verdict = reuse(found.stored, self._asked, now)
            if verdict is Reuse.SERVE_AND_VALIDATE:
                response = await self._served(found, now)
                key = (self._url, self._owners, found.stored.variant)
                self._cache._validate_later(key, partial(self._validated_apart, found))
                return response
            if verdict is Reuse.SERVE:
                return await self._served(found, now)
        if "only-if-cached" in self._asked:
            headers = CIMultiDict({hdrs.CONTENT_LENGTH: "0"})
            return await stored_response(
                self._request, 504, "Gateway Timeout", (1, 1), headers, b""
            )
        if found is None or self._request.method != hdrs.METH_GET:
            return await self._fetched()
        return await self._validated(found)

    def _choose(self, heads: list[Stored]) -> int | None:
        """Return the one to look at; the newest comes first. On a worker thread."""
        for index, stored in enumerate(heads):
            if matches(stored.variant, self._headers):
                return index
        return None

    async def _served(self, found: Found, now: float) -> ClientResponse:
        stored = found.stored
        headers = CIMultiDict(stored.headers)
        headers[hdrs.AGE] = str(int(age(stored, now)))
        headers[hdrs.CONTENT_LENGTH] = str(len(found.body))
        body = b"" if self._request.method == hdrs.METH_HEAD else found.body
        return await stored_response(
            self._request, stored.status, stored.reason, stored.version, headers, body
        )

    async def _fetched(self) -> ClientResponse:
        """Return the server's response, which is stored if it may be."""
        requested = self._cache._now()
        response = await self._handler(self._request)
        await self._keep(response, requested)
        return response

    async def _validated(self, found: Found) -> ClientResponse:
        """Return what the server has, which may be the stored response still."""
        stored, request = found.stored, self._request
        ours = conditions(stored)
        request.headers.update(ours)
        requested = self._cache._now()
        try:
            response = await self._handler(request)
        except ClientConnectionError:
            now = self._cache._now()
            if stands_in(stored, self._asked, now, self._cache._stale_if_error):
                return await self._served(found, now)
            raise
        finally:
            for name in ours:
                request.headers.popall(name, None)
        now = self._cache._now()
        if response.status in ERRORS and stands_in(
            stored, self._asked, now, self._cache._stale_if_error
        ):
            response.release()
            return await self._served(found, now)
        if response.status != 304:
            if response.status not in ERRORS:
                await self._cache._run(None, self._cache._file.drop, found.id)
            await self._keep(response, requested)
            return response
        response.release()
        take_cookies(request, response)
        if not is_about(stored, response.headers):
            return await self._fetched()  # it speaks of another one
        headers = updated_headers(stored.headers, response.headers, now)
        stored = stored._replace(headers=headers, requested=requested, received=now)
        await self._cache._run(None, self._cache._file.update, found.id, stored)
        return await self._served(found._replace(stored=stored), now)

    async def _validated_apart(self, found: Found) -> None:
        # Of its own: the request whose context this is has its answer.
        phase.begin(Progress(self._request.method, self._request.url))
        response = await self._validated(found)
        try:
            await response.read()
        finally:
            response.release()

    async def _keep(self, response: ClientResponse, requested: float) -> None:
        """Store a response once its body has been read."""
        request, received = self._request, self._cache._now()
        headers = storable_headers(response.headers, received)
        if not is_storable(request.method, response.status, headers):
            return
        everybody, sender = self._cache._owners_for(request)
        owner = everybody if is_public(headers) else sender
        if owner not in self._owners:
            return  # credentials were added behind the cache: it would never be found
        version = response.version
        stored = Stored(
            response.status,
            response.reason or "",
            (1, 1) if version is None else (version.major, version.minor),
            headers,
            requested,
            received,
            variant_of(self._headers, headers),
        )
        length = response.headers.get(hdrs.CONTENT_LENGTH, "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._cache._max_body:
            return

        async def store(body: bytes) -> None:
            await self._cache._run(None, self._cache._file.store, self._url, owner, stored, body)

        content = response.content
        if hdrs.CONTENT_ENCODING in response.headers and not isinstance(content, DecodedReader):
            return  # stored bodies are decoded for every reader
        if content.is_eof() and content.exception() is None:
            if content.total_bytes <= self._cache._max_body:
                await store(await response.read())
        elif content.exception() is None:
            response.content = KeptReader(
                content,
                lambda body: asyncio.ensure_future(store(body)),
                self._cache._max_body,
                chunked=hdrs.TRANSFER_ENCODING in response.headers,
                loop=asyncio.get_running_loop(),
            )


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:16]


async def _quietly(validate: Callable[[], Awaitable[object]]) -> None:
    try:
        await asyncio.wait_for(validate(), _VALIDATION_LIMIT)
    except Exception as exc:
        # No caller waits for it. The next request tries again.
        _log.debug("a stored response could not be validated: %r", exc)
