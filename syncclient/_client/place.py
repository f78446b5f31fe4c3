"""Place: the settings of a session, and the portal and engine session of its calls."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio.to_thread

from .._async.connect.environment import Surroundings, read_surroundings
from .._async.connect.pool import Pool
from .._async.exchange.tracing import Views
from .._async.session import AsyncSession, Opener
from .._boundary.loop_run import Reason
from .._boundary.loop_thread import default_loop_thread
from .._boundary.portal import Portal
from .._exceptions import SessionClosedError
from .._models import redacted_url
from .connectors import BaseConnector, TCPConnector
from .middlewares import MiddlewareAdapter
from .response import Response
from .session_settings import SessionSettings

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: A function that a portal calls with its engine session.
Method = Callable[Concatenate[AsyncSession, P], R]


class Place:
    """The common part of a session, its ``aio``, and everything opened through them.

    A session has a portal, with a pool behind it. A derived session uses the portal of the
    session that it is ``derived_from``. On the loop thread it has an engine session with its own
    settings, on the same pool. The first call that needs it creates it, and it is kept as long
    as this place and the objects opened through it.

    Args:
        settings: of the session.
        session: passed to plain trace callbacks. Held weakly, because its finaliser closes it.
        opened_at: the line that created the session.
        derived_from: the place of the first session of a chain of derived ones.
    """

    __slots__ = (
        "_closed",
        "_make_beside",
        "adapt",
        "connector",
        "name",
        "owns_connections",
        "portal",
        "settings",
    )

    def __init__(
        self,
        settings: SessionSettings,
        session: object,
        opened_at: str,
        derived_from: Place | None = None,
    ) -> None:
        self.settings: SessionSettings = settings
        base_url = settings.base_url
        self.name: str = "<Session>" if base_url is None else f"<Session {redacted_url(base_url)}>"
        self.adapt: MiddlewareAdapter = MiddlewareAdapter(settings.fallback_charset_resolver)
        #: False for a derived session.
        self.owns_connections: bool = derived_from is None
        self._closed = False
        make = partial(AsyncSession, **self._engine_settings(session))
        #: Makes the engine session of a derived session, given its ``connector``.
        self._make_beside: Opener | None = None
        jar = settings.cookie_jar
        if derived_from is None:
            connector = settings.connector or TCPConnector()
            factory = connector._factory(shared=not settings.connector_owner)
            shared = None if settings.connector_owner else connector._shared
            portal = Portal(
                settings.loop_thread or default_loop_thread,
                partial(make, connector=factory),
                AsyncSession.aclose,
                AsyncSession.settle,
                on_close=None if shared is None else shared.keep,
                name=self.name,
            )
            if shared is not None:
                shared.enter(portal, factory, opened_at)
            self.connector: BaseConnector = connector._bound(factory, _LivePool(portal))
        else:
            portal = derived_from.portal
            self.connector = derived_from.connector
            self._make_beside = make
        self.portal: Portal[AsyncSession] = portal
        if derived_from is None or jar is not derived_from.settings.cookie_jar:
            jar._attach(portal)
        self.adapt.attach(portal)

    def _engine_settings(self, session: object) -> dict[str, Any]:
        """Return the keywords of ``AsyncSession``, except ``connector``."""
        settings = self.settings
        views = partial(Response._of_head, charset_resolver=settings.fallback_charset_resolver)
        return {
            "cookie_jar": settings.cookie_jar._live_jar,
            "cookies": settings.cookies,
            "retry": settings.retry,
            "max_body": settings.max_body,
            "timings": settings.timings,
            "views": Views(weakref.ref(session), views),
            "options": {
                "proxy": settings.proxy_url,
                "skip_auto_headers": settings.skip_auto_headers,
                "timeout": settings.timeout,
                "version": settings.version,
                "trust_env": settings.trust_env,
                "requote_redirect_url": settings.requote_redirect_url,
                "trace_configs": settings.trace_configs,
                "auto_decompress": settings.auto_decompress,
                "read_bufsize": settings.read_bufsize,
                "max_line_size": settings.max_line_size,
                "max_field_size": settings.max_field_size,
                "max_headers": settings.max_headers,
                "middlewares": self.adapt(settings.all_middlewares),
            },
        }

    @property
    def closed(self) -> bool:
        """Whether this session, or the one that it is derived from, is closed."""
        return self._closed or self.portal.closed

    def here(self, method: Callable[Concatenate[AsyncSession, P], R]) -> Method[P, R]:
        """Return a function that calls ``method`` on this place's engine session, for the portal.

        Raises:
            SessionClosedError: this is closed.
        """
        make = self._make_beside
        if make is None:
            return method
        if self._closed:
            raise SessionClosedError(f"{self.name} is closed")

        def on_session_beside(session: AsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> R:
            return method(session.beside(make), *args, **kwargs)

        on_session_beside.__dict__.update(method.__dict__)  # such as ``taskless``
        return on_session_beside

    async def ready(self) -> None:
        """Start the loop thread unless it is running.

        Raises:
            SessionClosedError: this is closed.
        """
        if self._closed:
            raise SessionClosedError(f"{self.name} is closed")
        await self.portal.ready()

    def close(self, *, grace: float) -> None:
        """Refuse further calls. If this owns the portal, close that too, and block."""
        if self.owns_connections:
            self.portal.close(self._reason(), grace=grace)
        self._closed = True

    async def aclose(self, *, grace: float) -> None:
        """Like ``close``, for tasks of any loop: it does not block their thread."""
        if self.owns_connections:
            await self.portal.aclose(self._reason(), grace=grace)
        self._closed = True

    def retire(self) -> None:
        """Refuse further calls. If this owns the portal, close that once nothing is open."""
        if self.owns_connections:
            self.portal.retire(self._reason())
        self._closed = True

    def _reason(self) -> Reason:
        return partial(SessionClosedError, f"{self.name} was closed")

    async def surroundings(self) -> Surroundings | None:
        """Read the environment's settings, if they apply, without blocking the caller's loop."""
        if not self.settings.trust_env:
            return None
        return await anyio.to_thread.run_sync(read_surroundings, abandon_on_cancel=True)


class _LivePool:
    """The live pool of a session, for its ``connector``."""

    __slots__ = ("_portal",)

    def __init__(self, portal: Portal[AsyncSession]) -> None:
        self._portal = portal

    @property
    def closed(self) -> bool:
        return self._portal.closed

    def __call__(self, question: Callable[[Pool], T], /) -> T | None:
        portal = self._portal
        return portal.call(AsyncSession.ask_pool, question) if portal.leased else None

    def close_pool(self, abort_ssl: bool) -> None:
        if self._portal.leased and not self._portal.closed:
            self._portal.call(AsyncSession.close_pool, abort_ssl)
