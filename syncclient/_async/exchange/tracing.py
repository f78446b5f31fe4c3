"""aiohttp's TraceConfigs, with plain functions among their callbacks and none of its own traps.

A user's TraceConfig is only read, never frozen or changed, so the user's own aiohttp sessions
may have it as well. The engine gets a ``Bridge`` in its place: a TraceConfig whose every signal
has one receiver, which calls what the user's has at that moment.

Async callbacks get what aiohttp would give them. Plain ones run in the thread of the blocked
caller, or on a worker thread where none waits any more, and get nothing that belongs to the
loop: ``Views`` creates what they get instead of the engine's session and responses.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from types import SimpleNamespace
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from aiohttp import ClientResponse, ClientSession, TraceConfig
from aiohttp.tracing import (
    Trace,
    TraceRequestEndParams,
    TraceRequestExceptionParams,
    TraceRequestRedirectParams,
)

from ..._caller import current_caller
from ..._exceptions import spare
from ..._models import Head
from ..engine.client import makes_plain_context, set_history, traces_of
from . import progress as phase
from .errors import explained
from .head import head_of
from .lean_response import AnyResponse
from .progress import Progress
from .redirects import is_redirect

P = ParamSpec("P")
R = TypeVar("R")

#: The names of aiohttp's signals, those of a version newer than this code included.
SIGNALS = tuple(
    name
    for name, value in vars(TraceConfig).items()
    if name.startswith("on_") and isinstance(value, property)
)

#: Sent while aiohttp holds a connection that it has entered nowhere yet, and would lose if the
#: callback failed or were cancelled. The next signal follows at once (the headers, before the
#: first byte is sent, when aiohttp closes what fails): these go along with it.
_LATE = frozenset({"on_connection_create_end", "on_connection_reuseconn"})


class Views(NamedTuple):
    """What plain callbacks see. Both functions are called in their thread."""

    #: Returns the value of ``session``.
    session: Callable[[], object] = lambda: None
    #: Returns the value of ``params.response``.
    response: Callable[[Head], object] = lambda head: head


class _Request:
    """What aiohttp keeps for one request and one TraceConfig, as its ``trace_config_ctx``."""

    __slots__ = ("asked", "begun", "context", "journey", "late")

    def __init__(self, asked: object, journey: Journey | None = None) -> None:
        self.journey = journey
        #: Whether its start has been told; the further hops are requests only to the engine.
        self.begun = False
        #: The ``trace_request_ctx`` of the request.
        self.asked = asked
        #: The user's own trace_config_ctx, once the first signal has been sent.
        self.context: SimpleNamespace | None = None
        #: Signals to be sent with the next one.
        self.late: list[tuple[str, object]] = []


class Journey:
    """One request over all its redirects, each of which is a request of its own to the engine.

    Args:
        asked: the ``trace_request_ctx`` of the request.
        follows: whether redirects are followed.
    """

    __slots__ = ("_asked", "_requests", "follows", "history")

    def __init__(self, asked: object, *, follows: bool) -> None:
        self._asked = asked
        self._requests: dict[Bridge, _Request] = {}
        self.follows = follows
        #: The redirects so far.
        self.history: list[AnyResponse] = []

    def request_at(self, bridge: Bridge) -> _Request:
        """Return the state for ``bridge``, the same for all hops."""
        request = self._requests.get(bridge)
        if request is None:
            request = self._requests[bridge] = _Request(self._asked, self)
        return request


class Bridge(TraceConfig):
    """Stands in for ``config`` in one of the engine's sessions. Event loop only."""

    def __init__(self, config: TraceConfig, views: Views) -> None:
        super().__init__()
        self._config = config
        self._views = views
        for name in SIGNALS:
            getattr(self, name).append(partial(self._receive, name))

    def trace_config_ctx(self, trace_request_ctx: Any = None) -> SimpleNamespace:
        """Return the state for one request; the user's own factory is called later."""
        if isinstance(trace_request_ctx, Journey):
            return cast(SimpleNamespace, trace_request_ctx.request_at(self))
        return cast(SimpleNamespace, _Request(trace_request_ctx))

    async def _receive(
        self, name: str, session: ClientSession, request: _Request, params: object
    ) -> None:
        if name in _LATE:
            request.late.append((name, params))
            return
        if name == "on_request_start":
            if request.begun:
                return
            request.begun = True
        elif isinstance(params, TraceRequestEndParams) and request.journey is not None:
            journey, response = request.journey, params.response
            if journey.follows and is_redirect(response):
                name = "on_request_redirect"
                params = TraceRequestRedirectParams(
                    params.method, params.url, params.headers, response
                )
            elif journey.history:
                set_history(response, journey.history)
        try:
            if request.context is None:
                request.context = await self._make_context(request.asked)
            while request.late:
                await self._send(*request.late.pop(0), session, request.context)
            await self._send(name, params, session, request.context)
        except Exception as exc:
            # aiohttp may wrap it on its way, as an OSError, or take it for a timeout.
            current = phase.progress.get()
            if current is not None and name != "on_response_chunk_received":
                current.fault = exc
            raise

    async def _make_context(self, asked: object) -> SimpleNamespace:
        config = self._config
        make = partial(config.trace_config_ctx, trace_request_ctx=asked)
        # The factory is a plain function of the user's; but where all else is async, so that it
        # is made for a loop, and where it is aiohttp's own, the way to the caller is saved.
        if all(is_async(each) for name in SIGNALS for each in getattr(config, name)):
            return make()
        if type(config).trace_config_ctx is TraceConfig.trace_config_ctx and makes_plain_context(
            config
        ):
            return make()
        return await run_plain(make)

    async def _send(
        self, name: str, params: object, session: ClientSession, context: SimpleNamespace
    ) -> None:
        callbacks = tuple(getattr(self._config, name))
        for asynchronous, group in groupby(callbacks, is_async):
            if asynchronous:
                for callback in group:
                    await callback(session, context, params)
            else:
                shown = _values_of(params)
                call = partial(_call_all, tuple(group), self._views, context, shown)
                for awaitable in await run_plain(call):
                    await awaitable


