"""Connectors to servers within the process, and functions that replace the network by one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from aiohttp import web

from .._async.connect.asgi import ASGIApp, ASGIMount
from .._async.connect.inprocess import AppMount, InProcessSettings, Mounted
from .._async.connect.pool import stand_ins
from .._checks import UNSET, Unset
from .._client.connectors import BaseConnector, keeping
from ._routes import Routes
from ._server import HandlerMount
from ._values import Handler, RouteAnswer
from ._wsgi import WSGIApp, WSGIMount


class InProcessConnector(BaseConnector):
    """The base class of connectors to servers within the process.

    The server responds for every host name, over http, https and, if it supports that, ws. No
    name is looked up, no port is opened, and no proxy is used. Everything else is the real
    engine. ``limit`` and similar arguments work as for TCPConnector.
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("InProcessConnector is abstract: use MockTransport, WSGITransport ...")

    def _serve(
        self,
        mount: Callable[[], Mounted],
        limit: int,
        limit_per_host: int,
        keepalive_timeout: float | Unset | None,
        force_close: bool,
    ) -> None:
        common = keeping(limit, limit_per_host, keepalive_timeout, force_close)
        self._describe(InProcessSettings(mount=mount, **common))


class MockTransport(InProcessConnector):
    """A server that answers by a function, or by a table of routes.

    Args:
        answers: A Routes; or a function that gets a MockRequest and returns a MockReply, a str,
            bytes, a dict or list to send as JSON, or a status. The function runs on one of the
            server's threads, one for each current request, and may use sessions. Its
            exceptions are raised in the client.
        limit, limit_per_host, keepalive_timeout, force_close: As for TCPConnector.

    Raises:
        TypeError: ``answers`` is neither.
    """

    __slots__ = ()

    def __init__(
        self,
        answers: Routes | Handler,
        *,
        limit: int = 100,
        limit_per_host: int = 0,
        keepalive_timeout: float | Unset | None = UNSET,
        force_close: bool = False,
    ) -> None:
        if isinstance(answers, Mapping):
            raise TypeError("answers must be Routes or a function: write Routes({...})")
        _check_function("answers", answers, "a Routes, or a function of a MockRequest")
        mount = partial(HandlerMount, answers)
        self._serve(mount, limit, limit_per_host, keepalive_timeout, force_close)


class WSGITransport(InProcessConnector):
    """A WSGI application (Flask, Django ...) as the server.

    Each current request has its own thread, so the application may use sessions, including this
    one. Bodies stream in both directions, at the pace of the slower side. Exceptions of the
    application are raised in the client.

    Args:
        application: The application.
        limit, limit_per_host, keepalive_timeout, force_close: As for TCPConnector.
    """

    __slots__ = ()

    def __init__(
        self,
        application: WSGIApp,
        *,
        limit: int = 100,
        limit_per_host: int = 0,
        keepalive_timeout: float | Unset | None = UNSET,
        force_close: bool = False,
    ) -> None:
        if not callable(application):
            raise TypeError(
                f"application must be a WSGI application, not {type(application).__name__}"
            )
        mount = partial(WSGIMount, application)
        self._serve(mount, limit, limit_per_host, keepalive_timeout, force_close)


class ASGITransport(InProcessConnector):
    """An ASGI application (Starlette, FastAPI, Django ...) as the server, including WebSockets.

    It runs on the event loop of the session, so it must not block, and must not call the
    session. Its lifespan starts before the session's first request, and shuts down when the
    session closes. Exceptions of the application are raised in the client.

    Args:
        application: The application.
        limit, limit_per_host, keepalive_timeout, force_close: As for TCPConnector.
    """

    __slots__ = ()

    def __init__(
        self,
        application: ASGIApp,
        *,
        limit: int = 100,
        limit_per_host: int = 0,
        keepalive_timeout: float | Unset | None = UNSET,
        force_close: bool = False,
    ) -> None:
        if not callable(application):
            raise TypeError(
                f"application must be an ASGI application, not {type(application).__name__}"
            )
        mount = partial(ASGIMount, application)
        self._serve(mount, limit, limit_per_host, keepalive_timeout, force_close)


class AiohttpTransport(InProcessConnector):
    """An ``aiohttp.web`` application as the server, including WebSockets.

    Args:
        make_application: Creates the application. Called on the event loop for each pool, because
            an aiohttp application belongs to one loop.
        limit, limit_per_host, keepalive_timeout, force_close: As for TCPConnector.
    """

    __slots__ = ()

    def __init__(
        self,
        make_application: Callable[[], web.Application],
        *,
        limit: int = 100,
        limit_per_host: int = 0,
        keepalive_timeout: float | Unset | None = UNSET,
        force_close: bool = False,
    ) -> None:
        if isinstance(make_application, web.Application):
            raise TypeError(
                "make_application must be a function that returns the application, which "
                "belongs to one event loop: write AiohttpTransport(make_app)"
            )
        _check_function("make_application", make_application, "a function")

        def mount() -> Mounted:
            return AppMount(make_application())

        self._serve(mount, limit, limit_per_host, keepalive_timeout, force_close)


@contextmanager
def mount(transport: InProcessConnector) -> Iterator[None]:
    """Send every request of this process to ``transport``, inside the ``with`` block.

    This applies to existing and new sessions, in all threads, and to ``syncclient.get()`` and its
    siblings. It uses a hook in the library; nothing is patched. Sessions that were created with a
    transport of this module keep it. Blocks may be nested; the innermost counts.
    """
    if not isinstance(transport, InProcessConnector):
        raise TypeError(
            "transport must be a MockTransport, WSGITransport, ASGITransport or "
            f"AiohttpTransport, not {type(transport).__name__}"
        )
    settings = transport._settings
    stand_ins.append(settings)
    try:
        yield
    finally:
        stand_ins.remove(settings)


@contextmanager
def mock(table: Mapping[str, RouteAnswer] | None = None) -> Iterator[Routes]:
    """Answer every request of this process from a new Routes, inside the ``with`` block.

    See ``mount``, and for ``table`` see ``Routes``.
    """
    routes = Routes(table)
    with mount(MockTransport(routes)):
        yield routes


def _check_function(name: str, given: object, what: str) -> None:
    if not callable(given):
        raise TypeError(f"{name} must be {what}, not {type(given).__name__}")
    if inspect.iscoroutinefunction(given):
        raise TypeError(
            f"{name} must be {what}, and not an async one: mount async code with ASGITransport "
            "or AiohttpTransport"
        )
