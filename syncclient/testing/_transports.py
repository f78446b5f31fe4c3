"""Connectors to servers within the process, and what puts one in the place of the network."""

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
    """What the connectors to servers within the process have in common.

    Every host name is answered by the one server, over http, https and, where it can, ws; no
    name is looked up, no port opened, and no proxy asked. The engine does the rest for
    real. ``limit`` and the like count as they do for TCPConnector.
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
        answers: A Routes; or a function that is given a MockRequest and returns a MockReply, a
            str, bytes, a dict or list to send as JSON, or a status. It runs on a thread of the
            server's, one for each request under way, and may use sessions. What it raises,
            the client's caller gets.
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

    Each request under way has a thread to itself, so the application may use sessions, this
    one too. Bodies stream in both directions, at the pace of the slower side. What the
    application raises, the client's caller gets.

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
    """An ASGI application (Starlette, FastAPI, Django ...) as the server, WebSockets included.

    It runs on the event loop of the session, so it must not block, and must not call the
    session. Its lifespan is that of the pool: startup comes before a session's first request,
    shutdown when the session closes. What it raises, the client's caller gets.

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
    """An ``aiohttp.web`` application as the server, WebSockets included.

    Args:
        make_application: Makes the application; called on the event loop for each pool, since
            an application of aiohttp's belongs to one loop.
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
    """Answer every request of this process by ``transport``, inside the ``with`` block.

    Of sessions that exist and of new ones, in all threads, and of ``syncclient.get()`` and its
    siblings. A hook of the library's own: nothing is patched. Sessions that were made with a
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
    """Answer every request of this process by a fresh Routes, inside the ``with`` block.

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