def bridged(configs: Sequence[TraceConfig], views: Views) -> list[TraceConfig]:
    """Return the bridges that the engine gets instead of ``configs``."""
    return [Bridge(config, views) for config in configs]


def is_async(callback: object) -> bool:
    """Return whether ``callback`` is async, as far as that shows without calling it."""
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(
        getattr(type(callback), "__call__", None)  # noqa: B004  -- looked at, not called
    )


def _call_all(
    callbacks: Sequence[Callable[..., Any]],
    views: Views,
    context: SimpleNamespace,
    params: Any,
) -> list[Any]:
    """Call the plain ``callbacks``, and return the awaitables that some of them return."""
    session = views.session()
    head = getattr(params, "response", None)
    if isinstance(head, Head):
        params = _with_last(params, views.response(head))
    results = [callback(session, context, params) for callback in callbacks]
    return [result for result in results if inspect.isawaitable(result)]


def _values_of(params: Any) -> Any:
    """Return ``params`` with values instead of objects that belong to the event loop."""
    if isinstance(getattr(params, "response", None), ClientResponse):
        return _with_last(params, head_of(params.response))
    if isinstance(params, TraceRequestExceptionParams):
        return _with_last(params, _told(params.exception))
    chunk = getattr(params, "chunk", None)
    if isinstance(chunk, memoryview):
        return type(params)(params.method, params.url, bytes(chunk))
    return params


def _with_last(params: Any, value: object) -> Any:
    """Return a copy of ``params`` with another response or exception."""
    return type(params)(params.method, params.url, params.headers, value)


def _told(error: BaseException) -> BaseException:
    """Return what the caller will get for ``error``: its own copy, without the engine's frames."""
    current = phase.progress.get() or Progress()
    if error is current.fault:
        return error
    twin = spare(error)
    if twin is error:
        return error
    if isinstance(twin, Exception):
        twin = explained(twin, current)
    twin.__cause__ = twin.__context__ = None
    return twin


def fault_in(error: BaseException, progress: Progress) -> Exception | None:
    """Return the exception of a callback, if that is why the request failed with ``error``."""
    # Let go of in any case: the connections that the exchange has made keep its progress.
    fault, progress.fault = progress.fault, None
    seen: BaseException | None = error
    while fault is not None and seen is not None:
        if seen is fault:
            return fault
        seen = seen.__cause__ or seen.__context__
    return None


async def run_plain(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run ``function`` in the thread of the blocked caller, or on a worker if there is none.

    It runs in the caller's context, or in a copy of the present one.
    """
    caller = current_caller.get()
    if caller is not None and caller.listening:
        return await caller.execute(function, *args, **kwargs)
    call = partial(contextvars.copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(None, call)


def is_traced(response: AnyResponse) -> bool:
    """Return whether a tracer wants the body of ``response``."""
    return bool(traces_of(response))


async def send_chunk_received(response: AnyResponse, body: bytes) -> None:
    """Send the body of ``response`` to its tracers, as aiohttp's ``read()`` does."""
    # That read() would inflate the body without any limit, and join it on the loop.
    for trace in traces_of(response):
        await trace.send_response_chunk_received(response.method, response.url, body)


class LookUp:
    """Passes the signals of one host look-up to the task that asked for it.

    aiohttp sends them in a task that other requests wait for as well, and that outlives the request
    that started it: a slow callback there would delay all of them, and an error would fail them.
    """

    def __init__(self, traces: Sequence[Trace]) -> None:
        self._traces = traces
        self._sent: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()

    async def send_dns_cache_hit(self, host: str) -> None:
        """Take the signal; what ``relay`` waits for."""
        self._sent.put_nowait(("send_dns_cache_hit", host))

    async def send_dns_cache_miss(self, host: str) -> None:
        """Take the signal; what ``relay`` waits for."""
        self._sent.put_nowait(("send_dns_cache_miss", host))

    async def send_dns_resolvehost_start(self, host: str) -> None:
        """Take the signal; what ``relay`` waits for."""
        self._sent.put_nowait(("send_dns_resolvehost_start", host))

    async def send_dns_resolvehost_end(self, host: str) -> None:
        """Take the signal; what ``relay`` waits for."""
        self._sent.put_nowait(("send_dns_resolvehost_end", host))

    async def relay(self, look_up: Callable[[Sequence[Trace]], Any]) -> Any:
        """Await ``look_up``, given this in place of the traces, and send its signals on."""
        task = asyncio.ensure_future(look_up([cast(Trace, self)]))
        task.add_done_callback(lambda _: self._sent.put_nowait(None))
        try:
            while (signal := await self._sent.get()) is not None:
                name, host = signal
                for trace in self._traces:
                    await getattr(trace, name)(host)
            return await task
        finally:
            if not task.done():
                task.cancel()  # the look-up itself continues, for the others
            elif not task.cancelled():
                task.exception()  # seen, should a callback have failed first
