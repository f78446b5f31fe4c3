"""BearerAuth: bearer tokens from a function that may block."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from .._async.connect.per_loop import PerLoop
from .._async.middleware.bearer import AsyncBearerAuth, checked_token, getting
from .._async.middleware.user_middleware import CarriedError
from .._caller import ReturningCaller, current_caller, in_caller

if TYPE_CHECKING:
    from .._types import StrOrURL


class BearerAuth(AsyncBearerAuth):
    """A middleware that authorises requests with a bearer token, and gets a new one on a 401::

        def get_token():
            with session.post("https://login.example/token", data=secrets) as response:
                return response.json()["access_token"]

        bearer = BearerAuth(get_token, origin="https://api.example")
        session = Session(auth=bearer)

    A fixed token is passed as a str, ``auth=BearerAuth("token")``. It is sent wherever credentials
    in ``auth=`` are sent, and the request is not repeated after a 401.

    ``get_token`` is called for the first request, and again if the server responds with 401, once
    per request. The request is then repeated if its body can be sent again (a generator cannot).
    One thread at a time gets the token, and the others wait for it. Requests that ``get_token``
    makes, even through this session, are sent without a token. It must not make them in other
    threads, because these would wait for the token.

    Sessions that share a BearerAuth share the token. Sessions with different ``loop_thread``
    arguments may fetch tokens at the same time.

    Args:
        get_token: the token, or a function that returns a valid one, as a str. A plain function
            runs in the thread of a blocked caller, and its request fails with the error that the
            function raises. An ``async def`` function runs on the loop thread.
        origin: the only server that gets the token, such as ``"https://api.example"``, even after
            redirects. None means the server of the first request.
    """

    def __init__(
        self,
        get_token: Callable[[], str] | Callable[[], Awaitable[str]] | str,
        *,
        origin: StrOrURL | None = None,
    ) -> None:
        if not callable(get_token) and not isinstance(get_token, str):
            raise TypeError(
                f"get_token must be a token or a function that returns one, not "
                f"{type(get_token).__name__}"
            )
        self._get_here: Callable[[], str] | None = None
        #: The current round, if any.
        self._rounds: PerLoop[list[_Round]] = PerLoop(list)
        if callable(get_token) and not inspect.iscoroutinefunction(get_token):
            self._get_here = cast("Callable[[], str]", get_token)
        super().__init__(cast("Callable[[], Awaitable[str]] | str", get_token), origin=origin)

    def __repr__(self) -> str:
        if self._origin is None:
            return "<BearerAuth>" if self._fixed else "<BearerAuth for the first origin>"
        scheme, host, port = self._origin
        return f"<BearerAuth for {scheme}://{host}:{port}>"

    async def _get_in_turn(self) -> str | None:
        if self._get_here is None:
            return await super()._get_in_turn()
        rounds = self._rounds.here()
        if not rounds:
            rounds.append(_Round())
        current = rounds[0]
        if current.needs_another():
            try:
                await self._take_part(current)
            finally:
                if current.over.is_set() and rounds == [current]:
                    rounds.clear()
        await current.over.wait()
        return current.token

    async def _take_part(self, current: _Round) -> None:
        me = object()
        try:
            try:
                got = await in_caller(current.claim, me, self._call)
            except Exception as exc:
                raise CarriedError(exc) from exc
            if got is not None:
                self._token = current.token = checked_token(*got)
        finally:
            current.leave(me)

    def _call(self) -> str:
        assert self._get_here is not None
        reset = getting.set((*getting.get(), self))
        try:
            return self._get_here()
        finally:
            getting.reset(reset)


class _Round:
    """One attempt to get a token, made by the first waiting caller that is free.

    This may not be the caller of the first request: the caller of a map is free only when it
    takes its next response, and may first wait for another request that needs the same token.
    """

    def __init__(self) -> None:
        #: The callers that were free; the first one gets the token. Appending is atomic.
        self._claims: list[object] = []
        self._sure = False
        self.token: str | None = None
        self.over = asyncio.Event()

    # -- the loop thread -------------------------------------------------------------

    def needs_another(self) -> bool:
        """Return whether to ask the caller of the running request for the token too.

        False once a caller is certain to do it, because other callers may have to start a thread.
        """
        if self._sure or self._claims:
            return False
        self._sure = not isinstance(current_caller.get(), ReturningCaller)
        return True

    def leave(self, who: object) -> None:
        """End the round, unless another caller than that of ``who`` is getting the token."""
        self._claims.append(self)  # from here on no caller can claim it
        if self._claims[0] in (who, self):
            self.over.set()

    # -- a caller's thread -----------------------------------------------------------

    def claim(self, who: object, get: Callable[[], str]) -> tuple[str] | None:
        """Get the token and return it; None if another caller is getting it."""
        self._claims.append(who)
        return (get(),) if self._claims[0] is who else None
