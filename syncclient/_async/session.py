"""The async client: aiohttp's session, and the registry of what is open through it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import aiohttp
from aiohttp import ClientTimeout
from aiohttp.abc import AbstractCookieJar
from yarl import URL

from .._models import Reply
from .._types import LooseCookies
from . import phase
from .body import Body
from .connector import Pool
from .credentials import Credentials
from .environment import Environment
from .errors import explained
from .exchange import Exchange
from .head import head_of
from .many import AsyncMany, Feed, Relay
from .phase import Phase, Progress
from .retry import Budget, Retry, Retrying
from .tcp import TCPPool, unix_socket
from .whole import watch

T = TypeVar("T")

#: What a request comes to: a reply, and what of it is still open.
Answer = tuple[Reply, Exchange | None]

#: The arguments of ``AsyncSession.request``.
Crossing = tuple[str, URL, ClientTimeout, dict[str, Any]]


class Closable(Protocol):
    """Something open through a session: closing the session closes it."""

    async def aclose(self) -> None:
        """Close it; bounded by its own close timeout."""


class AsyncSession:
    """aiohttp's ClientSession as this library uses it. Made and used on one event loop.

    Args:
        connector: makes the connector; called once, here.
        cookie_jar: makes, or returns, the cookie jar; called once, here.
        cookies: put into the jar, for every host.
        retry: when requests that have no policy of their own are tried again.
        options: the keywords of aiohttp.ClientSession that describe no transport.
    """

    def __init__(
        self,
        *,
        connector: Callable[[], Pool],
        cookie_jar: Callable[[], AbstractCookieJar],
        cookies: LooseCookies | None = None,
        retry: Retry | None = None,
        max_body: int | None = None,
        options: dict[str, Any],
    ) -> None:
        self._max_body = max_body
        self._pool = connector()
        watch(self._pool)
        options = dict(options)
        self._middlewares = tuple(options.get("middlewares", ()))
        #: Completes every request from the environment, where that is trusted.
        self._environment: tuple[Environment, ...] = ()
        if options.pop("trust_env", False):
            # A Unix socket or a SOCKS connector is a way of its own already.
            self._environment = (Environment(proxies=type(self._pool) is TCPPool),)
            options["middlewares"] = (*self._environment, *self._middlewares)
        self.http = aiohttp.ClientSession(
            connector=self._pool, cookie_jar=cookie_jar(), cookies=cookies, **options
        )
        self._retry = retry
        self._budgets: dict[Retry, Budget] = {}
        if retry is not None:
            # aiohttp's own second attempt, on a dead kept-alive connection, which neither
            # counts nor waits. Private, but what its own test client switches off as well.
            self.http._retry_connection = False
        self._open: set[Closable] = set()

    def request(
        self, method: str, url: URL, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Coroutine[Any, Any, Answer]:
        """Send a request and wait for the head of its response.

        The body comes along if it has all arrived by then, and nothing stays open;
        otherwise the second value is what is still open.
        """
        return self._send(self._request, method, url, timeout, options)

    async def fetch(
        self, method: str, url: URL, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Reply:
        """Send a request, and wait for the whole of its response."""
        reply, _ = await self._send(self._fetch, method, url, timeout, options)
        return reply

    def _send(
        self,
        ask: Callable[[Progress, ClientTimeout, dict[str, Any]], Coroutine[Any, Any, Answer]],
        method: str,
        url: URL,
        timeout: ClientTimeout,
        options: dict[str, Any],
    ) -> Coroutine[Any, Any, Answer]:
        """Have ``ask`` make the request, as often as the policy for retries says."""
        # No coroutine itself: most requests have no policy, and each would pay for one.
        progress = Progress(method, url, timeout)
        policy: Retry | None = options.pop("retry", self._retry)
        if policy is None or not policy.applies(method):
            return ask(progress, timeout, options)
        budget = None
        if policy.budget is not None:
            budget = self._budgets.setdefault(policy, Budget(policy.budget))
        retrying = Retrying(policy, budget, progress, options.get("data"))
        # Each attempt has options of its own: they are changed on their way.
        return retrying.run(lambda left: ask(progress, left, dict(options)))

    async def _request(
        self, progress: Progress, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Answer:
        method, url = progress.method, progress.url
        progress.phase, progress.detail = Phase.HEAD, ""
        phase.begin(progress)
        # Always: the same task, and so the same context, may have made another request.
        unix_socket.set(options.pop("unix_socket", None))
        max_body: int | None = options.pop("max_body", self._max_body)
        authorization: str | None = options.pop("authorization", None)
        if authorization is not None:
            own = options.get("middlewares", self._middlewares)
            first = Credentials(authorization, url)
            options["middlewares"] = (first, *self._environment, *own)
        elif self._environment and "middlewares" in options:
            options["middlewares"] = (*self._environment, *options["middlewares"])
        body = options.get("data")
        body = body if isinstance(body, Body) else None
        fault = None
        request = self.http.request(method, url, timeout=timeout, **options)
        try:
            response = await (request if body is None else body.sent(request, progress))
        except Exception as exc:
            fault = None if body is None else body.fault
            if fault is None:
                error = explained(exc, progress)
                raise error from (exc if error is not exc else exc.__cause__)
        if fault is not None:
            # What the user's code raised goes to the caller as it was, with its own context.
            raise fault
        head = head_of(response)
        content = response.content
        # A fault in a body that is here already is kept for the read() that asks for it.
        here = content.is_eof() and content.exception() is None
        if here and (max_body is None or content.total_bytes <= max_body):
            return Reply(head, await response.read()), None
        exchange = Exchange(response, progress, self.forget, max_body=max_body)
        self._open.add(exchange)
        return Reply(head, None), exchange

    async def _fetch(
        self, progress: Progress, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Answer:
        reply, exchange = await self._request(progress, timeout, options)
        if exchange is None:
            return reply, None
        try:
            return reply._replace(body=await exchange.read()), None
        except BaseException:
            exchange.abort()
            raise

    def many(
        self, feed: Feed[Crossing], concurrency: int, relay: Relay | None = None
    ) -> AsyncMany[Crossing, Reply]:
        """Return the means to have many requests under way, closed with the session."""
        many = AsyncMany(self._fetch_one, feed, concurrency, relay=relay, forget=self.forget)
        self.adopt(many)
        return many

    async def _fetch_one(self, request: Crossing) -> Reply:
        return await self.fetch(*request)

    async def ask_pool(self, question: Callable[[Pool], T]) -> T:
        """Return the answer of the pool of connections to ``question``."""
        return question(self._pool)

    def adopt(self, live: Closable) -> None:
        """Have ``live`` closed with the session, unless it is forgotten before."""
        self._open.add(live)

    def forget(self, live: Closable) -> None:
        """``live`` has ended by itself."""
        self._open.discard(live)

    async def aclose(self) -> None:
        """Close all that is open, all at once, and then the connections."""
        live = list(self._open)
        if live:
            await asyncio.gather(*(each.aclose() for each in live), return_exceptions=True)
        await self.http.close()
