"""The async client: aiohttp's session, and the registry of what is open through it."""

from __future__ import annotations

import asyncio
import weakref
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
from .carried import CarriedError
from .connector import Pool, stand_ins
from .credentials import Credentials
from .environment import Environment
from .errors import cause, explained
from .exchange import Exchange
from .head import head_of
from .many import AsyncMany, Feed, Relay
from .phase import Phase, Progress
from .retry import Budget, Retry, Retrying
from .tcp import TCPPool, unix_socket
from .timings import Timed
from .tracing import Views, bridged, fault_in
from .whole import watch

T = TypeVar("T")

#: What a request comes to: a reply, and what of it is still open.
Answer = tuple[Reply, Exchange | None]

#: The arguments of ``AsyncSession.request``.
Crossing = tuple[str, URL, ClientTimeout, dict[str, Any]]


#: Makes the session that is given its ``connector``.
Opener = Callable[..., "AsyncSession"]


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
        timings: whether requests that do not say so tell where their time went.
        views: what plain functions among the callbacks for tracing see.
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
        timings: bool = False,
        views: Views | None = None,
        options: dict[str, Any],
    ) -> None:
        self._max_body = max_body
        self._timings = timings
        self._pool = connector()
        watch(self._pool)
        options = dict(options)
        if configs := options.get("trace_configs"):
            options["trace_configs"] = bridged(configs, views or Views())
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
        #: Whether aiohttp may itself make a second attempt on a dead kept-alive connection. Not
        #: where a test counts them, nor with a policy that does.
        self._repeats = retry is None and not self._pool.in_process
        self.http._retry_connection = self._repeats
        self._open: set[Closable] = set()
        #: Those of them that do not end by themselves.
        self._lasting: set[Closable] = set()
        self._forgotten = asyncio.Event()
        #: By what made them: sessions with other settings on the same pool.
        self._others: dict[weakref.ref[Opener], AsyncSession] = {}

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
        timed: bool = options.pop("timings", self._timings)
        progress = (Timed if timed else Progress)(method, url, timeout)
        policy: Retry | None = options.pop("retry", self._retry)
        if policy is None or not policy.applies(method):
            return ask(progress, timeout, options)
        budget = None
        if policy.budget is not None:
            budget = self._budgets.setdefault(policy, Budget(policy.budget))
        retrying = Retrying(policy, budget, progress, options.get("data"))
        # Each attempt has options of its own: they are changed on their way.
        return retrying.run(lambda left: ask(progress.afresh(), left, {**options, "counted": True}))

    async def _request(
        self, progress: Progress, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Answer:
        method, url = progress.method, progress.url
        progress.phase, progress.detail = Phase.HEAD, ""
        phase.begin(progress)
        # Always: the same task, and so the same context, may have made another request.
        unix_socket.set(options.pop("unix_socket", None))
        max_body: int | None = options.pop("max_body", self._max_body)
        progress.max_body = max_body
        authorization: str | None = options.pop("authorization", None)
        if authorization is not None:
            own = options.get("middlewares", self._middlewares)
            first = Credentials(authorization, url)
            options["middlewares"] = (first, *self._environment, *own)
        elif self._environment and "middlewares" in options:
            options["middlewares"] = (*self._environment, *options["middlewares"])
        body = options.get("data")
        body = body if body is not None and isinstance(body, Body) else None
        fault = None
        # Private, but what aiohttp's own test client switches off as well. Looked at before
        # the first wait of the request.
        counted: bool = options.pop("counted", False)
        self.http._retry_connection = self._repeats and not counted and not stand_ins
        request = self.http.request(method, url, timeout=timeout, **options)
        try:
            response = await (request if body is None else body.sent(request, progress))
        except Exception as exc:
            fault = fault_in(exc, progress) or (None if body is None else body.fault)
            if isinstance(exc, CarriedError):
                fault = exc.error
            if fault is None:
                error = explained(exc, progress)
                raise error from cause(error, exc)
        if fault is not None:
            # What the user's code raised goes to the caller as it was, with its own context.
            raise fault
        head = head_of(response)
        content = response.content
        # A fault in a body that is here already is kept for the read() that asks for it.
        here = content.is_eof() and content.exception() is None
        if here and (max_body is None or content.total_bytes <= max_body):
            progress.phase = Phase.BODY
            reply = Reply(head, await response.read())
            return (progress.timed(reply) if type(progress) is Timed else reply), None
        exchange = Exchange(response, progress, self.forget, max_body=max_body)
        self._open.add(exchange)
        reply = Reply(head, None)
        return (progress.timed(reply) if type(progress) is Timed else reply), exchange

    async def _fetch(
        self, progress: Progress, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Answer:
        reply, exchange = await self._request(progress, timeout, options)
        if exchange is None:
            return reply, None
        try:
            return reply._replace(body=await exchange.read(), timings=progress.timings()), None
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

    def adopt(self, live: Closable, *, lasts: bool = False) -> None:
        """Have ``live`` closed with the session, unless it is forgotten before.

        One that ``lasts`` does not end by itself, so nobody waits for that.
        """
        self._open.add(live)
        if lasts:
            self._lasting.add(live)

    def forget(self, live: Closable) -> None:
        """``live`` has ended by itself."""
        self._open.discard(live)
        self._lasting.discard(live)
        self._forgotten.set()

    def beside(self, make: Opener) -> AsyncSession:
        """Return the session that ``make`` makes on the pool of this one; it does so once.

        It lasts as long as ``make`` or what is open through it, and is closed with this one.
        """
        key = weakref.ref(make)
        session = self._others.get(key)
        if session is None:
            self._let_go()
            session = self._others[key] = make(connector=lambda: self._pool)
            session._budgets = self._budgets
        return session

    def _let_go(self) -> None:
        """Forget the sessions that nobody can use again. Here: no finaliser may touch them."""
        for key, session in list(self._others.items()):
            if key() is None and not session._open:
                session.http.detach()
                del self._others[key]

    async def settle(self) -> None:
        """Wait until no response is left unread, and no download or batch of requests under way.

        Not for what lasts until it is closed: WebSockets, and sources of events.
        """
        while busy := [each for each in (self, *self._others.values()) if each._unsettled()]:
            busy[0]._forgotten.clear()
            await busy[0]._forgotten.wait()

    def _unsettled(self) -> bool:
        return len(self._open) > len(self._lasting)

    async def aclose(self) -> None:
        """Close all that is open, all at once, and then the connections."""
        others = self._others.values()
        live = [*self._open, *(each for session in others for each in session._open)]
        if live:
            await asyncio.gather(*(each.aclose() for each in live), return_exceptions=True)
        for session in others:
            session.http.detach()
        await self.http.close()
