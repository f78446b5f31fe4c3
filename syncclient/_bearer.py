"""BearerAuth: bearer tokens from a function that may block."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from ._async.bearer import AsyncBearerAuth, getting
from ._async.carried import CarriedError
from ._call import in_caller

if TYPE_CHECKING:
    from ._types import StrOrURL


class BearerAuth(AsyncBearerAuth):
    """A middleware that authorises requests with a bearer token, and gets a new one on a 401.

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
        if inspect.iscoroutinefunction(get_token):
            super().__init__(get_token, origin=origin)
        else:
            self._get_here = cast("Callable[[], str]", get_token)
            super().__init__(self._ask_caller, origin=origin)

    def __repr__(self) -> str:
        return f"<BearerAuth for {self._origin or 'the first origin'}>"

    async def _ask_caller(self) -> str:
        try:
            return await in_caller(self._call)
        except Exception as exc:
            raise CarriedError(exc) from exc

    def _call(self) -> str:
        reset = getting.set((*getting.get(), self))
        try:
            return self._get_here()
        finally:
            getting.reset(reset)
