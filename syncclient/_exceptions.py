"""The errors that syncclient raises.

aiohttp's own classes are re-exported unchanged, so that ``except aiohttp.ClientError`` keeps
working during a migration. These are subclasses for which aiohttp has no equivalent::

    Exception
     └─ ClientError
         ├─ ClientPayloadError
         │   └─ LineTooLongError (LineTooLong)    a line of a body beyond its limit
         ├─ LoopThreadError (RuntimeError)         the loop thread could not start, or died
         ├─ BlockingCallError (RuntimeError)       a blocking call on the loop thread itself
         ├─ SessionClosedError (RuntimeError)      used after, or cut short by, close()
         └─ ClientConnectionError
             └─ ServerConnectionError
                 └─ ServerTimeoutError (TimeoutError)
                     ├─ DeadlineError              syncclient.timeout(), see _deadline
                     ├─ TotalTimeoutError          ClientTimeout.total
                     ├─ ConnectionTimeoutError
                     │   ├─ ConnectTimeoutError    ClientTimeout.connect, .sock_connect
                     │   └─ PoolTimeoutError       ClientTimeout.pool, or .connect spent waiting for
                     │                             a free connection
                     ├─ WriteTimeoutError          ClientTimeout.sock_write
                     └─ SocketTimeoutError
                         └─ ReadTimeoutError       ClientTimeout.sock_read
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from aiohttp import (
    ClientError,
    ClientPayloadError,
    ConnectionTimeoutError,
    ServerTimeoutError,
    SocketTimeoutError,
)
from aiohttp.http_exceptions import LineTooLong

E = TypeVar("E", bound=BaseException)


class SessionClosedError(ClientError, RuntimeError):
    """The session was closed before or during the call.

    It is also a RuntimeError, which aiohttp raises in this case.
    """


class LoopThreadError(ClientError, RuntimeError):
    """The loop thread could not be started, has died, or belongs to another process."""


class BlockingCallError(ClientError, RuntimeError):
    """A blocking call was made on the loop thread, where it would wait for itself."""


class SecondReaderError(RuntimeError):
    """Another reader is already reading the body."""


class TimeoutDetails(ServerTimeoutError, TimeoutError):
    """The attributes of all timeouts: the phase, the limit, the elapsed time, the request.

    aiohttp's classes derive from asyncio's TimeoutError, which is the built-in class only from
    Python 3.11 on.
    """

    #: The name of the exceeded limit, as set by the user.
    limit_name = "timeout"

    def __init__(
        self, *, phase: str, limit: float | None, elapsed: float, method: str, url: str
    ) -> None:
        self.phase = phase
        self.limit = limit
        self.elapsed = elapsed
        self.method = method
        self.url = url
        super().__init__(str(self))

    def __str__(self) -> str:
        limit = "" if self.limit is None else f" ({self.limit_name} is {self.limit:g} s)"
        request = f"{self.method} {self.url}"
        return f"{request} timed out after {self.elapsed:.3g} s while {self.phase}{limit}"

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with .args, but this one takes keywords only.
        return _rebuild_timeout, (type(self), dict(self.__dict__))


def _rebuild_timeout(cls: type[TimeoutDetails], state: dict[str, Any]) -> TimeoutDetails:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    error.args = (str(error),)
    return error


class TotalTimeoutError(TimeoutDetails):
    """The whole request took longer than ``ClientTimeout.total``."""

    limit_name = "timeout.total"


class ConnectTimeoutError(TimeoutDetails, ConnectionTimeoutError):
    """No connection was made within ``ClientTimeout.connect`` or ``.sock_connect``."""

    limit_name = "timeout.connect"


class PoolTimeoutError(TimeoutDetails, ConnectionTimeoutError):
    """All connections that the connector allows were in use until the timeout expired."""

    limit_name = "timeout.connect"


class LineTooLongError(ClientPayloadError, LineTooLong):
    """A line of a body exceeds the limit for lines. The line is dropped; reading can continue.

    Args:
        line: the beginning of the line.
        limit: the limit, in bytes.
    """

    def __init__(self, line: bytes, limit: int) -> None:
        LineTooLong.__init__(self, line, limit)
        self.args: tuple[Any, ...] = (line, limit)
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"a line of the body has more than {self.limit} bytes: pass readline() a larger "
            "max_line_length, pass readuntil() a larger max_size, or read with iter_chunked()"
        )


class ReadTimeoutError(TimeoutDetails, SocketTimeoutError):
    """The server sent nothing for ``ClientTimeout.sock_read`` seconds."""

    limit_name = "timeout.sock_read"


class WriteTimeoutError(TimeoutDetails):
    """The server accepted no data of the body for ``ClientTimeout.sock_write`` seconds."""

    limit_name = "timeout.sock_write"


def spare(error: E) -> E:
    """Return a copy of ``error``, without its traceback, to keep for later.

    If an object kept the same error that its methods raise, there would be a reference cycle: the
    traceback refers to their frames, and these to the object. So it keeps a copy, and raises
    copies of that.
    """
    try:
        # Not by copy.copy(), which uses the registry of pickle first: tblib, which Dask, Django's
        # test runner and others install, makes it copy tracebacks and contexts as well.
        make, args, *state = cast("tuple[Any, ...]", error.__reduce_ex__(4))
        twin: E = make(*args)
        if state and state[0]:
            twin.__setstate__(state[0])
    except Exception:  # perhaps a user's class, which only its own code can create
        return error
    twin.__cause__, twin.__suppress_context__ = error.__cause__, error.__suppress_context__
    return twin
