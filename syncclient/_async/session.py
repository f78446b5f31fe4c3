"""The async client: aiohttp's session, and the registry of objects opened through it."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

import aiohttp
from aiohttp import ClientResponse, ClientTimeout
from aiohttp.abc import AbstractCookieJar
from yarl import URL

from .._caller import ReturningCaller
from .._models import ExactHead, Reply
from .._taskless import on_task, taskless
from .._types import LooseCookies
from .batch import AsyncMany, BatchFeed
from .client_response import WebClientResponse
from .connect.environment import Environment, Hops
from .connect.local import PipePool, UnixPool
from .connect.pool import Pool, connector_closed, stand_ins
from .connect.tcp import TCPPool, unix_socket
from .cookies.jar import LiveCookieJar
from .cookies.sent import CookieRequest
from .cookies.views import CookiesOver, EmptyCookieJar, PassingCookieJar
from .engine.client import set_repeats
from .engine.decoded_reader import DecodedReader
from .engine.lean_names import rest_of
from .engine.protocol import watch
from .exchange import progress as phase
from .exchange.body import Body
from .exchange.errors import cause, explained
from .exchange.exchange import Exchange, small_body
from .exchange.head import head_of
from .exchange.lean import Lean
from .exchange.lean_plan import Planner
from .exchange.lean_response import AnyResponse, LeanResponse
from .exchange.progress import NO_TIMEOUT, Phase, Progress, on_time
from .exchange.redirects import HANDSHAKE, HTTP, MOST, REDIRECTS, follow_redirects, without_zone
from .exchange.retry import Budget, Retry, Retrying
from .exchange.timings import Timed
from .exchange.tracing import Journey, Views, bridged, fault_in
from .middleware.credentials import Credentials
from .middleware.user_middleware import CarriedError

T = TypeVar("T")

#: What a request comes to: a reply, and what of it is still open.
Answer = tuple[Reply, Exchange | None]

#: The arguments of ``AsyncSession.request``.
Crossing = tuple[str, URL, ClientTimeout, dict[str, Any]]


#: Makes the session that is given its ``connector``.
Opener = Callable[..., "AsyncSession"]


class SupportsAclose(Protocol):
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
        is_lean = watch(self._pool)
        options = dict(options)
        self._literal_locations = not options.get("requote_redirect_url", True)
        self._traced = bool(options.get("trace_configs"))
        if configs := options.get("trace_configs"):
            options["trace_configs"] = bridged(configs, views or Views())
        self._middlewares = tuple(options.get("middlewares", ()))
        #: Completes every request from the environment, where that is trusted.
        self._environment: Environment | None = None
        if options.pop("trust_env", False):
            # A Unix socket or a SOCKS connector is a way of its own already.
            self._environment = Environment(proxies=type(self._pool) is TCPPool)
        jar = cookie_jar()
        if isinstance(self._pool, (UnixPool, PipePool)) and isinstance(jar, LiveCookieJar):
            jar = CookiesOver(jar, self._pool.path)
        self.http = aiohttp.ClientSession(
            connector=self._pool,
            cookie_jar=jar,
            cookies=cookies,
            request_class=CookieRequest,
            response_class=WebClientResponse,
            **options,
        )
        ours = isinstance(jar, (LiveCookieJar, CookiesOver, EmptyCookieJar))
        #: The way of most requests.
        self.lean = Lean(
            self.http,
            self._pool,
            Planner(
                self.http,
                self._pool,
                options,
                request_class=CookieRequest,
                possible=ours and is_lean,
                proxy_for=None if self._environment is None else self._environment.proxy_for,
            ),
        )
        self._retry = retry
        self._budgets: dict[Retry, Budget] = {}
        #: Whether aiohttp may itself make a second attempt on a dead kept-alive connection. Not
        #: where a test counts them, nor with a policy that does.
        self._repeats = retry is None and not self._pool.in_process
        set_repeats(self.http, self._repeats)
        #: The timeout of the last request, as it was given and as the engine gets it.
        self._given = self._exact = NO_TIMEOUT
        self._open: set[SupportsAclose] = set()
        #: Those of them that do not end by themselves.
        self._lasting: set[SupportsAclose] = set()
        self._forgotten = asyncio.Event()
        #: By what made them: sessions with other settings on the same pool.
        self._others: dict[weakref.ref[Opener], AsyncSession] = {}

    @taskless
    def request(
        self,
        method: str,
        url: URL,
        timeout: ClientTimeout,
        options: dict[str, Any],
        *,
        whole: bool = False,
    ) -> Coroutine[Any, Any, Answer]:
        """Send a request and wait for the head of its response, or for the ``whole`` of it.

        The body is included if it has all arrived by then, and nothing stays open; otherwise the
        second value is the response that is still open. The option ``bring`` says how many bytes
        a body may have for which this waits a moment, so that a small response is one crossing
        though head and body come apart; ``exact`` is an ExactHead.
        """
        # No coroutine itself: most requests have no policy, and each would pay for one.
        timed: bool = options.pop("timings", self._timings)
        progress = Timed(method, url, timeout) if timed else Progress(method, url, timeout)
        policy: Retry | None = options.pop("retry", self._retry)
        if policy is not None:
            if policy.applies(method):
                return self._retried(policy, progress, options, whole=whole)
            progress.past = tuple  # no attempts, and none of the engine's own either
        if whole:
            return self._fetch(progress, timeout, options)
        return self._request(progress, timeout, options)

    def _retried(
        self, policy: Retry, progress: Progress, options: dict[str, Any], *, whole: bool
    ) -> Coroutine[Any, Any, Answer]:
        ask = self._fetch if whole else self._request
        budget = None
        if policy.budget is not None:
            budget = self._budgets.setdefault(policy, Budget(policy.budget))
        retrying = Retrying(policy, budget, progress, options.get("data"))
        # Each attempt has options of its own: they are changed on their way.
        return _on_task(retrying.run(lambda left: ask(progress.afresh(), left, {**options})))

    @taskless
    async def fetch(
        self, method: str, url: URL, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Reply:
        """Send a request, and wait for the whole of its response."""
        reply, _ = await self.request(method, url, timeout, options, whole=True)
        return reply

    async def _request(
        self, progress: Progress, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Answer:
        method, url = progress.method, progress.url
        phase.begin(progress)
        # The same task, and so the same context, may have made another request.
        if "unix_socket" in options or unix_socket.get() is not None:
            unix_socket.set(options.get("unix_socket"))
        max_body: int | None = options.pop("max_body", self._max_body)
        progress.max_body = max_body
        bring: int = options.pop("bring", 0)
        exact: ExactHead | None = options.pop("exact", None)
        # What a middleware says of the headers counts.
        progress.exact = None if self._middlewares else exact
        authorization: str | None = options.pop("authorization", None)
        if authorization is not None:
            progress.credentials = Credentials(authorization, url)
        if "surroundings" in options:
            progress.hops = Hops(options.pop("surroundings"))
        body = options.get("data")
        body = body if body is not None and isinstance(body, Body) else None
        fault = None
        # Followed here, hop by hop: see redirects.py.
        follows: bool = options.pop("allow_redirects", True)
        most: int = options.pop("max_redirects", MOST)
        if self._traced:
            options["trace_request_ctx"] = Journey(
                options.get("trace_request_ctx"), follows=follows
            )
        response: AnyResponse
        try:
            if body is not None:
                await on_task()
                request = self._full_hop(progress, method, url, timeout, options)
                hops = self._hops(request, progress, options, most if follows else None)
                response = await body.sent(hops, progress)
            else:
                response = await self._hop(progress, method, url, timeout, options)
                if follows and response.status in REDIRECTS:
                    response = await self._follow(response, progress, options, most)
        except Exception as exc:
            fault = fault_in(exc, progress) or (None if body is None else body.fault)
            if isinstance(exc, CarriedError):
                fault = exc.error
            if fault is None:
                if type(exc) is RuntimeError:  # "Session is closed"
                    self.refuse_closed_pool()
                error = explained(exc, progress)
                raise error from cause(error, exc)
        if fault is not None:
            # What the user's code raised goes to the caller as it was, with its own context.
            raise fault
        elapsed = progress.elapsed()
        head = head_of(response)
        content = response.content
        if bring and not content.is_eof():
            await small_body(response, bring)
        # A fault in a body that is here already is kept for the read() that asks for it.
        here = content.is_eof() and content.exception() is None
        if here and (max_body is None or content.total_bytes <= max_body):
            progress.phase = Phase.BODY
            all_of_it = (
                rest_of(content) if type(response) is LeanResponse else await response.read()
            )
            reply = Reply(head, all_of_it, elapsed)
            if type(content) is DecodedReader:
                reply = reply._replace(compressed=content.total_compressed_bytes)
            return (progress.timed(reply) if type(progress) is Timed else reply), None
        exchange = Exchange(response, progress, self.forget, max_body=max_body)
        self._open.add(exchange)
        reply = Reply(head, None, elapsed)
        return (progress.timed(reply) if type(progress) is Timed else reply), exchange

    def _hop(
        self,
        progress: Progress,
        method: str,
        url: URL,
        timeout: ClientTimeout,
        options: dict[str, Any],
    ) -> Awaitable[AnyResponse]:
        """Send one request, without following redirects; await the result for the response."""
        if timeout is not self._given:
            self._given, self._exact = timeout, on_time(timeout)
        planned = self.lean.plan(progress, method, url, self._exact, options)
        if planned is None:
            return self._full_hop(progress, method, url, timeout, options)
        progress.opened = progress.tried = None
        repeats = self._repeats and progress.past is None
        return self.lean.send(planned, self._exact, options, repeats=repeats)

    async def _full_hop(
        self,
        progress: Progress,
        method: str,
        url: URL,
        timeout: ClientTimeout,
        options: dict[str, Any],
    ) -> ClientResponse:
        """Make one request of the engine's session, which follows no redirect."""
        await on_task()
        # Looked at before the first wait of the request.
        set_repeats(self.http, self._repeats and progress.past is None and not stand_ins)
        progress.opened = progress.tried = None
        if "%" in (url.raw_host or ""):
            options = without_zone(options, url)
        if "unix_socket" in options:
            options = {name: value for name, value in options.items() if name != "unix_socket"}
        own = options.get("middlewares", self._middlewares)
        outer = () if progress.credentials is None else (progress.credentials,)
        inner = () if self._environment is None else (self._environment,)
        if outer or inner:
            options = {**options, "middlewares": (*outer, *own, *inner)}
        if timeout is not self._given:
            self._given, self._exact = timeout, on_time(timeout)
        return await self.http.request(
            method, url, timeout=self._exact, allow_redirects=False, **options
        )

    async def _hops(
        self,
        request: Awaitable[ClientResponse],
        progress: Progress,
        options: dict[str, Any],
        most: int | None,
    ) -> AnyResponse:
        response = await request
        if most is None:
            return response
        return await self._follow(response, progress, options, most)

    def _follow(
        self,
        response: AnyResponse,
        progress: Progress,
        options: dict[str, Any],
        most: int,
        schemes: frozenset[str] = HTTP,
    ) -> Coroutine[Any, Any, AnyResponse]:
        journey = options.get("trace_request_ctx")
        hops = follow_redirects(
            response,
            partial(self._hop if schemes is HTTP else self._full_hop, progress),
            progress,
            options,
            journey.history if isinstance(journey, Journey) else [],
            most=most,
            literal=self._literal_locations,
            schemes=schemes,
        )
        jar = self.http.cookie_jar
        return jar.follow(response, hops) if isinstance(jar, PassingCookieJar) else hops

    async def shake_hands(self, progress: Progress, options: dict[str, Any]) -> ClientResponse:
        """Return the answer to the request for a WebSocket, which may be redirected to ``ws://``."""
        self.refuse_closed_pool()
        if self._traced:
            options["trace_request_ctx"] = Journey(None, follows=True)
        response: AnyResponse = await self._full_hop(
            progress, progress.method, progress.url, progress.timeout, options
        )
        response = await self._follow(response, progress, options, MOST, HANDSHAKE)
        assert isinstance(response, ClientResponse)  # every hop of a handshake goes the full way
        return response

    async def _fetch(
        self, progress: Progress, timeout: ClientTimeout, options: dict[str, Any]
    ) -> Answer:
        reply, exchange = await self._request(progress, timeout, options)
        if exchange is None:
            return reply, None
        try:
            await on_task()
            body = await exchange.read()
            compressed = exchange.response.content.total_compressed_bytes
            timings = progress.timings()
            return reply._replace(body=body, compressed=compressed, timings=timings), None
        except BaseException:
            exchange.abort()
            raise

    def many(
        self, feed: BatchFeed[Crossing], concurrency: int, caller: ReturningCaller | None = None
    ) -> AsyncMany[Crossing, Reply]:
        """Return the means to have many requests under way, closed with the session."""
        many = AsyncMany(self._fetch_one, feed, concurrency, caller=caller, forget=self.forget)
        self.adopt(many)
        return many

    async def _fetch_one(self, request: Crossing) -> Reply:
        return await self.fetch(*request)

    async def ask_pool(self, question: Callable[[Pool], T]) -> T:
        """Return the answer of the pool of connections to ``question``."""
        return question(self._pool)

    async def close_pool(self, abort_ssl: bool) -> None:
        """Close all connections, those in use as well; some seconds at most."""
        await asyncio.wait((asyncio.ensure_future(self._pool.shut(abort_ssl)),), timeout=5.0)

    def refuse_closed_pool(self) -> None:
        """Raise ClientConnectionError where the connector was closed under this session."""
        if self._pool.closed:
            raise connector_closed()

    def adopt(self, live: SupportsAclose, *, lasts: bool = False) -> None:
        """Close ``live`` with the session, unless it is forgotten before.

        An object that ``lasts`` does not end on its own, so its end is not waited for.
        """
        self._open.add(live)
        if lasts:
            self._lasting.add(live)

    def forget(self, live: SupportsAclose) -> None:
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
        """Drop the sessions that can no longer be used: no finaliser may touch them."""
        for key, session in list(self._others.items()):
            if key() is None and not session._open:
                session.lean.close()
                session.http.detach()
                del self._others[key]

    async def settle(self) -> None:
        """Wait until no response is left unread, and no download or batch of requests under way.

        Not for what lasts until it is closed: WebSockets, and sources of events. Connections
        that nothing uses are closed at once, unless other sessions share the pool.
        """
        self._pool.close_idle()
        while busy := [each for each in (self, *self._others.values()) if each._unsettled()]:
            busy[0]._forgotten.clear()
            await busy[0]._forgotten.wait()

    def _unsettled(self) -> bool:
        return len(self._open) > len(self._lasting)

    async def aclose(self) -> None:
        """Close all open objects at the same time, and then the connections."""
        others = self._others.values()
        live = [*self._open, *(each for session in others for each in session._open)]
        try:
            if live:
                await asyncio.gather(*(each.aclose() for each in live), return_exceptions=True)
        finally:  # at exit, after an interrupted close(), the wait is cancelled
            for session in others:
                session.lean.close()
                session.http.detach()
            self.lean.close()
            await self.http.close()


async def _on_task(coroutine: Coroutine[Any, Any, T]) -> T:
    await on_task()
    return await coroutine
