"""BearerAuth: bearer tokens from a function that may block."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from ._async.bearer import AsyncBearerAuth, checked_token, getting
from ._async.carried import CarriedError
from ._async.per_loop import PerLoop
from ._call import in_caller
from ._deadline import activity
from ._future import Relay

if TYPE_CHECKING:
    from ._types import StrOrURL


class BearerAuth(AsyncBearerAuth):
    """A middleware that authorises requests with a bearer token, and gets a new one on a 401::

        def get_token():
            with session.post("https://login.example/token", data=secrets) as response:
                return response.json()["access_token"]

        auth = BearerAuth(get_token, origin="https://api.example")
        session = Session(middlewares=[auth])

    The token is got with the first request, and again when the server answers 401: once for
    each request, which is then sent once more if its body can be (a generator's cannot).
    One thread gets it at a time, and those that need it too wait for that. Meanwhile
    requests that it makes itself, through this session as well, go out without a token.
    They must not be left to other threads, whose requests would wait for the token.

    Share one among sessions, and they share the token. Sessions with a ``loop_thread`` of
    their own may each get it at the same time.

    Args:
        get_token: returns a token that is valid now, as a str. A plain function runs in
            the thread of a blocked caller, whose request fails with what it raises; an
            ``async def`` one on the loop thread.
        origin: the server that gets the token, such as ``"https://api.example"``; no other
            does, wherever redirects lead. None is the server of the first request.
    """

    def __init__(
        self,
        get_token: Callable[[], str] | Callable[[], Awaitable[str]],
        *,
        origin: StrOrURL | None = None,
    ) -> None:
        if not callable(get_token):
            raise TypeError(
                f"get_token must be a function that returns a token, not "
                f"{type(get_token).__name__}; for a token that stays write lambda: token"
            )
        self._get_here: Callable[[], str] | None = None
        #: The round under way, if there is one.
        self._rounds: PerLoop[list[_Round]] = PerLoop(list)
        if not inspect.iscoroutinefunction(get_token):
            self._get_here = cast("Callable[[], str]", get_token)
        super().__init__(cast("Callable[[], Awaitable[str]]", get_token), origin=origin)

    def __repr__(self) -> str:
        return f"<BearerAuth for {self._origin or 'the first origin'}>"

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
    """One getting of a token, by the first of the callers who wait for it that comes.

    Not by whose turn it is: the caller of a map comes only for its next response, and may be
    waiting, before that, for a request of its own that needs the same token.
    """

    def __init__(self) -> None:
        #: Who has come; the first one gets it. Only appended to, which is atomic.
        self._claims: list[object] = []
        self._sure = False
        self.token: str | None = None
        self.over = asyncio.Event()

    # -- the loop thread -------------------------------------------------------------

    def needs_another(self) -> bool:
        """Tell whether the running request is to have its caller come as well.

        Not once somebody is sure to come: some callers are threads that are started for it.
        """
        if self._sure or self._claims:
            return False
        self._sure = not isinstance(activity.get(), Relay)
        return True

    def leave(self, who: object) -> None:
        """End the round, unless another caller than that of ``who`` is getting the token."""
        self._claims.append(self)  # from here on nobody else can
        if self._claims[0] in (who, self):
            self.over.set()

    # -- a caller's thread -----------------------------------------------------------

    def claim(self, who: object, get: Callable[[], str]) -> tuple[str] | None:
        """Get the token, unless another caller does; then None."""
        self._claims.append(who)
        return (get(),) if self._claims[0] is who else None
