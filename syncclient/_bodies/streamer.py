"""streamer: a body that a function writes while the request is sent."""

from __future__ import annotations

import asyncio
import functools
import inspect
from _thread import allocate_lock
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import ClientConnectionError
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from .._async.engine.payloads import STREAM_WRAPPER, STREAMER
from .._async.exchange.source import Chunk
from .._caller import current_caller, in_caller
from .._coroutines import start
from .writer import _AHEAD, _SLICE, BodyWriter, Pipe


class streamer:  # noqa: N801  -- aiohttp's name
    """Decorate a function that writes a body, and takes the writer as its first argument.

    Pass the result of calling the decorated function as ``data=``::

        @syncclient.streamer
        def numbers(writer, count):
            for number in range(count):
                writer.write(b"%d\\n" % number)

        session.post(url, data=numbers(1000))

    The function runs in the thread that makes the request, and gets a BodyWriter. An
    ``async def`` function runs on the loop thread, and awaits ``writer.write(...)``. The function
    is called again if a redirect needs the body again. A write waits while a megabyte is waiting
    to be sent. But if ``upload_progress`` or a trace callback has to run in the same thread,
    writes do not wait, and the data is kept in memory.

    Source: aiohttp.streamer, whose functions are accepted as bodies as well.
    """

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> StreamerBody:
        """Return the body that the function writes with these arguments."""
        return StreamerBody(self._function, args, kwargs)


class StreamerBody:
    """A body that a function writes: the result of calling a ``streamer``."""

    def __init__(
        self, function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        #: Whether the loop has to await the function.
        self.is_async: bool = inspect.iscoroutinefunction(function) or (
            inspect.isgeneratorfunction(function)  # an old-style coroutine
        )
        self._function, self._args, self._kwargs = function, args, kwargs

    def write_to(self, writer: object) -> Any:
        """Call the function."""
        return self._function(writer, *self._args, **self._kwargs)


def streamer_body(data: Any) -> StreamerBody | None:
    """Return the body of a function under this decorator or aiohttp's; None for anything else."""
    if isinstance(data, streamer) or (STREAMER and isinstance(data, STREAMER)):
        data = data()  # the decorated function itself, without arguments
    if isinstance(data, StreamerBody):
        return data
    if STREAM_WRAPPER and isinstance(data, STREAM_WRAPPER):
        return StreamerBody(data.coro, data.args, data.kwargs)
    return None


class _StreamerPipe(Pipe):
    """The pipe of a function that the caller's thread runs.

    That thread is busy with the function. So if the loop waits for it to run something (a progress
    hook, a tracer), writes to a full pipe do not block, and the data is kept.
    """

    #: The caller of the request.
    caller: Any = None

    def _wait_for_room(self) -> None:
        while self._is_full() and not getattr(self.caller, "asked", True):
            lock = allocate_lock()
            lock.acquire()
            self._blocked.append(lock)
            if self._is_full():
                lock.acquire(timeout=_SLICE)

    def _is_full(self) -> bool:
        return self.put - self._taken >= _AHEAD and self._dropped is None


class StreamerSource:
    """A source that a plain function writes, in the thread of the blocked caller."""

    replayable = True
    detached = False

    def __init__(self, body: StreamerBody) -> None:
        self.sent = 0
        self._body = body
        self._pipe = _StreamerPipe()
        self._job: asyncio.Task[None] | None = None

    # -- the caller's thread ---------------------------------------------------------

    def begin(self) -> None:
        """Do nothing: the function is called when the loop asks for it."""

    def close(self, error: BaseException | None) -> None:
        """Make further writes raise: the call is over."""
        self._pipe.drop(_ended())

    def _run(self, pipe: _StreamerPipe) -> None:
        writer = BodyWriter()
        writer._pipe = pipe
        try:
            result = self._body.write_to(writer)
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError(
                    "data: the function of a streamer must be async def, or return no awaitable"
                )
        except Exception as exc:
            pipe.end(exc)
            raise
        pipe.end(None)

    # -- the loop thread -------------------------------------------------------------

    async def take(self) -> Sequence[Chunk]:
        """Return the chunks that have been written. The first call starts the function."""
        if self._job is None:
            self._pipe.caller = current_caller.get()
            self._job = start(self._running(self._pipe))
        return await self._pipe.take()

    async def _running(self, pipe: _StreamerPipe) -> None:
        try:
            await in_caller(self._run, pipe)
        except Exception as exc:
            pipe.end(exc)  # there may be no caller any more; the function may have ended it too

    async def restart(self) -> None:
        """Start over: the next ``take`` calls the function again."""
        self.drop(None)
        self._pipe, self._job = _StreamerPipe(), None

    def drop(self, reason: Exception | None) -> None:
        """Stop taking, and make the next write raise the reason."""
        self._pipe.drop(reason or _ended())
        if self._job is not None:
            self._job.cancel()


def _ended() -> ClientConnectionError:
    return ClientConnectionError("the request ended before the whole body was written")


class AsyncStreamerPayload(Payload):
    """A body that a coroutine function writes, on the loop."""

    autoclose = True

    def __init__(self, body: StreamerBody, **options: Any) -> None:
        super().__init__(body, **options)
        self._body = body

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Await the function."""
        awaitable: Awaitable[object] = self._body.write_to(writer)
        await awaitable

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raise TypeError: the body is not known in advance."""
        raise TypeError("a body that a function writes cannot be read in advance")
