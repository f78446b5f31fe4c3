"""Private fields of aiohttp's sessions, requests, responses, tracers and cookie jars."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import ClientResponse

from .missing import unsupported, warn_without

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientSession, InvalidURL, TraceConfig
    from aiohttp.abc import AbstractCookieJar, AbstractStreamWriter
    from aiohttp.tracing import Trace

J = TypeVar("J", bound="AbstractCookieJar")


# -- sessions ------------------------------------------------------------------------


def set_repeats(session: ClientSession, repeats: bool) -> None:
    """Set whether the engine repeats a request whose kept-alive connection was closed.

    aiohttp's own test client switches it off by the same field.
    """
    if not hasattr(session, "_retry_connection"):
        warn_without(
            "ClientSession._retry_connection",
            "aiohttp repeats some requests once more than a retry policy says",
        )
    session._retry_connection = repeats


# -- responses -----------------------------------------------------------------------


def set_history(response: Any, history: Sequence[Any]) -> None:
    """Set the redirects that led to ``response``, as the engine does when it follows them."""
    if not hasattr(response, "_history"):
        warn_without("ClientResponse._history", "responses do not list their redirects")
    response._history = tuple(history)


def traces_of(response: Any) -> Sequence[Trace]:
    """Return the tracers to notify about the body of ``response``."""
    traces: Sequence[Trace] | None = getattr(response, "_traces", None)
    if traces is None:
        warn_without("ClientResponse._traces", "on_response_chunk_received is not called")
        return ()
    return traces


def body_of(response: ClientResponse) -> bytes | None:
    """Return the body that ``read()`` keeps; None if it has not been read."""
    if not hasattr(response, "_body"):
        warn_without("ClientResponse._body", "encodings are not detected by a byte order mark")
        return None
    return response._body


def set_body(response: ClientResponse, body: bytes) -> None:
    """Set what ``read()`` returns.

    Raises:
        RuntimeError: this aiohttp keeps it elsewhere.
    """
    if not hasattr(response, "_body"):
        raise unsupported("ClientResponse._body", "a middleware that reads what it returns")
    response._body = body


def awaited_continue(message: ClientRequest | ClientResponse) -> asyncio.Future[bool] | None:
    """Return the future that a body with ``Expect: 100-continue`` waits for; None without one."""
    if not hasattr(message, "_continue"):
        kind = "ClientResponse" if isinstance(message, ClientResponse) else "ClientRequest"
        warn_without(
            f"{kind}._continue",
            "a server that ignores Expect: 100-continue is waited for until the timeout",
        )
        return None
    future: asyncio.Future[bool] | None = message._continue
    return future


# -- requests ------------------------------------------------------------------------


def hold_head_back(request: ClientRequest) -> None:
    """Make the engine call ``write_bytes()`` before it sends the head, even without a body."""
    if awaited_continue(request) is None and hasattr(request, "_continue"):
        request._continue = asyncio.get_running_loop().create_future()
        request._continue.set_result(False)


def replace_head(writer: AbstractStreamWriter, head: bytes) -> None:
    """Put ``head`` in place of the one that ``writer`` holds back; see ``hold_head_back``."""
    if getattr(writer, "_headers_buf", None) is None:
        raise unsupported("StreamWriter._headers_buf", "a head that is not UTF-8")
    writer._headers_buf = head  # type: ignore[attr-defined]


def replace_in_head(writer: AbstractStreamWriter, old: bytes, new: bytes) -> None:
    """Replace the first ``old`` in the head that ``writer`` has not sent yet."""
    head: bytes | None = getattr(writer, "_headers_buf", None)
    if head is not None:
        writer._headers_buf = head.replace(old, new, 1)  # type: ignore[attr-defined]
    elif not hasattr(writer, "_headers_buf"):
        warn_without("StreamWriter._headers_buf", "cookies that are not UTF-8 are not sent")


# -- errors --------------------------------------------------------------------------


def set_url(error: InvalidURL, url: str, description: str) -> None:
    """Set what ``error`` says. In place: what replaces an error has it as its context.

    Where this aiohttp keeps the URL elsewhere, the error says no URL at all.
    """
    for name in ("_url", "_description"):
        if not hasattr(error, name):
            warn_without(f"InvalidURL.{name}", "errors of redirects do not tell where they led")
            vars(error).clear()
    error._url, error._description = url, description
    error.args = (url, description)


# -- tracers and cookie jars ---------------------------------------------------------


def makes_plain_context(config: TraceConfig) -> bool:
    """Return whether the ``trace_config_ctx`` of ``config`` is aiohttp's, and runs no user code."""
    if not hasattr(config, "_trace_config_ctx_factory"):
        warn_without("TraceConfig._trace_config_ctx_factory", "requests with tracers are slower")
        return False
    return config._trace_config_ctx_factory is SimpleNamespace


def copy_of_jar(jar: J) -> J:
    """Return a deep copy of ``jar`` that belongs to no event loop.

    A jar of aiohttp's remembers the loop it was made in, which cannot be copied.
    """
    loop = getattr(jar, "_loop", None)
    if loop is None:
        return copy.deepcopy(jar)
    twin: Any = copy.deepcopy(jar, {id(loop): loop})
    twin._loop = None
    result: J = twin
    return result
